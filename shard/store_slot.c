/* Moving slots between databases. A slot is a range of uids in every table. */
#include <stdio.h>

#include "common/fault.h"
#include "shard/store_sql.h"

/* The tables that belong to streams, with the column that holds the uid. The log is settled before a move. */
static const struct {
    const char *table, *uid, *columns;
} slot_tables[] = {
    {"stream", "uid", "*"},
    {"chunk", "uid", "NULL, uid, start, count, time_ms, marks, data"},
    {"producer", "uid", "*"},
    {"pin", "source_uid", "*"},
    {"duty", "fork_uid", "*"},
    {"slot", "slot << 44", "*"},
};
#define SLOT_TABLES (sizeof slot_tables / sizeof slot_tables[0])

_Static_assert(LAYOUT_UID_BITS == 44, "the slot table's expression spells the shift out");

static long long range_first(unsigned slot)
{
    return (long long)((uint64_t)slot << LAYOUT_UID_BITS);
}

static void delete_slot(struct store *store, unsigned slot)
{
    char sql[256];
    for (size_t i = 0; i < SLOT_TABLES; i++) {
        snprintf(sql, sizeof sql, "DELETE FROM main.%s WHERE %s >= %lld AND %s < %lld", slot_tables[i].table,
                 slot_tables[i].uid, range_first(slot), slot_tables[i].uid, range_first(slot + 1));
        store_exec(store, sql);
    }
}

bool store_slot_used(struct store *store, unsigned slot)
{
    char sql[256];
    sqlite3_stmt *statement;
    bool used = false;
    for (size_t i = 0; i < SLOT_TABLES && !used; i++) {
        snprintf(sql, sizeof sql, "SELECT 1 FROM main.%s WHERE %s >= %lld AND %s < %lld LIMIT 1", slot_tables[i].table,
                 slot_tables[i].uid, range_first(slot), slot_tables[i].uid, range_first(slot + 1));
        if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
            store_fatal(store, sql);
        used = store_step(store, statement);
        sqlite3_finalize(statement);
    }
    return used;
}

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
    delete_slot(store, slot);
    for (size_t i = 0; i < SLOT_TABLES; i++) {
        snprintf(sql, sizeof sql, "INSERT INTO main.%s SELECT %s FROM source.%s WHERE %s >= %lld AND %s < %lld",
                 slot_tables[i].table, slot_tables[i].columns, slot_tables[i].table, slot_tables[i].uid,
                 range_first(slot), slot_tables[i].uid, range_first(slot + 1));
        store_exec(store, sql);
    }
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
        delete_slot(store, slot);
        deleted = true;
    }
    store_commit(store);
    return deleted;
}
