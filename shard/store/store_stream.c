/* The store's streams, producers, pins and duties. */
#include "common/fault.h"
#include "shard/store/store_sql.h"

uint64_t stream_row_deadline(const struct stream_row *row)
{
    uint64_t deadline = row->expires_ms;
    if (row->ttl_s != STORE_NONE && row->accessed_ms + row->ttl_s * 1000 < deadline)
        deadline = row->accessed_ms + row->ttl_s * 1000;
    return deadline;
}

void stream_row_read(sqlite3_stmt *statement, struct stream_row *row)
{
    *row = (struct stream_row){
        .uid = column_u64(statement, 0),
        .name = column_slice(statement, 1),
        .state = (enum stream_state)column_u64(statement, 2),
        .content_type = column_slice(statement, 3),
        .base = column_u64(statement, 4),
        .flushed = column_u64(statement, 5),
        .closed = column_u64(statement, 6) != 0,
        .closer = column_slice(statement, 7),
        .closer_epoch = column_u64(statement, 8),
        .closer_seq = column_u64(statement, 9),
        .has_stream_seq = sqlite3_column_type(statement, 10) != SQLITE_NULL,
        .stream_seq = column_slice(statement, 10),
        .ttl_s = column_u64(statement, 11),
        .expires_ms = column_u64(statement, 12),
        .expires_text = column_slice(statement, 13),
        .expiry_inherited = column_u64(statement, 14) != 0,
        .accessed_ms = column_u64(statement, 15),
        .source_uid = column_u64(statement, 16),
        .pin = column_u64(statement, 17),
        .fork_position = column_u64(statement, 18),
        .fork_sub = column_u64(statement, 19),
        .source_name = column_slice(statement, 20),
        .lineage = column_slice(statement, 21),
        .is_public = column_u64(statement, 22) != 0,
        .bytes = column_u64(statement, 24),
        .kind = (unsigned)column_u64(statement, 25),
        .cold = column_u64(statement, 26),
        .hot_bytes = column_u64(statement, 27),
        .hot_messages = column_u64(statement, 28),
        .due = column_u64(statement, 29) != 0,
        .retention_s = column_u64(statement, 30),
        .retention_bytes = column_u64(statement, 31),
        .earliest = column_u64(statement, 32),
        .retain_ms = column_u64(statement, 33),
    };
    struct slice key = column_slice(statement, 23);
    if (key.len == READER_KEY_DIGITS)
        memcpy(row->reader_key, key.data, key.len);
}

bool store_stream_by_name(struct store *store, struct slice name, struct stream_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_STREAM_BY_NAME);
    bind_slice(statement, 1, name);
    if (!store_step(store, statement))
        return false;
    stream_row_read(statement, row);
    return true;
}

bool store_stream_by_uid(struct store *store, uint64_t uid, struct stream_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_STREAM_BY_UID);
    bind_u64(statement, 1, uid);
    if (!store_step(store, statement))
        return false;
    stream_row_read(statement, row);
    return true;
}

void store_streams_from(struct store *store, struct slice name, store_stream_visit *visit, void *ctx)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_STREAMS_FROM);
    struct stream_row row;
    bool more = true;
    bind_slice(statement, 1, name);
    while (more && store_step(store, statement)) {
        stream_row_read(statement, &row);
        more = visit(ctx, &row);
    }
    sqlite3_reset(statement);
}

void store_stream_insert(struct store *store, const struct stream_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_STREAM_INSERT);
    store->serials_due = true;
    bind_u64(statement, 1, row->uid);
    bind_slice(statement, 2, row->name);
    bind_u64(statement, 3, row->state);
    bind_slice(statement, 4, row->content_type);
    bind_u64(statement, 5, row->base);
    bind_u64(statement, 6, row->flushed);
    bind_u64(statement, 7, row->closed);
    bind_slice(statement, 8, row->closer);
    bind_u64(statement, 9, row->closer_epoch);
    bind_u64(statement, 10, row->closer_seq);
    if (row->has_stream_seq)
        bind_slice(statement, 11, row->stream_seq);
    else
        sqlite3_bind_null(statement, 11);
    bind_u64(statement, 12, row->ttl_s);
    bind_u64(statement, 13, row->expires_ms);
    bind_slice(statement, 14, row->expires_text);
    bind_u64(statement, 15, row->expiry_inherited);
    bind_u64(statement, 16, row->accessed_ms);
    bind_u64(statement, 17, row->source_uid);
    sqlite3_bind_int64(statement, 18, (sqlite3_int64)row->pin);
    bind_u64(statement, 19, row->fork_position);
    bind_u64(statement, 20, row->fork_sub);
    bind_slice(statement, 21, row->source_name);
    bind_slice(statement, 22, row->lineage);
    bind_u64(statement, 23, row->is_public);
    bind_slice(statement, 24, slice_of(row->reader_key, READER_KEY_DIGITS));
    bind_u64(statement, 25, row->bytes);
    bind_u64(statement, 26, row->kind);
    bind_u64(statement, 27, row->cold);
    bind_u64(statement, 28, row->hot_bytes);
    bind_u64(statement, 29, row->hot_messages);
    bind_u64(statement, 30, row->due);
    bind_u64(statement, 31, row->retention_s);
    bind_u64(statement, 32, row->retention_bytes);
    bind_u64(statement, 33, row->earliest);
    bind_u64(statement, 34, row->retain_ms);
    bind_u64(statement, 35, stream_row_deadline(row));
    store_run(store, statement);
}

