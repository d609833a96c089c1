/* Moving slots. A copy deletes what is in its way and copies all tables in one transaction, so it can be interrupted
 * and begun anew at any time; the source is deleted only after the layout has changed (shard/tools/move.c). Estuaries
 * whose subscription sources were in different shards need care: see store_slot_merge_sources. */
#include "shard/store/store_slot.h"

#include <stdio.h>

#include "common/buf.h"
#include "common/fault.h"
#include "shard/store/extent.h"
#include "shard/store/store_chunk.h"
#include "shard/store/store_fanout.h"
#include "shard/store/store_shared.h"
#include "shard/store/store_sql.h"

/* The tables that belong to streams, with the column that holds the uid. The journal is flushed before a move. */
static const struct {
    const char *table, *uid, *columns;
} store_slot_tables[] = {
    {"stream", "uid", "*"},      {"chunk", "uid", "NULL, uid, start, count, time_ms, marks, data"},
    {"segment", "uid", "*"}, /* their files are where they are, whichever shard has the row */
    {"orphan", "uid", "*"},      {"producer", "uid", "*"},
    {"pin", "source_uid", "*"},  {"duty", "fork_uid", "*"},
    {"feed", "source_uid", "*"}, /* made anew when all slots are where they belong */
    {"slot", "slot << 44", "*"},
};
#define SLOT_TABLES (sizeof store_slot_tables / sizeof store_slot_tables[0])

_Static_assert(LAYOUT_UID_BITS == 44, "the slot table's expression spells the shift out");

static long long store_slot_range_first(unsigned slot)
{
    return (long long)((uint64_t)slot << LAYOUT_UID_BITS);
}

/* Subscriptions are of an estuary's slot and have no uid of their own, so they are no line of the table. */
static void store_slot_delete_slot(struct store *store, unsigned slot)
{
    char sql[256];
    snprintf(sql, sizeof sql, "DELETE FROM main.subscription WHERE estuary_uid >= %lld AND estuary_uid < %lld",
             store_slot_range_first(slot), store_slot_range_first(slot + 1));
    store_exec(store, sql);
    for (size_t i = 0; i < SLOT_TABLES; i++) {
        snprintf(sql, sizeof sql, "DELETE FROM main.%s WHERE %s >= %lld AND %s < %lld", store_slot_tables[i].table,
                 store_slot_tables[i].uid, store_slot_range_first(slot), store_slot_tables[i].uid,
                 store_slot_range_first(slot + 1));
        store_exec(store, sql);
    }
}

bool store_slot_used(struct store *store, unsigned slot)
{
    char sql[256];
    sqlite3_stmt *statement;
    bool used = false;
    for (size_t i = 0; i < SLOT_TABLES && !used; i++) {
        snprintf(sql, sizeof sql, "SELECT 1 FROM main.%s WHERE %s >= %lld AND %s < %lld LIMIT 1",
                 store_slot_tables[i].table, store_slot_tables[i].uid, store_slot_range_first(slot),
                 store_slot_tables[i].uid, store_slot_range_first(slot + 1));
        if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
            store_fatal(store, sql);
        used = store_step(store, statement);
        sqlite3_finalize(statement);
    }
    return used;
}

/* Estuaries that were fed by different shards come under one, which is as far as the one that was behind: the
 * others do not get again what they have. */
static const char *const store_slot_merge_sources[] = {
    "CREATE TEMP TABLE moving AS SELECT s.source_uid, s.estuary_uid, max(s.from_position, i.taken) AS from_position,"
    " s.until_position, s.flags FROM source.subscription s JOIN source.inflow i ON i.source_uid = s.source_uid"
    " WHERE s.estuary_uid >= ?1 AND s.estuary_uid < ?2 AND s.from_position IS NOT NULL",
    "UPDATE main.subscription SET from_position = max(from_position,"
    " (SELECT taken FROM main.inflow i WHERE i.source_uid = subscription.source_uid))"
    " WHERE from_position IS NOT NULL AND source_uid IN (SELECT source_uid FROM moving)",
    "UPDATE main.inflow SET taken = min(taken,"
    " (SELECT taken FROM source.inflow i WHERE i.source_uid = inflow.source_uid))"
    " WHERE source_uid IN (SELECT source_uid FROM moving)",
    "INSERT OR IGNORE INTO main.inflow SELECT * FROM source.inflow WHERE source_uid IN (SELECT source_uid FROM moving)",
    "INSERT INTO main.subscription SELECT * FROM moving",
    "DROP TABLE moving",
};

