/* Feeds, the source's side of fan-out: their life from recovery to the end of the source, and what is sent again.
 * feed.c explains the whole of fan-out. */
#ifndef SHARD_FANOUT_FEED_H
#define SHARD_FANOUT_FEED_H

struct shard;
struct stream;

/* In the transaction that ends the stream: its feeds are closed. */
void feeds_close(struct shard *shard, struct stream *stream);

/* After recovery: whatever was behind goes on. */
void feeds_recover(struct shard *shard);

void feeds_shard_up(struct shard *shard, unsigned index);
void feeds_shard_down(struct shard *shard, unsigned index);

/* By the tick, and by the rarer upkeep. */
void feeds_tick(struct shard *shard);
void feeds_upkeep(struct shard *shard);
void feeds_clear(struct shard *shard);

#endif
