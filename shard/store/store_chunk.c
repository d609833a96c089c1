/* The table of chunks. A chunk has its bytes in its row, or refers to bytes that several streams share:
 *
 *     uid | start | count | boundaries         | data
 *     7   | 0     | 100   | (empty)            | 100 bytes: one message that is one append
 *     7   | 100   | 40    | (id, 15), (id, 25) | (empty): 15 and 25 positions, in two rows of `shared`
 *
 * Chunks of a stream follow one another in the order of `start`, up to `flushed` of its row. A reader gets
 * slices that borrow the query's row, so they end with the next use of that statement. */
#include "shard/store/store_chunk.h"

#include "shard/store/store_shared.h"
#include "shard/store/store_sql.h"

static void store_chunk_read_bounds(sqlite3_stmt *statement, int at, struct extent *extent)
{
    extent->start = column_u64(statement, at);
    extent->count = column_u64(statement, at + 1);
    extent->time_ms = column_u64(statement, at + 2);
    extent->boundaries = column_slice(statement, at + 3);
}

static void store_chunk_read_extent(sqlite3_stmt *statement, int at, struct extent *extent)
{
    store_chunk_read_bounds(statement, at, extent);
    extent->data = column_slice(statement, at + 4);
}

/* Steps to the chunk that holds position, or the next after it. */
static bool store_chunk_step(struct store *store, sqlite3_stmt *statement, uint64_t uid, uint64_t position)
{
    bind_u64(statement, 1, uid);
    bind_u64(statement, 2, position);
    /* The first of the two may end before position; the second then begins there or after. */
    while (store_step(store, statement))
        if (column_u64(statement, 0) + column_u64(statement, 1) > position)
            return true;
    return false;
}

bool store_chunk_at(struct store *store, uint64_t uid, uint64_t position, struct extent *extent)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_CHUNK_AT);
    if (!store_chunk_step(store, statement, uid, position))
        return false;
    store_chunk_read_extent(statement, 0, extent);
    return extent->data.len || !extent->count || store_shared_at(store, position, extent);
}

bool store_chunk_bounds(struct store *store, uint64_t uid, uint64_t position, struct extent *extent)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_CHUNK_BOUNDS);
    if (!store_chunk_step(store, statement, uid, position))
        return false;
    store_chunk_read_bounds(statement, 0, extent);
    extent->data = slice_of(NULL, column_u64(statement, 4));
    return extent->data.len || !extent->count || store_shared_bounds(store, position, extent);
}

bool store_chunk_last(struct store *store, uint64_t uid, size_t max_bytes, int64_t *row_id, struct extent *extent)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_CHUNK_LAST);
    bind_u64(statement, 1, uid);
    if (!store_step(store, statement) || column_u64(statement, 1) >= max_bytes)
        return false;
    *row_id = sqlite3_column_int64(statement, 0);
    store_chunk_read_extent(statement, 2, extent);
    return true;
}

/* The boundaries of a chunk without data are references (store_shared.h). */
void store_chunk_insert(struct store *store, uint64_t uid, const struct extent *extent)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_CHUNK_INSERT);
    bind_u64(statement, 1, uid);
    bind_u64(statement, 2, extent->start);
    bind_u64(statement, 3, extent->count);
    bind_u64(statement, 4, extent->time_ms);
    bind_slice(statement, 5, extent->boundaries);
    bind_slice(statement, 6, extent->data);
    store_run(store, statement);
}

void store_chunk_replace(struct store *store, int64_t row_id, const struct extent *extent)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_CHUNK_REPLACE);
    sqlite3_bind_int64(statement, 1, row_id);
    bind_u64(statement, 2, extent->count);
    bind_u64(statement, 3, extent->time_ms);
    bind_slice(statement, 4, extent->boundaries);
    bind_slice(statement, 5, extent->data);
    store_run(store, statement);
}

void store_chunk_delete(struct store *store, int64_t row_id)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_CHUNK_DELETE);
    sqlite3_bind_int64(statement, 1, row_id);
    store_run(store, statement);
}

/* The rows are deleted while they are read, which SQLite allows of the row that the query is at. References go first,
 * as long as the row that has them is there. */
bool store_chunks_drop(struct store *store, uint64_t uid, uint64_t upto, unsigned max)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_CHUNKS_COLD);
    bool any = false;
    bind_u64(statement, 1, uid);
    bind_u64(statement, 2, upto);
    bind_u64(statement, 3, max);
    while (store_step(store, statement)) {
        if (column_u64(statement, 1))
            store_shared_release(store, column_slice(statement, 2));
        store_chunk_delete(store, sqlite3_column_int64(statement, 0));
        any = true;
    }
    return any;
}
