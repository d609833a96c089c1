/* Fan-out, the source's side. A stream that others are subscribed to has a feed for each shard that has estuaries of
 * its. What is appended goes to these shards in the turn after its commit, once a shard whatever the number of
 * subscribers; the stream itself is the queue of what a shard has not taken yet, so the duty to deliver is as durable
 * as the append. A shard says how far it has taken a source (TAKEN), and remembers that better than we do: after a
 * death on either side we go on from wherever it says. */
#ifndef SHARD_FANOUT_FEED_H
#define SHARD_FANOUT_FEED_H

#include "common/wire.h"
#include "common/attr.h"
#include "common/buf.h"

struct journal_entry;

struct asker;
struct shard;
struct stream;

/* What a DELIVER counts for in the window, on both sides. */
static inline uint64_t delivery_weight(const struct wire_deliver *m)
{
    return m->data.len + m->boundaries.len + 64;
}

/* Something was appended: on its way to the shards that are fed. */
void feeds_appended(struct shard *shard, struct stream *stream, const struct journal_entry *entry);

/* The answer to an append to a stream that has feeds: it is sent now or later. */
void feeds_answer(struct shard *shard, struct asker asker, struct stream *stream, const struct wire_appended *answer);

/* In the transaction that ends the stream. */
void feeds_close(struct shard *shard, struct stream *stream);

/* After recovery: whatever was behind goes on. */
void feeds_recover(struct shard *shard);

void feeds_shard_up(struct shard *shard, unsigned index);
void feeds_shard_down(struct shard *shard, unsigned index);

/* The steps of a turn: what is behind is read and put for its shards; what was put belongs to a commit; and leaves when
 * that is durable (shard/peers/release.h). */
void feeds_turn(struct shard *shard);
void feeds_seal(struct shard *shard, uint64_t commit, uint64_t durable);
void feeds_release(struct shard *shard, uint64_t durable);

/* By the tick. */
void feeds_tick(struct shard *shard);
void feeds_upkeep(struct shard *shard);
void feeds_clear(struct shard *shard);

#endif
