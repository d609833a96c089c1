/* The tables of feeds, sources and subscriptions. The name of a feed is 64 random bits.
 *
 *     the source's shard                        the shard of its estuaries
 *     feed(source, shard)  ---- entries --->    source (table inflow)   one row, however many estuaries there are
 *         acked            <-- positions --         received            the source's bytes before it are all here
 *                                               subscription            a row an estuary: which part of them it gets
 *
 * `received` and the copies in the estuaries change in one transaction, so a crash neither loses nor repeats an entry.
 * A feed's `acked` may lag behind; a delivery that does not begin at `received` is answered with the position to go on
 * from (shard/fanout/estuary.c). */
#include "shard/store/store_fanout.h"

#include "shard/store/store_sql.h"

void store_feed_put(struct store *store, const struct feed_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_FEED_PUT);
    bind_u64(statement, 1, row->source_uid);
    bind_u64(statement, 2, row->shard);
    bind_bits(statement, 3, row->feed);
    bind_u64(statement, 4, row->subscribers);
    bind_u64(statement, 5, row->acked);
    bind_u64(statement, 6, row->state);
    store_run(store, statement);
}

void store_feed_delete(struct store *store, uint64_t source_uid, unsigned shard)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_FEED_DELETE);
    bind_u64(statement, 1, source_uid);
    bind_u64(statement, 2, shard);
    store_run(store, statement);
}

static void store_fanout_visit_feeds(struct store *store, sqlite3_stmt *statement, store_feed_visit *visit, void *ctx)
{
    while (store_step(store, statement)) {
        const struct feed_row row = {
            .source_uid = column_u64(statement, 0),
            .shard = (unsigned)column_u64(statement, 1),
            .feed = column_bits(statement, 2),
            .subscribers = column_u64(statement, 3),
            .acked = column_u64(statement, 4),
            .state = (enum feed_state)column_u64(statement, 5),
        };
        visit(ctx, &row);
    }
}

void store_feeds(struct store *store, uint64_t source_uid, store_feed_visit *visit, void *ctx)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_FEEDS);
    bind_u64(statement, 1, source_uid);
    store_fanout_visit_feeds(store, statement, visit, ctx);
}

void store_feeds_in(struct store *store, enum feed_state state, unsigned shard, uint64_t uid, unsigned max,
                    store_feed_visit *visit, void *ctx)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_FEEDS_IN);
    bind_u64(statement, 1, state);
    bind_u64(statement, 2, shard);
    bind_u64(statement, 3, uid);
    bind_u64(statement, 4, max);
    store_fanout_visit_feeds(store, statement, visit, ctx);
}

bool store_source(struct store *store, uint64_t source_uid, struct source_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SOURCE);
    bind_u64(statement, 1, source_uid);
    if (!store_step(store, statement))
        return false;
    *row = (struct source_row){
        .source_uid = source_uid,
        .feed = column_bits(statement, 1),
        .received = column_u64(statement, 2),
        .name = column_slice(statement, 3),
    };
    return true;
}

void store_source_put(struct store *store, const struct source_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SOURCE_PUT);
    bind_u64(statement, 1, row->source_uid);
    bind_bits(statement, 2, row->feed);
    bind_u64(statement, 3, row->received);
    bind_slice(statement, 4, row->name);
    store_run(store, statement);
}

void store_source_received(struct store *store, uint64_t source_uid, uint64_t received)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SOURCE_RECEIVED);
    bind_u64(statement, 1, source_uid);
    bind_u64(statement, 2, received);
    store_run(store, statement);
}

void store_source_delete(struct store *store, uint64_t source_uid)
{
    store_run_with(store, SQL_SOURCE_DELETE, source_uid);
}

/* The table has no unique key: `from` is NULL as long as a subscription is not in force, and NULLs are all different.
 */
void store_subscription_put(struct store *store, const struct subscription_row *row)
{
    store_subscription_delete(store, row);
    sqlite3_stmt *statement = store_prepare(store, SQL_SUBSCRIPTION_INSERT);
    bind_u64(statement, 1, row->source_uid);
    bind_u64(statement, 2, row->estuary_uid);
    bind_u64(statement, 3, row->from);
    bind_u64(statement, 4, row->until);
    bind_u64(statement, 5, row->flags);
    store_run(store, statement);
}

void store_subscription_delete(struct store *store, const struct subscription_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SUBSCRIPTION_DELETE);
    bind_u64(statement, 1, row->source_uid);
    bind_u64(statement, 2, row->estuary_uid);
    bind_u64(statement, 3, row->from);
    store_run(store, statement);
}

static struct subscription_row store_fanout_read_subscription(sqlite3_stmt *statement)
{
    return (struct subscription_row){
        .source_uid = column_u64(statement, 0),
        .estuary_uid = column_u64(statement, 1),
        .from = column_u64(statement, 2),
        .until = column_u64(statement, 3),
        .flags = (unsigned)column_u64(statement, 4),
    };
}

/* Inflows second: those that only had subscriptions which were never in force go too. */
void store_subscriptions_clean(struct store *store)
{
    store_run(store, store_prepare(store, SQL_SUBSCRIPTION_PENDING));
    store_run(store, store_prepare(store, SQL_SOURCES_CLEAN));
}

bool store_subscription(struct store *store, uint64_t source_uid, uint64_t estuary_uid, struct subscription_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SUBSCRIPTION);
    bind_u64(statement, 1, source_uid);
    bind_u64(statement, 2, estuary_uid);
    if (!store_step(store, statement))
        return false;
    *row = store_fanout_read_subscription(statement);
    return true;
}

void store_subscriptions(struct store *store, uint64_t source_uid, store_subscription_visit *visit, void *ctx)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SUBSCRIPTIONS);
    bind_u64(statement, 1, source_uid);
    while (store_step(store, statement)) {
        const struct subscription_row row = store_fanout_read_subscription(statement);
        visit(ctx, &row);
    }
}

static void store_fanout_visit_sources(struct store *store, sqlite3_stmt *statement, store_source_visit *visit,
                                       void *ctx)
{
    while (store_step(store, statement)) {
        const struct subscription_row row = store_fanout_read_subscription(statement);
        visit(ctx, &row, column_slice(statement, 5));
    }
}

void store_sources_of(struct store *store, uint64_t estuary_uid, store_source_visit *visit, void *ctx)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SOURCES_OF);
    bind_u64(statement, 1, estuary_uid);
    store_fanout_visit_sources(store, statement, visit, ctx);
}

/* By the name of the source first: an estuary may have many sources, a name few uids (CROSS JOIN fixes that order). */
void store_sources_named(struct store *store, uint64_t estuary_uid, struct slice name, store_source_visit *visit,
                         void *ctx)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SOURCES_NAMED);
    bind_slice(statement, 1, name);
    bind_u64(statement, 2, estuary_uid);
    store_fanout_visit_sources(store, statement, visit, ctx);
}
