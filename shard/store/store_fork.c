/* Pins and the unpin queue. The fork's shard keeps an entry in its queue until the source's shard has confirmed that
 * the pin is gone, so a pin outlives every crash between the two, and a source every fork. */
#include "shard/store/store_fork.h"

#include "shard/store/store_sql.h"

static sqlite3_stmt *store_fork_prepare_pin(struct store *store, enum store_sql sql, uint64_t source_uid, uint64_t pin)
{
    sqlite3_stmt *statement = store_prepare(store, sql);
    bind_u64(statement, 1, source_uid);
    bind_bits(statement, 2, pin);
    return statement;
}

void store_pin_insert(struct store *store, uint64_t source_uid, uint64_t pin, struct slice fork, uint64_t now_ms)
{
    sqlite3_stmt *statement = store_fork_prepare_pin(store, SQL_PIN_INSERT, source_uid, pin);
    bind_slice(statement, 3, fork);
    bind_u64(statement, 4, now_ms);
    store_run(store, statement);
}

void store_pin_delete(struct store *store, uint64_t source_uid, uint64_t pin)
{
    store_run(store, store_fork_prepare_pin(store, SQL_PIN_DELETE, source_uid, pin));
}

void store_pin_confirm(struct store *store, uint64_t source_uid, uint64_t pin)
{
    store_run(store, store_fork_prepare_pin(store, SQL_PIN_CONFIRM, source_uid, pin));
}

/* Asked whenever a source could end, so it looks for one pin and does not count them. */
bool store_pinned(struct store *store, uint64_t source_uid)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_PINNED);
    bind_u64(statement, 1, source_uid);
    bool found = store_step(store, statement);
    sqlite3_reset(statement);
    return found;
}

uint64_t store_pins_count(struct store *store, uint64_t source_uid, uint64_t most)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_PINS_COUNT);
    bind_u64(statement, 1, source_uid);
    bind_u64(statement, 2, most);
    return store_get(store, statement);
}

void store_pins_unconfirmed(struct store *store, uint64_t since_ms, uint64_t now_ms, unsigned max,
                            store_pin_visit *visit, void *ctx)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_PINS_UNCONFIRMED);
    bind_u64(statement, 1, since_ms);
    bind_u64(statement, 2, max);
    bind_u64(statement, 3, now_ms);
    while (store_step(store, statement))
        visit(ctx, column_u64(statement, 0), column_bits(statement, 1), column_slice(statement, 2));
}

void store_unpin_insert(struct store *store, uint64_t fork_uid, uint64_t source_uid, uint64_t pin)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_UNPIN_INSERT);
    bind_u64(statement, 1, fork_uid);
    bind_u64(statement, 2, source_uid);
    bind_bits(statement, 3, pin);
    store_run(store, statement);
}

void store_unpin_delete(struct store *store, uint64_t fork_uid)
{
    store_run_with(store, SQL_UNPIN_DELETE, fork_uid);
}

/* A thousand are enough: what is confirmed leaves the queue, and the rest comes next time. */
void store_unpin_queue(struct store *store, store_unpin_visit *visit, void *ctx)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_UNPIN_QUEUE);
    while (store_step(store, statement))
        visit(ctx, column_u64(statement, 0), column_u64(statement, 1), column_bits(statement, 2));
}
