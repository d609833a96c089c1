/* The table of streams. A column that a query need not read comes last, so that SQLite never touches its pages. The
 * deadline of a live stream is a column of its own, for the index that finds expired streams.
 *
 *     live (0) --soft_delete: a fork or feed needs it--> soft-deleted (1) --set_deleting--> deleting (2) --> no row
 *        |                                                                                      ^
 *        +--------------------------set_deleting------------------------------------------------+
 *
 * A deleting stream has lost its name, so that the name is free at once; the janitor deletes its rows later, a slice a
 * turn (store_upkeep.c). */
#include "shard/store/store_stream.h"

#include <string.h>

#include "common/fault.h"
#include "common/layout.h"
#include "common/lives.h"
#include "common/media_type.h"
#include "shard/store/store_row.h"
#include "shard/store/store_sql.h"
#include "shard/store/store_uid.h"

bool stream_row_is_json(const struct stream_row *row)
{
    return (row->kind & STREAM_KIND_JSON) || media_type_is_application_json(row->content_type);
}

struct slice stream_row_lives(const struct stream_row *row, char room[LIVES_ONE])
{
    return row->lives.len ? row->lives : lives_one(layout_life_of_uid(row->uid), room);
}

uint64_t stream_row_deadline(const struct stream_row *row)
{
    uint64_t deadline = row->expires_ms;
    if (row->ttl_s != STORE_NONE && row->accessed_ms + row->ttl_s * 1000 < deadline)
        deadline = row->accessed_ms + row->ttl_s * 1000;
    return deadline;
}

/* Columns in the order of STREAM_COLUMNS, which store_look reads too. */
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
        .offloaded = column_u64(statement, 26),
        .chunk_bytes = column_u64(statement, 27),
        .chunk_messages = column_u64(statement, 28),
        .due = column_u64(statement, 29) != 0,
        .retention_s = column_u64(statement, 30),
        .retention_bytes = column_u64(statement, 31),
        .earliest = column_u64(statement, 32),
        .retain_ms = column_u64(statement, 33),
        .lives = column_slice(statement, 34),
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

/* The row's number may be in no entry of the journal (a fork, an estuary), so serial numbers are written with it. */
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
    bind_u64(statement, 27, row->offloaded);
    bind_u64(statement, 28, row->chunk_bytes);
    bind_u64(statement, 29, row->chunk_messages);
    bind_u64(statement, 30, row->due);
    bind_u64(statement, 31, row->retention_s);
    bind_u64(statement, 32, row->retention_bytes);
    bind_u64(statement, 33, row->earliest);
    bind_u64(statement, 34, row->retain_ms);
    bind_slice(statement, 35, row->lives);
    bind_u64(statement, 36, stream_row_deadline(row));
    store_run(store, statement);
}

/* A stream that is not live has no deadline: the index of deadlines then does not have it, and nothing expires twice.
 */
static uint64_t store_stream_deadline(const struct stream_row *row)
{
    return row->state == STREAM_LIVE ? stream_row_deadline(row) : STORE_NONE;
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
    bind_u64(statement, 9, store_stream_deadline(row));
    bind_u64(statement, 10, row->bytes);
    bind_u64(statement, 11, row->chunk_bytes);
    bind_u64(statement, 12, row->chunk_messages);
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

void store_stream_set_offloaded(struct store *store, const struct stream_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_STREAM_SET_OFFLOADED);
    bind_u64(statement, 1, row->uid);
    bind_u64(statement, 2, row->offloaded);
    bind_u64(statement, 3, row->chunk_bytes);
    bind_u64(statement, 4, row->chunk_messages);
    bind_u64(statement, 5, row->due);
    store_run(store, statement);
}

void store_stream_set_kind(struct store *store, const struct stream_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_STREAM_SET_KIND);
    bind_u64(statement, 1, row->uid);
    bind_u64(statement, 2, row->kind);
    bind_u64(statement, 3, row->expires_ms);
    bind_slice(statement, 4, row->expires_text);
    bind_u64(statement, 5, store_stream_deadline(row));
    store_run(store, statement);
}

void store_stream_set_lives(struct store *store, const struct stream_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_STREAM_SET_LIVES);
    bind_u64(statement, 1, row->uid);
    bind_slice(statement, 2, row->lives);
    store_run(store, statement);
    store_uid_given(store, layout_uid_of_life(lives_newest(row->lives).life));
    store->serials_due = true;
}

void store_stream_touch(struct store *store, const struct stream_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_STREAM_TOUCH);
    bind_u64(statement, 1, row->uid);
    bind_u64(statement, 2, row->accessed_ms);
    bind_u64(statement, 3, store_stream_deadline(row));
    store_run(store, statement);
}

void store_stream_soft_delete(struct store *store, uint64_t uid)
{
    store_run_with(store, SQL_STREAM_SOFT_DELETE, uid);
}

void store_stream_set_deleting(struct store *store, uint64_t uid)
{
    fault_point("shard.deleting");
    store_run_with(store, SQL_STREAM_SET_DELETING, uid);
}

/* Both queries use the index of streams that are due, and cost nothing while there are none. */
uint64_t store_next_due(struct store *store, uint64_t uid)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_STREAM_DUE);
    bind_u64(statement, 1, uid);
    uint64_t next = store_step(store, statement) ? column_u64(statement, 0) : STORE_NONE;
    sqlite3_reset(statement);
    return next;
}

uint64_t store_backlog(struct store *store)
{
    return store_get(store, store_prepare(store, SQL_BACKLOG));
}
