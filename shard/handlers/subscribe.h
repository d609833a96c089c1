/* Subscribing, at the shard of the estuary. For each source its shard is asked to deliver here (ATTACH) and says where
 * the source's tail is. The subscription is then on disk, but not in force, while we follow what the source itself is
 * subscribed to upwards (SOURCES): of two subscriptions that would close a cycle together at least one sees the other.
 * Once it is in force the estuary gets everything that is appended from then on. */
#ifndef SHARD_HANDLERS_SUBSCRIBE_H
#define SHARD_HANDLERS_SUBSCRIBE_H

struct shard;

/* A shard has a new link: what it was asked and has not answered is asked again. */
void subscribe_shard_up(struct shard *shard, unsigned index);

/* By the tick: gives up on what waits too long. */
void subscribe_tick(struct shard *shard);
void subscribe_clear(struct shard *shard);

#endif
