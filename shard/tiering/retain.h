/* Retention: whole segments go that are older than a stream is to keep, or more. Nothing goes that forks of the stream
 * hold, or that estuaries have not taken yet. Where a stream is too slow to fill a segment, what has waited for its
 * time becomes one, so a message is gone after about twice the time at the latest. */
#ifndef SHARD_TIERING_RETAIN_H
#define SHARD_TIERING_RETAIN_H

#include "shard/shard.h"

/* Lets the stream's oldest segments go if they may, and says when to look again. In the transaction that is open, or
 * begins one. */
void retain_stream(struct shard *shard, struct stream *stream);

/* By the tick: the streams whose time has come. */
void retain_tick(struct shard *shard);

#endif
