/* The rows of streams, chunks and segments, for those who look. A visit returns false if a row could not
 * be read, after it has visited the rows before that one: what can be read of a damaged table is still checked. */
#include "shard/store/store_look_rows.h"

#include "shard/store/extent.h"
#include "shard/store/store_look_sql.h"
#include "shard/store/store_row.h"
#include "shard/store/store_segment.h"
#include "shard/store/store_sql.h"
#include "shard/store/store_stream.h"

bool store_look_streams(struct store_look *look, store_look_stream *visit, void *ctx)
{
    sqlite3_stmt *statement = store_look_prepare(look, LOOK_STREAMS);
    enum look_step result;
    struct stream_row row;
    while ((result = store_look_step(look, statement)) == STEP_ROW) {
        stream_row_read(statement, &row);
        visit(ctx, &row);
    }
    return result == STEP_END;
}

bool store_look_stream_at(struct store_look *look, uint64_t uid, struct stream_row *row)
{
    sqlite3_stmt *statement = store_look_prepare(look, LOOK_STREAM_AT);
    if (!statement)
        return false;
    bind_u64(statement, 1, uid);
    if (store_look_step(look, statement) != STEP_ROW)
        return false;
    stream_row_read(statement, row);
    return true;
}

/* Without content SQLite reads the lengths from the heads of the rows and does not touch overflow pages. */
bool store_look_chunks(struct store_look *look, uint64_t uid, bool content, store_look_chunk *visit, void *ctx)
{
    sqlite3_stmt *statement = store_look_prepare(look, content ? LOOK_CHUNKS : LOOK_CHUNK_SIZES);
    enum look_step result;
    if (!statement)
        return false;
    bind_u64(statement, 1, uid);
    while ((result = store_look_step(look, statement)) == STEP_ROW) {
        const struct extent extent = {
            .start = column_u64(statement, 0),
            .count = column_u64(statement, 1),
            .time_ms = column_u64(statement, 2),
            .boundaries =
                content ? column_slice(statement, 3) : slice_of(NULL, (size_t)sqlite3_column_int64(statement, 3)),
            .data = content ? column_slice(statement, 4) : slice_of(NULL, (size_t)sqlite3_column_int64(statement, 4)),
        };
        visit(ctx, &extent);
    }
    return result == STEP_END;
}

/* Counts in the temporary table `tally`, which store_look_tables() compares with the counts of the database. */
bool store_look_shared(struct store_look *look, uint64_t id, struct extent *extent, bool *first)
{
    sqlite3_stmt *tally = store_look_prepare(look, LOOK_TALLY), *statement = store_look_prepare(look, LOOK_SHARED);
    if (!tally || !statement)
        return false;
    bind_u64(tally, 1, id);
    *first = store_look_step(look, tally) == STEP_ROW && sqlite3_column_int64(tally, 0) == 1;
    sqlite3_reset(tally);
    bind_u64(statement, 1, id);
    if (store_look_step(look, statement) != STEP_ROW)
        return false;
    extent->boundaries = column_slice(statement, 0);
    extent->data = column_slice(statement, 1);
    return true;
}

static void store_look_rows_segment(sqlite3_stmt *statement, struct segment_row *row)
{
    *row = (struct segment_row){
        .object = {column_u64(statement, 0), column_u64(statement, 1), column_bits(statement, 3)},
        .end = column_u64(statement, 2),
        .size = column_u64(statement, 4),
        .checksum = column_bits(statement, 5),
        .bytes = column_u64(statement, 6),
        .messages = column_u64(statement, 7),
        .time_ms = column_u64(statement, 8),
    };
}

bool store_look_segments(struct store_look *look, uint64_t uid, store_look_segment *visit, void *ctx)
{
    sqlite3_stmt *statement = store_look_prepare(look, LOOK_SEGMENTS);
    enum look_step result;
    struct segment_row row;
    if (!statement)
        return false;
    bind_u64(statement, 1, uid);
    while ((result = store_look_step(look, statement)) == STEP_ROW) {
        store_look_rows_segment(statement, &row);
        visit(ctx, &row);
    }
    return result == STEP_END;
}

size_t store_look_segments_after(struct store_look *look, const struct object *after, struct segment_row *rows,
                                 size_t max)
{
    sqlite3_stmt *statement = store_look_prepare(look, LOOK_SEGMENTS_AFTER);
    size_t count = 0;
    if (!statement)
        return 0;
    bind_u64(statement, 1, after->uid);
    bind_u64(statement, 2, after->start);
    bind_u64(statement, 3, max);
    while (count < max && store_look_step(look, statement) == STEP_ROW)
        store_look_rows_segment(statement, &rows[count++]);
    sqlite3_reset(statement);
    return count;
}

bool store_look_segment_there(struct store_look *look, const struct object *object)
{
    sqlite3_stmt *statement = store_look_prepare(look, LOOK_SEGMENT_THERE);
    if (!statement)
        return false;
    bind_u64(statement, 1, object->uid);
    bind_u64(statement, 2, object->start);
    bind_bits(statement, 3, object->id);
    return store_look_any(look, statement);
}
