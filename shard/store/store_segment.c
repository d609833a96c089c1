/* The table of segments: which positions of a stream lie in which file. Rows of a stream cover its positions up to
 * `offloaded` without gaps, from the oldest that retention has left. store_orphan.c draws the life of a file. */
#include "shard/store/store_segment.h"

#include "shard/store/store_sql.h"

static void store_segment_read_row(sqlite3_stmt *statement, uint64_t uid, struct segment_row *row)
{
    *row = (struct segment_row){
        .object = {uid, column_u64(statement, 0), column_bits(statement, 2)},
        .end = column_u64(statement, 1),
        .size = column_u64(statement, 3),
        .checksum = column_bits(statement, 4),
        .bytes = column_u64(statement, 5),
        .messages = column_u64(statement, 6),
        .time_ms = column_u64(statement, 7),
    };
}

/* One row, and the query is over: nothing of a segment's row is borrowed. */
static bool store_segment_take_row(struct store *store, sqlite3_stmt *statement, uint64_t uid, struct segment_row *row)
{
    if (!store_step(store, statement))
        return false;
    store_segment_read_row(statement, uid, row);
    sqlite3_reset(statement);
    return true;
}

bool store_segment(struct store *store, uint64_t uid, uint64_t position, struct segment_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SEGMENT_AT);
    bind_u64(statement, 1, uid);
    bind_u64(statement, 2, position);
    return store_segment_take_row(store, statement, uid, row);
}

bool store_segment_oldest(struct store *store, uint64_t uid, struct segment_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SEGMENT_OLDEST);
    bind_u64(statement, 1, uid);
    return store_segment_take_row(store, statement, uid, row);
}

size_t store_segments_last(struct store *store, uint64_t uid, struct segment_row *rows, size_t max)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SEGMENTS_LAST);
    size_t count = 0;
    bind_u64(statement, 1, uid);
    bind_u64(statement, 2, max);
    while (count < max && store_step(store, statement))
        store_segment_read_row(statement, uid, &rows[count++]);
    sqlite3_reset(statement);
    return count;
}

size_t store_segments_any(struct store *store, struct segment_row *rows, size_t max)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SEGMENTS_ANY);
    size_t count = 0;
    bind_u64(statement, 1, max);
    while (count < max && store_step(store, statement)) {
        store_segment_read_row(statement, column_u64(statement, 8), &rows[count]);
        count++;
    }
    sqlite3_reset(statement);
    return count;
}

uint64_t store_segments_count(struct store *store, uint64_t uid, uint64_t most, uint64_t *size)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SEGMENTS_COUNT);
    uint64_t count = 0;
    *size = 0;
    bind_u64(statement, 1, uid);
    bind_u64(statement, 2, most);
    if (store_step(store, statement)) {
        count = column_u64(statement, 0);
        *size = column_bits(statement, 1);
    }
    sqlite3_reset(statement);
    return count;
}

void store_segment_insert(struct store *store, const struct segment_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SEGMENT_INSERT);
    bind_u64(statement, 1, row->object.uid);
    bind_u64(statement, 2, row->object.start);
    bind_u64(statement, 3, row->end);
    bind_bits(statement, 4, row->object.id);
    bind_u64(statement, 5, row->size);
    bind_bits(statement, 6, row->checksum);
    bind_u64(statement, 7, row->bytes);
    bind_u64(statement, 8, row->messages);
    bind_u64(statement, 9, row->time_ms);
    store_run(store, statement);
}

/* Two statements of the open transaction: first every segment of the range is copied into the orphans, then deleted. A
 * file is so at any moment a segment's or an orphan's. */
void store_segments_orphan(struct store *store, uint64_t uid, uint64_t from, uint64_t to)
{
    static const enum store_sql steps[] = {SQL_SEGMENTS_ORPHANED, SQL_SEGMENTS_DELETE};
    for (size_t i = 0; i < 2; i++) {
        sqlite3_stmt *statement = store_prepare(store, steps[i]);
        bind_u64(statement, 1, uid);
        bind_u64(statement, 2, from);
        bind_u64(statement, 3, to);
        store_run(store, statement);
    }
}

bool store_segments_sum(struct store *store, struct segment_sums *sums, unsigned max)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SEGMENTS_AFTER);
    unsigned count = 0;
    bind_u64(statement, 1, sums->uid);
    bind_u64(statement, 2, sums->start);
    bind_u64(statement, 3, max);
    for (; store_step(store, statement); count++) {
        sums->uid = column_u64(statement, 0);
        sums->start = column_u64(statement, 1);
        sums->bytes += column_u64(statement, 2);
        sums->size += column_u64(statement, 3);
    }
    sums->count += count;
    return count == max;
}