static void store_slot_copy_subscriptions(struct store *store, unsigned slot)
{
    for (size_t i = 0; i < sizeof store_slot_merge_sources / sizeof store_slot_merge_sources[0]; i++) {
        sqlite3_stmt *statement;
        if (sqlite3_prepare_v2(store->db, store_slot_merge_sources[i], -1, &statement, NULL) != SQLITE_OK)
            store_fatal(store, store_slot_merge_sources[i]);
        if (sqlite3_bind_parameter_count(statement)) {
            sqlite3_bind_int64(statement, 1, store_slot_range_first(slot));
            sqlite3_bind_int64(statement, 2, store_slot_range_first(slot + 1));
        }
        store_run(store, statement);
        sqlite3_finalize(statement);
    }
}

/* ATTACH and DETACH cannot be in a transaction; everything between them is one. */
void store_slot_copy(struct store *store, const char *from, unsigned slot)
{
    char sql[512];
    sqlite3_stmt *attach;
    if (sqlite3_prepare_v2(store->db, "ATTACH ?1 AS source", -1, &attach, NULL) != SQLITE_OK)
        store_fatal(store, "attach");
    sqlite3_bind_text(attach, 1, from, -1, SQLITE_STATIC);
    store_run(store, attach);
    sqlite3_finalize(attach);
    store_begin(store);
    store_slot_delete_slot(store, slot);
    for (size_t i = 0; i < SLOT_TABLES; i++) {
        snprintf(sql, sizeof sql, "INSERT INTO main.%s SELECT %s FROM source.%s WHERE %s >= %lld AND %s < %lld",
                 store_slot_tables[i].table, store_slot_tables[i].columns, store_slot_tables[i].table,
                 store_slot_tables[i].uid, store_slot_range_first(slot), store_slot_tables[i].uid,
                 store_slot_range_first(slot + 1));
        store_exec(store, sql);
    }
    store_slot_copy_subscriptions(store, slot);
    /* Files that backups refer to may be among what has come. */
    store_exec(store, "INSERT OR IGNORE INTO main.backup SELECT * FROM source.backup");
    store_commit(store);
    store_exec(store, "DETACH source");
}

bool store_slots_clean(struct store *store, const bool *keep)
{
    bool deleted = false;
    for (unsigned slot = 0; slot < LAYOUT_SLOTS; slot++) {
        if (keep[slot] || !store_slot_used(store, slot))
            continue;
        store_begin(store);
        store_slot_delete_slot(store, slot);
        deleted = true;
    }
    if (deleted)
        store_exec(store, "DELETE FROM inflow WHERE source_uid NOT IN (SELECT source_uid FROM subscription)");
    store_commit(store);
    return deleted;
}

/* ---- shared bytes ---- */

/* A chunk's references become chunks of their own bytes. */
static void store_slot_expand_chunk(struct store *store, int64_t row_id, uint64_t uid, struct extent extent,
                                    struct slice refs)
{
    struct extent piece;
    uint64_t end = extent.start + extent.count;
    for (uint64_t position = extent.start; position < end; position += piece.count) {
        piece = (struct extent){
            .start = extent.start, .count = extent.count, .time_ms = extent.time_ms, .boundaries = refs};
        if (!store_shared_at(store, position, &piece))
            store_fatal(store, "shared bytes are missing");
        if (position == extent.start)
            store_chunk_delete(store, row_id);
        store_chunk_insert(store, uid, &piece);
    }
}

bool store_slot_expand(struct store *store, unsigned slot)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_CHUNK_REFS);
    struct buf refs = {0};
    bind_u64(statement, 1, (uint64_t)store_slot_range_first(slot));
    bind_u64(statement, 2, (uint64_t)store_slot_range_first(slot + 1));
    if (!store_step(store, statement))
        return false;
    int64_t row_id = sqlite3_column_int64(statement, 0);
    uint64_t uid = column_u64(statement, 1);
    const struct extent extent = {
        .start = column_u64(statement, 2), .count = column_u64(statement, 3), .time_ms = column_u64(statement, 4)};
    buf_add_slice(&refs, column_slice(statement, 5));
    sqlite3_reset(statement);
    store_begin(store);
    store_slot_expand_chunk(store, row_id, uid, extent, buf_slice(&refs));
    store_shared_release(store, buf_slice(&refs));
    buf_clear(&refs);
    return true;
}

/* ---- names ---- */

void store_slot_grouped(struct store *store, store_slot_name_visit *visit, void *ctx)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_STREAMS_GROUPED);
    while (store_step(store, statement))
        visit(ctx, column_u64(statement, 0), column_slice(statement, 1));
}

/* ---- feeds ---- */

void store_source_feeds(struct store *store, store_source_feed_visit *visit, void *ctx)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SOURCES);
    while (store_step(store, statement)) {
        const struct feed_row row = {
            .source_uid = column_u64(statement, 0),
            .feed = column_bits(statement, 1),
            .acked = column_u64(statement, 2),
            .subscribers = column_u64(statement, 3),
        };
        visit(ctx, &row);
    }
}

void store_feeds_clear(struct store *store)
{
    store_begin(store);
    store_exec(store, "DELETE FROM feed");
}