void store_stream_update(struct store *store, const struct stream_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_STREAM_UPDATE);
    bind_u64(statement, 1, row->uid);
    bind_u64(statement, 2, row->flushed);
    bind_u64(statement, 3, row->closed);
    bind_slice(statement, 4, row->closer);
    bind_u64(statement, 5, row->closer_epoch);
    bind_u64(statement, 6, row->closer_seq);
    if (row->has_stream_seq)
        bind_slice(statement, 7, row->stream_seq);
    else
        sqlite3_bind_null(statement, 7);
    bind_u64(statement, 8, row->accessed_ms);
    bind_u64(statement, 9, row->state == STREAM_LIVE ? stream_row_deadline(row) : STORE_NONE);
    bind_u64(statement, 10, row->bytes);
    bind_u64(statement, 11, row->hot_bytes);
    bind_u64(statement, 12, row->hot_messages);
    bind_u64(statement, 13, row->due);
    bind_u64(statement, 14, row->retain_ms);
    store_run(store, statement);
}

void store_stream_set_retained(struct store *store, const struct stream_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_STREAM_SET_RETAINED);
    bind_u64(statement, 1, row->uid);
    bind_u64(statement, 2, row->earliest);
    bind_u64(statement, 3, row->bytes);
    bind_u64(statement, 4, row->retain_ms);
    store_run(store, statement);
}

void store_stream_set_kind(struct store *store, const struct stream_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_STREAM_SET_KIND);
    bind_u64(statement, 1, row->uid);
    bind_u64(statement, 2, row->kind);
    bind_u64(statement, 3, row->expires_ms);
    bind_slice(statement, 4, row->expires_text);
    bind_u64(statement, 5, row->state == STREAM_LIVE ? stream_row_deadline(row) : STORE_NONE);
    store_run(store, statement);
}

void store_stream_touch(struct store *store, const struct stream_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_STREAM_TOUCH);
    bind_u64(statement, 1, row->uid);
    bind_u64(statement, 2, row->accessed_ms);
    bind_u64(statement, 3, row->state == STREAM_LIVE ? stream_row_deadline(row) : STORE_NONE);
    store_run(store, statement);
}

static void store_stream_run_with_uid(struct store *store, enum store_sql sql, uint64_t uid)
{
    sqlite3_stmt *statement = store_prepare(store, sql);
    bind_u64(statement, 1, uid);
    store_run(store, statement);
}

void store_stream_soft_delete(struct store *store, uint64_t uid)
{
    store_stream_run_with_uid(store, SQL_STREAM_SOFT_DELETE, uid);
}

void store_stream_set_deleting(struct store *store, uint64_t uid)
{
    fault_point("shard.condemn");
    store_stream_run_with_uid(store, SQL_STREAM_SET_DELETING, uid);
}

void store_usage(struct store *store, struct slice project, uint64_t *streams, uint64_t *bytes)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_USAGE);
    *streams = *bytes = 0;
    bind_slice(statement, 1, project);
    if (store_step(store, statement)) {
        *streams = column_u64(statement, 0);
        *bytes = column_u64(statement, 1);
    }
    sqlite3_reset(statement);
}

void store_usage_all(struct store *store, uint64_t *streams, uint64_t *bytes)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_USAGE_ALL);
    *streams = *bytes = 0;
    if (store_step(store, statement)) {
        *streams = column_u64(statement, 0);
        *bytes = column_u64(statement, 1);
    }
    sqlite3_reset(statement);
}

static size_t store_stream_uids_until(struct store *store, enum store_sql sql, uint64_t now_ms, uint64_t *uids,
                                      size_t max)
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
    return store_stream_uids_until(store, SQL_STREAM_EXPIRED, now_ms, uids, max);
}

