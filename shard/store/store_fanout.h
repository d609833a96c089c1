/* Fan-out, in three tables. A feed is what a source's shard knows of one shard that has estuaries of it. A subscription
 * source is what that shard knows of the source: the position up to which it has received everything (the table is
 * called inflow, the column taken). A subscription is what one estuary gets. */
#ifndef SHARD_STORE_STORE_FANOUT_H
#define SHARD_STORE_STORE_FANOUT_H

#include "common/attr.h"
#include "common/slice.h"
#include "shard/store/store.h"

enum feed_state {
    FEED_LEVEL,  /* everything that is flushed was taken */
    FEED_BEHIND, /* some of it may not have been */
    FEED_CLOSED  /* the source is gone, and that shard has not confirmed that it knows */
};

struct feed_row {
    uint64_t source_uid;
    unsigned shard;
    uint64_t feed; /* random: the name of this feed, never given again */
    uint64_t subscribers, acked;
    enum feed_state state;
};

void store_feed_put(struct store *store, const struct feed_row *row);
void store_feed_delete(struct store *store, uint64_t source_uid, unsigned shard);
typedef void store_feed_visit(void *ctx, const struct feed_row *row);
void store_feeds(struct store *store, uint64_t source_uid, store_feed_visit *visit, void *ctx);
/* Up to max of those to a shard that are in this state, which is not FEED_LEVEL, of sources after `uid`. */
void store_feeds_in(struct store *store, enum feed_state state, unsigned shard, uint64_t uid, unsigned max,
                    store_feed_visit *visit, void *ctx);

struct source_row {
    uint64_t source_uid, feed, received;
    struct slice name; /* of the source */
};

bool store_source(struct store *store, uint64_t source_uid, struct source_row *row) MUSTUSE;
void store_source_put(struct store *store, const struct source_row *row);
void store_source_received(struct store *store, uint64_t source_uid, uint64_t received);
void store_source_delete(struct store *store, uint64_t source_uid);

#define SUBSCRIPTION_ENVELOPE 1u

/* An estuary gets what lies in [from, until) of a source. */
struct subscription_row {
    uint64_t source_uid, estuary_uid;
    uint64_t from;  /* STORE_NONE: not yet in force */
    uint64_t until; /* STORE_NONE: no end */
    unsigned flags;
};

void store_subscription_put(struct store *store, const struct subscription_row *row);
void store_subscription_delete(struct store *store, const struct subscription_row *row);
/* At the start, in a transaction: deletes subscriptions that a process did not bring into force before it died, and
 * subscription sources that nobody needs. */
void store_subscriptions_clean(struct store *store);
/* The one that has not ended. */
bool store_subscription(struct store *store, uint64_t source_uid, uint64_t estuary_uid,
                        struct subscription_row *row) MUSTUSE;
typedef void store_subscription_visit(void *ctx, const struct subscription_row *row);
void store_subscriptions(struct store *store, uint64_t source_uid, store_subscription_visit *visit, void *ctx);
typedef void store_source_visit(void *ctx, const struct subscription_row *row, struct slice source_name);
void store_sources_of(struct store *store, uint64_t estuary_uid, store_source_visit *visit, void *ctx);
/* Those of one name: there may have been several, one after the other. */
void store_sources_named(struct store *store, uint64_t estuary_uid, struct slice name, store_source_visit *visit,
                         void *ctx);

#endif
