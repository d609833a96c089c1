/* Subscription sources, the estuaries' side of fan-out. For each stream that somebody here is subscribed to there is a
 * source: how far it was received, which is committed with what it brought, so that nothing is written twice; and its
 * subscriptions, each with the positions between which the estuary gets what arrives. */
#ifndef SHARD_FANOUT_SOURCE_H
#define SHARD_FANOUT_SOURCE_H

#include "common/attr.h"
#include "common/offset.h"
#include "common/slice.h"
#include "common/table.h"

struct shard;
struct subscription_row;

struct source {
    struct table_node by_uid;
    uint64_t source_uid, feed; /* the stream, and the name of its shard's feed to this one */
    uint64_t received;         /* everything before this position is written */
    struct slice name;         /* of the stream; owned */
    struct subscription_row *subscriptions;
    size_t count;
    uint64_t subscribers; /* subscriptions that are in force and not ended */
    unsigned held;        /* by so many requests under way: it stays although nobody is subscribed */
};

/* Those that were used since the table was last emptied; the store has all. */
struct sources {
    struct table by_uid;
};

void sources_init(struct sources *sources);
void sources_clear(struct sources *sources);

/* The source with this uid, or NULL: nobody here is subscribed to it. */
struct source *source_find(struct shard *shard, uint64_t source_uid);

/* A stream was attached, so its shard delivers: from `position` on if it is a new source. The source stays until
 * source_release(), and after that as long as somebody is subscribed. */
void source_acquire(struct shard *shard, uint64_t source_uid, uint64_t feed, struct slice name, uint64_t position);
void source_release(struct shard *shard, uint64_t source_uid);

/* Subscribes an estuary that is not subscribed yet, from a position on (STORE_NONE: not yet in force). */
void source_subscribe(struct shard *shard, struct source *source, uint64_t estuary_uid, uint64_t from, unsigned flags);

/* The first position, at `position` or after, from which the estuary can be subscribed and gets nothing twice. */
uint64_t source_free_from(const struct source *source, uint64_t estuary_uid, uint64_t position) MUSTUSE;

/* The position behind all that a source had that has ended: FEED_CLOSED comes when it was received. */
#define SOURCE_END OFFSET_MAX

/* The estuary gets nothing from `until` on; STORE_NONE: nothing at all. */
void source_unsubscribe(struct shard *shard, struct source *source, uint64_t estuary_uid, uint64_t until);

/* Everything before `position` is written: in the transaction that writes it. Ends the subscriptions that are over. */
void source_advance(struct shard *shard, struct source *source, uint64_t position);

/* Nobody is subscribed or about to be. */
bool source_idle(const struct source *source) MUSTUSE;

/* Tells the source's shard how many subscribers there are. Frees a source that is idle. */
void source_notify(struct shard *shard, struct source *source);

/* Removes the source with all its subscriptions, and frees it. */
void source_remove(struct shard *shard, struct source *source);

/* By the tick: keeps the table small. */
void sources_tick(struct shard *shard);

#endif
