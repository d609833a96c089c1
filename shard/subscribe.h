/* Subscribing, at the shard of the estuary. For each source its shard is asked to deliver here (ATTACH) and says where
 * the source's tail is, from which on the estuary gets everything. A source that is an estuary itself is looked at more
 * closely before that: the subscription is on disk, but not in force, while we follow what it is subscribed to upwards
 * (SOURCES). Of two subscriptions that would close a circle together at least one sees the other. */
#ifndef SHARD_SUBSCRIBE_H
#define SHARD_SUBSCRIBE_H

struct shard;

/* A shard has a new link: what it was asked and has not answered is asked again. */
void subscribe_shard_up(struct shard *shard, unsigned index);

/* By the tick: gives up on what waits too long. */
void subscribe_tick(struct shard *shard);
void subscribe_clear(struct shard *shard);

#endif
