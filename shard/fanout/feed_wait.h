/* Appends whose answers wait until the subscribers have what was appended, and the circuit breaker that ends this
 * waiting for a shard that is slow. */
#ifndef SHARD_FANOUT_FEED_WAIT_H
#define SHARD_FANOUT_FEED_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"

struct asker;
struct shard;
struct stream;
struct wire_appended;

/* The answer to an append to a stream that has feeds: it is sent now or later, at most fanout.inline_timeout later. */
void feed_wait_answer(struct shard *shard, struct asker asker, struct stream *stream,
                      const struct wire_appended *answer);

/* A shard with so many subscribers has acknowledged (from, to]. */
void feed_wait_progress(struct shard *shard, struct stream *stream, uint64_t subscribers, uint64_t from, uint64_t to);

/* A shard has acknowledged something: its circuit closes when its time is over. */
void feed_wait_reset_circuit(struct shard *shard, unsigned index);

/* The stream has ended: what waits is answered as it is. */
void feed_wait_end(struct shard *shard, struct stream *stream);

/* Some answer waits. */
bool feed_wait_any(const struct shard *shard) MUSTUSE;

/* By the tick: answers what has waited too long. */
void feed_wait_tick(struct shard *shard);
void feed_wait_clear(struct shard *shard);

/* How many are subscribed to the stream. */
uint64_t feed_wait_subscribers(const struct stream *stream);

#endif
