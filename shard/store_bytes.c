/* The store's two tiers of bytes: the log in arrival order and the chunks of each stream. */
#include "shard/store_sql.h"

void store_log_append(struct store *store, struct log_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_LOG_APPEND);
    row->seq = ++store->last_seq;
    sqlite3_bind_int64(statement, 1, row->seq);
    bind_u64(statement, 2, row->uid);
    bind_u64(statement, 3, row->start);
    bind_u64(statement, 4, row->count);
    bind_u64(statement, 5, row->time_ms);
    bind_u64(statement, 6, row->flags);
    bind_slice(statement, 7, row->stream_seq);
    bind_slice(statement, 8, row->producer);
    bind_u64(statement, 9, row->epoch);
    bind_u64(statement, 10, row->producer_seq);
    bind_slice(statement, 11, row->marks);
    bind_slice(statement, 12, row->data);
    store_run(store, statement);
}

void store_log_recover(struct store *store, store_log_visit *visit, void *ctx)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_LOG_RECOVER);
    while (store_step(store, statement)) {
        struct log_row row = {
            .seq = sqlite3_column_int64(statement, 0),
            .uid = column_u64(statement, 1),
            .start = column_u64(statement, 2),
            .count = column_u64(statement, 3),
            .time_ms = column_u64(statement, 4),
            .flags = (unsigned)column_u64(statement, 5),
            .stream_seq = column_slice(statement, 6),
            .producer = column_slice(statement, 7),
            .epoch = column_u64(statement, 8),
            .producer_seq = column_u64(statement, 9),
            .data = slice_of(NULL, (size_t)column_u64(statement, 10)),
        };
        visit(ctx, &row);
    }
}

int64_t store_log_last(const struct store *store)
{
    return store->last_seq;
}

bool store_log_drop(struct store *store, int64_t upto, int64_t max)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_LOG_DROP);
    sqlite3_bind_int64(statement, 1, upto);
    sqlite3_bind_int64(statement, 2, max);
    store_run(store, statement);
    return sqlite3_changes(store->db) > 0;
}

static void read_run(sqlite3_stmt *statement, int at, struct run *run)
{
    run->start = column_u64(statement, at);
    run->count = column_u64(statement, at + 1);
    run->time_ms = column_u64(statement, at + 2);
    run->marks = column_slice(statement, at + 3);
    run->data = column_slice(statement, at + 4);
}

bool store_log_run(struct store *store, int64_t seq, struct run *run)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_LOG_RUN);
    sqlite3_bind_int64(statement, 1, seq);
    if (!store_step(store, statement))
        return false;
    read_run(statement, 0, run);
    return true;
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
        read_run(statement, 0, run);
        return true;
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
    read_run(statement, 2, run);
    return true;
}

void store_chunk_insert(struct store *store, uint64_t uid, const struct run *run)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_CHUNK_INSERT);
    bind_u64(statement, 1, uid);
    bind_u64(statement, 2, run->start);
    bind_u64(statement, 3, run->count);
    bind_u64(statement, 4, run->time_ms);
    bind_slice(statement, 5, run->marks);
    bind_slice(statement, 6, run->data);
    store_run(store, statement);
}

void store_chunk_replace(struct store *store, int64_t row_id, const struct run *run)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_CHUNK_REPLACE);
    sqlite3_bind_int64(statement, 1, row_id);
    bind_u64(statement, 2, run->count);
    bind_u64(statement, 3, run->time_ms);
    bind_slice(statement, 4, run->marks);
    bind_slice(statement, 5, run->data);
    store_run(store, statement);
}