size_t store_retained(struct store *store, uint64_t now_ms, uint64_t *uids, size_t max)
{
    return store_stream_uids_until(store, SQL_STREAM_RETAINED, now_ms, uids, max);
}

static bool store_stream_deleting(struct store *store, uint64_t *uid)
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
    return store_stream_deleting(store, &uid);
}

void store_deleting_slice(struct store *store)
{
    uint64_t uid;
    if (!store_stream_deleting(store, &uid))
        return;
    store_segments_orphan(store, uid, 0, STORE_NONE);
    store_shared_let_go(store, uid);
    store_stream_run_with_uid(store, SQL_CHUNK_SLICE, uid);
    if (sqlite3_changes(store->db) > 0)
        return;
    store_stream_run_with_uid(store, SQL_PRODUCER_SLICE, uid);
    if (sqlite3_changes(store->db) == 0)
        store_stream_run_with_uid(store, SQL_STREAM_DELETE, uid);
}

/* ---- producers ---- */

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

static uint64_t store_stream_count_up_to(struct store *store, enum store_sql sql, uint64_t uid, uint64_t most)
{
    sqlite3_stmt *statement = store_prepare(store, sql);
    bind_u64(statement, 1, uid);
    bind_u64(statement, 2, most);
    uint64_t count = store_step(store, statement) ? column_u64(statement, 0) : 0;
    sqlite3_reset(statement);
    return count;
}

uint64_t store_producers_count(struct store *store, uint64_t uid, uint64_t most)
{
    return store_stream_count_up_to(store, SQL_PRODUCERS_COUNT, uid, most);
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

void store_producer_put(struct store *store, uint64_t uid, struct slice id, uint64_t epoch, uint64_t seq)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_PRODUCER_PUT);
    bind_u64(statement, 1, uid);
    bind_slice(statement, 2, id);
    bind_u64(statement, 3, epoch);
    bind_u64(statement, 4, seq);
    store_run(store, statement);
}

/* ---- pins and duties; a pin is 64 random bits, so it is bound as it is ---- */

static sqlite3_stmt *store_stream_prepare_pin(struct store *store, enum store_sql sql, uint64_t source_uid,
                                              uint64_t pin)
{
    sqlite3_stmt *statement = store_prepare(store, sql);
    bind_u64(statement, 1, source_uid);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)pin);
    return statement;
}

void store_pin_insert(struct store *store, uint64_t source_uid, uint64_t pin, struct slice fork, uint64_t now_ms)
{
    sqlite3_stmt *statement = store_stream_prepare_pin(store, SQL_PIN_INSERT, source_uid, pin);
    bind_slice(statement, 3, fork);
    bind_u64(statement, 4, now_ms);
    store_run(store, statement);
}

void store_pin_delete(struct store *store, uint64_t source_uid, uint64_t pin)
{
    store_run(store, store_stream_prepare_pin(store, SQL_PIN_DELETE, source_uid, pin));
}

void store_pin_confirm(struct store *store, uint64_t source_uid, uint64_t pin)
{
    store_run(store, store_stream_prepare_pin(store, SQL_PIN_CONFIRM, source_uid, pin));
}

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
    return store_stream_count_up_to(store, SQL_PINS_COUNT, source_uid, most);
}

void store_pins_unconfirmed(struct store *store, uint64_t since_ms, uint64_t now_ms, unsigned max,
                            store_pin_visit *visit, void *ctx)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_PINS_UNCONFIRMED);
    bind_u64(statement, 1, since_ms);
    bind_u64(statement, 2, max);
    bind_u64(statement, 3, now_ms);
    while (store_step(store, statement))
        visit(ctx, column_u64(statement, 0), (uint64_t)sqlite3_column_int64(statement, 1), column_slice(statement, 2));
}

void store_unpin_insert(struct store *store, uint64_t fork_uid, uint64_t source_uid, uint64_t pin)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_UNPIN_INSERT);
    bind_u64(statement, 1, fork_uid);
    bind_u64(statement, 2, source_uid);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)pin);
    store_run(store, statement);
}

void store_unpin_delete(struct store *store, uint64_t fork_uid)
{
    store_stream_run_with_uid(store, SQL_UNPIN_DELETE, fork_uid);
}

void store_unpin_queue(struct store *store, store_unpin_visit *visit, void *ctx)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_UNPIN_QUEUE);
    while (store_step(store, statement))
        visit(ctx, column_u64(statement, 0), column_u64(statement, 1), (uint64_t)sqlite3_column_int64(statement, 2));
}
