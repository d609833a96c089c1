/* The table of producers: one row for each producer of a stream. */
#include "shard/store/store_producer.h"

#include "shard/store/store_sql.h"

bool store_producer(struct store *store, uint64_t uid, struct slice id, uint64_t *epoch, uint64_t *seq)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_PRODUCER_GET);
    bind_u64(statement, 1, uid);
    bind_slice(statement, 2, id);
    if (!store_step(store, statement))
        return false;
    *epoch = column_u64(statement, 0);
    *seq = column_u64(statement, 1);
    return true;
}

void store_producer_put(struct store *store, uint64_t uid, struct slice id, uint64_t epoch, uint64_t seq)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_PRODUCER_PUT);
    bind_u64(statement, 1, uid);
    bind_slice(statement, 2, id);
    bind_u64(statement, 3, epoch);
    bind_u64(statement, 4, seq);
    store_run(store, statement);
}

uint64_t store_producers_count(struct store *store, uint64_t uid, uint64_t most)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_PRODUCERS_COUNT);
    bind_u64(statement, 1, uid);
    bind_u64(statement, 2, most);
    return store_get(store, statement);
}

void store_producers(struct store *store, uint64_t uid, store_producer_visit *visit, void *ctx)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_PRODUCERS);
    bool more = true;
    bind_u64(statement, 1, uid);
    while (more && store_step(store, statement))
        more = visit(ctx, column_slice(statement, 0), column_u64(statement, 1), column_u64(statement, 2));
    sqlite3_reset(statement);
}
