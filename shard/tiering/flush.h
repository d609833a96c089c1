/* Settling: what the log holds becomes chunks of its streams, in slices that ride in the transactions of the turns.
 *
 * When the log is long, or the shard idle, a generation begins: all batches up to now. Stream by stream their appends
 * are written into chunks; when none is left, its batches are dead, and go from the left edge while the next ones are
 * settled. */
#ifndef SHARD_TIERING_FLUSH_H
#define SHARD_TIERING_FLUSH_H

#include "shard/shard.h"

/* Once a turn, before the commit. */
void flush_turn(struct shard *shard);

/* All of it, in transactions of its own; for moves between shards. alive() is called now and then. */
void flush_everything(struct store *store, struct streams *streams, void (*alive)(void *), void *ctx);

#endif
