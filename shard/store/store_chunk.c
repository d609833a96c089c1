/* The chunks: runs of one stream's bytes, settled from the log. */
#include "shard/store/store_sql.h"

static void store_chunk_read_run(sqlite3_stmt *statement, int at, struct run *run)
{
    run->start = column_u64(statement, at);
    run->count = column_u64(statement, at + 1);
    run->time_ms = column_u64(statement, at + 2);
    run->boundaries = column_slice(statement, at + 3);
    run->data = column_slice(statement, at + 4);
}

bool store_chunk_run(struct store *store, uint64_t uid, uint64_t position, struct run *run)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_CHUNK_RUN);
    bind_u64(statement, 1, uid);
    bind_u64(statement, 2, position);
    /* The first of the two may end before position; the second then begins there or after. */
    while (store_step(store, statement)) {
        if (column_u64(statement, 0) + column_u64(statement, 1) <= position)
            continue;
        store_chunk_read_run(statement, 0, run);
        return run->data.len || !run->count || store_shared_run(store, position, run);
    }
    return false;
}

bool store_chunk_last(struct store *store, uint64_t uid, size_t max_bytes, int64_t *row_id, struct run *run)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_CHUNK_LAST);
    bind_u64(statement, 1, uid);
    if (!store_step(store, statement) || column_u64(statement, 1) >= max_bytes)
        return false;
    *row_id = sqlite3_column_int64(statement, 0);
    store_chunk_read_run(statement, 2, run);
    return true;
}

void store_chunk_insert(struct store *store, uint64_t uid, const struct run *run)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_CHUNK_INSERT);
    bind_u64(statement, 1, uid);
    bind_u64(statement, 2, run->start);
    bind_u64(statement, 3, run->count);
    bind_u64(statement, 4, run->time_ms);
    bind_slice(statement, 5, run->boundaries);
    bind_slice(statement, 6, run->data);
    store_run(store, statement);
}

void store_chunk_delete(struct store *store, int64_t row_id)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_CHUNK_DELETE);
    sqlite3_bind_int64(statement, 1, row_id);
    store_run(store, statement);
}

void store_chunk_replace(struct store *store, int64_t row_id, const struct run *run)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_CHUNK_REPLACE);
    sqlite3_bind_int64(statement, 1, row_id);
    bind_u64(statement, 2, run->count);
    bind_u64(statement, 3, run->time_ms);
    bind_slice(statement, 4, run->boundaries);
    bind_slice(statement, 5, run->data);
    store_run(store, statement);
}
