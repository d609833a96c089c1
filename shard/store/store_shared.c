/* The table of shared bytes, and references to it: (id, count) in varints, one after the other.
 *
 * Example: a chunk with start 100 and the references (A, 15) (B, 25) holds positions 100 to 139. Position 120 is in B,
 * which begins at 115 there; in the chunk of another stream the same B may begin elsewhere.
 *
 * `refs` of a row counts the references in chunks. A row is deleted by the transaction that drops its last reference;
 * verify counts them again (store_look_checks.c). */
#include "shard/store/store_shared.h"

#include "common/boundaries.h"
#include "common/buf.h"
#include "common/varint.h"
#include "shard/store/store_sql.h"

_Static_assert(SHARED_AT_BITS == 20, "SQL_JOURNAL_LAST has the number in its text");

void shared_ref_add(struct buf *refs, uint64_t id, uint64_t count)
{
    varint_add(refs, id);
    varint_add(refs, count);
}

static bool store_shared_take_ref(struct slice *refs, uint64_t *id, uint64_t *count)
{
    return varint_take(refs, id) && varint_take(refs, count);
}

/* The statement inserts with one reference, or counts one more: the bytes are sent to SQLite each time and stored once.
 */
void store_shared_ref(struct store *store, uint64_t id, const struct extent *extent)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SHARED_REF);
    bind_u64(statement, 1, id);
    bind_slice(statement, 2, extent->boundaries);
    bind_slice(statement, 3, extent->data);
    store_run(store, statement);
}

/* References follow one another as positions do, so the walk adds up their counts. NULL: the statement has no row of
 * bytes for position. */
static sqlite3_stmt *store_shared_find(struct store *store, enum store_sql sql, uint64_t position,
                                       struct extent *extent)
{
    struct slice refs = extent->boundaries;
    uint64_t id, count;
    while (store_shared_take_ref(&refs, &id, &count)) {
        extent->count = count;
        if (position < extent->start + count) {
            sqlite3_stmt *statement = store_prepare(store, sql);
            bind_u64(statement, 1, id);
            return store_step(store, statement) ? statement : NULL;
        }
        extent->start += count;
    }
    return NULL;
}

/* Shared bytes were written at one time; the chunk that refers to them has that of its newest ones. */
static void store_shared_read_boundaries(sqlite3_stmt *statement, struct extent *extent)
{
    extent->boundaries = column_slice(statement, 0);
    uint64_t time_ms = boundaries_first_time(extent->boundaries);
    if (time_ms)
        extent->time_ms = time_ms;
}

bool store_shared_at(struct store *store, uint64_t position, struct extent *extent)
{
    sqlite3_stmt *statement = store_shared_find(store, SQL_SHARED_GET, position, extent);
    if (!statement)
        return false;
    store_shared_read_boundaries(statement, extent);
    extent->data = column_slice(statement, 1);
    return true;
}

bool store_shared_bounds(struct store *store, uint64_t position, struct extent *extent)
{
    sqlite3_stmt *statement = store_shared_find(store, SQL_SHARED_BOUNDS, position, extent);
    if (!statement)
        return false;
    store_shared_read_boundaries(statement, extent);
    extent->data = slice_of(NULL, column_u64(statement, 1));
    return true;
}

void store_shared_release(struct store *store, struct slice refs)
{
    uint64_t id, count;
    while (store_shared_take_ref(&refs, &id, &count)) {
        store_run_with(store, SQL_SHARED_RELEASE, id);
        store_run_with(store, SQL_SHARED_DELETE, id);
    }
}

void store_shared_release_slice(struct store *store, uint64_t uid)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_CHUNK_SLICE_REFS);
    bind_u64(statement, 1, uid);
    while (store_step(store, statement))
        store_shared_release(store, column_slice(statement, 0));
}
