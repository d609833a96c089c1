/* Flushing: the journal's appends become chunks of their streams, in slices that ride in the transactions of the turns.
 */
#ifndef SHARD_TIERING_FLUSH_H
#define SHARD_TIERING_FLUSH_H

struct shard;
struct store;
struct streams;

/* Once a turn, before the commit. */
void flush_turn(struct shard *shard);

/* Flushes the whole journal, in transactions of its own; for moves between shards. alive() is called now and then. */
void flush_everything(struct store *store, struct streams *streams, void (*alive)(void *), void *ctx);

#endif
