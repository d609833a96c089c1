/* Fan-out, the estuaries' side. For each source that somebody here is subscribed to there is an inflow: how far it was
 * taken, which is committed with what it brought, so that nothing is written twice; and its subscriptions, each with
 * the positions between which the estuary gets what comes. */
#ifndef SHARD_ESTUARY_H
#define SHARD_ESTUARY_H

#include "common/wire.h"
#include "shard/store.h"

struct shard;
struct stream;

struct inflow {
    uint64_t source_uid, feed, taken;
    struct slice name; /* of the source; its own */
    struct subscription_row *subscriptions;
    size_t count;
    struct inflow *next; /* hash chain */
};

/* Those that were used last; the store has all. */
struct inflows {
    struct inflow **table; /* `buckets` chains; a power of two */
    size_t buckets, count;
};

void inflows_init(struct inflows *inflows);
void inflows_clear(struct inflows *inflows);

/* The inflow of a source, or NULL. */
struct inflow *inflow_of(struct shard *shard, uint64_t source_uid);

/* A source that was attached to: its inflow, which begins at `position` if it is new. */
struct inflow *inflow_open(struct shard *shard, uint64_t source_uid, uint64_t feed, struct slice name,
                           uint64_t position);

/* How many get what is appended to it from now on. */
uint64_t inflow_subscribers(const struct inflow *inflow);

/* Subscribes an estuary from a position on (STORE_NONE: not yet), or says that it is already: false. */
bool inflow_subscribe(struct shard *shard, struct inflow *inflow, uint64_t estuary_uid, uint64_t from, unsigned flags);

/* It gets nothing from `until` on; STORE_NONE: nothing at all. */
void inflow_unsubscribe(struct shard *shard, struct inflow *inflow, uint64_t estuary_uid, uint64_t until);

/* Tells the source's shard how many subscribers there are. An inflow without any is gone afterwards. */
void inflow_tell(struct shard *shard, struct inflow *inflow);

/* In the transaction that ends an estuary: it is subscribed to nothing any more. */
void estuary_ended(struct shard *shard, const struct stream *stream);

/* By the tick: keeps the table small. */
void inflows_tick(struct shard *shard);

#endif
