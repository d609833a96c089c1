/* Upkeep. Every function does a slice of bounded size, so that a turn stays short however much there is to delete.
 *
 * The rows of a deleted stream go in this order, a slice a call, each slice in the turn's transaction:
 *
 *     segments become orphans -> chunks, with their references to shared bytes -> producers -> the row itself
 *
 * The row goes last because it is what a later slice, or the next process, finds the rest by. */
#include "shard/store/store_upkeep.h"

#include <stdio.h>

#include "shard/store/store_segment.h"
#include "shard/store/store_shared.h"
#include "shard/store/store_sql.h"

#define FREE_PAGES_KEPT 256

static size_t store_upkeep_uids(struct store *store, enum store_sql sql, uint64_t now_ms, uint64_t *uids, size_t max)
{
    sqlite3_stmt *statement = store_prepare(store, sql);
    size_t count = 0;
    bind_u64(statement, 1, now_ms);
    bind_u64(statement, 2, max);
    while (count < max && store_step(store, statement))
        uids[count++] = column_u64(statement, 0);
    sqlite3_reset(statement);
    return count;
}

size_t store_expired(struct store *store, uint64_t now_ms, uint64_t *uids, size_t max)
{
    return store_upkeep_uids(store, SQL_STREAM_EXPIRED, now_ms, uids, max);
}

size_t store_retained(struct store *store, uint64_t now_ms, uint64_t *uids, size_t max)
{
    return store_upkeep_uids(store, SQL_STREAM_RETAINED, now_ms, uids, max);
}

static bool store_upkeep_deleting(struct store *store, uint64_t *uid)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_STREAM_DELETING);
    if (!store_step(store, statement))
        return false;
    *uid = column_u64(statement, 0);
    sqlite3_reset(statement);
    return true;
}

bool store_deleting_any(struct store *store)
{
    uint64_t uid;
    return store_upkeep_deleting(store, &uid);
}

/* References to shared bytes go before the chunks that hold them. Both statements choose the same chunks, because
 * nothing comes between them. */
void store_deleting_slice(struct store *store)
{
    uint64_t uid;
    if (!store_upkeep_deleting(store, &uid))
        return;
    store_segments_orphan(store, uid, 0, STORE_NONE);
    store_shared_release_slice(store, uid);
    store_run_with(store, SQL_CHUNK_SLICE, uid);
    if (sqlite3_changes(store->db) > 0)
        return;
    store_run_with(store, SQL_PRODUCER_SLICE, uid);
    if (sqlite3_changes(store->db) == 0)
        store_run_with(store, SQL_STREAM_DELETE, uid);
}

/* incremental_vacuum moves pages from the end into free ones: a slice of it is as long as the turn can bear. */
bool store_vacuum_slice(struct store *store, unsigned pages, bool all)
{
    char sql[64];
    int64_t unused = store_number(store, "PRAGMA freelist_count");
    if (unused <= FREE_PAGES_KEPT || (!all && unused <= store_number(store, "PRAGMA page_count") / 8))
        return false;
    snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%u)", pages);
    store_begin(store);
    store_exec(store, sql);
    return true;
}
