/* Flushing: the journal's appends become chunks of their streams, a slice after each turn. */
#ifndef SHARD_TIERING_FLUSH_H
#define SHARD_TIERING_FLUSH_H

struct shard;
struct store;
struct streams;

/* Once a turn, behind its commit: in a transaction of its own. */
void flush_turn(struct shard *shard);

/* Flushes the whole journal, in transactions of its own; for moves between shards. alive() is called now and then. */
void flush_everything(struct store *store, struct streams *streams, void (*alive)(void *), void *ctx);

#endif
