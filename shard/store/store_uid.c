/* Serial numbers of slots.
 *
 *     uid   | 0 ... 0 | slot, 10 bits | serial number, 44 bits |      bit 0 is at the right
 *
 * A serial number tells the stream's life (common/layout.h): it is the time, unless the slot has given that or a later
 * one. A clock that goes back costs nothing, since the numbers go on from the last one.
 *
 * All of them are in memory. A slot whose number has grown is dirty; it is written with the first commit that takes the
 * proof of it away: when a batch leaves the journal, or a row is inserted that no entry of the journal has announced.
 * Until then recovery finds the numbers in the journal. */
#include "shard/store/store_uid.h"

#include "shard/store/store_sql.h"

void store_uid_load(struct store *store)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SLOT_ALL);
    while (store_step(store, statement)) {
        uint64_t slot = column_u64(statement, 0);
        if (slot < LAYOUT_SLOTS)
            store->next_serial[slot] = column_u64(statement, 1);
    }
}

void store_uid_save(struct store *store)
{
    if (!store->serials_due)
        return;
    for (unsigned i = 0; i < store->dirty_count; i++) {
        unsigned slot = store->dirty_slots[i];
        sqlite3_stmt *statement = store_prepare(store, SQL_SLOT_PUT);
        bind_u64(statement, 1, slot);
        bind_u64(statement, 2, store->next_serial[slot]);
        store_run(store, statement);
        store->slot_dirty[slot] = false;
    }
    store->dirty_count = 0;
    store->serials_due = false;
}

static void store_uid_mark_slot(struct store *store, unsigned slot)
{
    if (store->slot_dirty[slot])
        return;
    store->slot_dirty[slot] = true;
    store->dirty_slots[store->dirty_count++] = slot;
}

void store_uid_given(struct store *store, uint64_t uid)
{
    unsigned slot = layout_slot_of_uid(uid);
    uint64_t serial = uid - ((uint64_t)slot << LAYOUT_UID_BITS);
    if (slot >= LAYOUT_SLOTS || serial <= store->next_serial[slot])
        return;
    store->next_serial[slot] = serial;
    store_uid_mark_slot(store, slot);
}

/* A number is given in memory; what is not written down with this commit is in the journal, or in no row at all. */
uint64_t store_next_uid(struct store *store, unsigned slot, uint64_t serial)
{
    uint64_t last = store->next_serial[slot];
    store_uid_mark_slot(store, slot);
    store->next_serial[slot] = serial > last ? serial : last + 1;
    return ((uint64_t)slot << LAYOUT_UID_BITS) + store->next_serial[slot];
}
