/* Fan-out, the estuaries' side. For each source that somebody here is subscribed to there is an source: how far it was
 * taken, which is committed with what it brought, so that nothing is written twice; and its subscriptions, each with
 * the positions between which the estuary gets what comes. */
#ifndef SHARD_FANOUT_ESTUARY_H
#define SHARD_FANOUT_ESTUARY_H

#include "common/wire.h"
#include "common/attr.h"
#include "common/slice.h"

struct subscription_row;

struct shard;
struct stream;

struct source {
    uint64_t source_uid, feed, received;
    struct slice name; /* of the source; its own */
    struct subscription_row *subscriptions;
    size_t count;
    uint64_t subscribers; /* subscriptions that are in force and not ended */
    unsigned opened;      /* times: by requests under way, for which it is kept */
    struct source *next;  /* hash chain */
};

/* Those that were used since the table was last emptied; the store has all. */
struct sources {
    struct source **table; /* `buckets` chains; a power of two */
    size_t buckets, count;
};

void sources_init(struct sources *sources);
void sources_clear(struct sources *sources);

/* The source of a source, or NULL. */
struct source *source_find(struct shard *shard, uint64_t source_uid);

/* A source was attached to, so its shard delivers: from `position` on if the source is new. It is kept until
 * source_release(), and after that as long as somebody is subscribed. */
void source_acquire(struct shard *shard, uint64_t source_uid, uint64_t feed, struct slice name, uint64_t position);
void source_release(struct shard *shard, uint64_t source_uid);

/* Subscribes an estuary that is not subscribed yet, from a position on (STORE_NONE: not yet in force). */
void source_subscribe(struct shard *shard, struct source *source, uint64_t estuary_uid, uint64_t from, unsigned flags);

/* From where on the estuary can be subscribed without getting anything twice, at `position` or after. */
uint64_t source_free_from(const struct source *source, uint64_t estuary_uid, uint64_t position) MUSTUSE;

/* It gets nothing from `until` on; STORE_NONE: nothing at all. */
void source_unsubscribe(struct shard *shard, struct source *source, uint64_t estuary_uid, uint64_t until);

/* Tells the source's shard how many subscribers there are. An source that nobody needs is gone afterwards. */
void source_notify(struct shard *shard, struct source *source);

/* In the transaction that ends an estuary: it is subscribed to nothing any more. */
void estuary_unsubscribe_all(struct shard *shard, const struct stream *stream);

/* By the tick: keeps the table small. */
void sources_tick(struct shard *shard);

#endif
