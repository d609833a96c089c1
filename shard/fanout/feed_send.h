/* Deliveries: what is put on its way to the shards that are fed, and when it leaves. */
#ifndef SHARD_FANOUT_FEED_SEND_H
#define SHARD_FANOUT_FEED_SEND_H

#include "common/wire.h"

struct journal_entry;
struct shard;
struct stream;

/* What a DELIVER counts for in the window, on both sides. */
static inline uint64_t feed_send_weight(const struct wire_deliver *m)
{
    return m->data.len + m->boundaries.len + 64;
}

/* Something was appended to a stream that has feeds. It goes to the shards that are level, within their windows; the
 * others read it later. */
void feed_send_appended(struct shard *shard, struct stream *stream, const struct journal_entry *entry);

/* The steps of a turn: what is behind is read and put for its shards; what was put belongs to a commit; and leaves when
 * that is durable (shard/peers/release.h). */
void feed_send_turn(struct shard *shard);
void feed_send_seal(struct shard *shard, uint64_t commit, uint64_t durable);
void feed_send_release(struct shard *shard, uint64_t durable);

/* Forgets what was put for a shard and has not left. */
void feed_send_drop(struct shard *shard, unsigned index);

#endif
