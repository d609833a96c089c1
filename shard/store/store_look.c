#include "shard/store/store_look.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/version.h"
#include "shard/store/store_sql.h"

#define BUSY_MS 5000
#define LINES_MAX "200" /* of one kind */

enum look_sql {
    LOOK_STREAMS,
    LOOK_STREAM_AT,
    LOOK_CHUNKS,
    LOOK_CHUNK_SIZES,
    LOOK_SHARED,
    LOOK_TALLY,
    LOOK_SEGMENTS,
    LOOK_SEGMENTS_AFTER,
    LOOK_SEGMENT_THERE,
    LOOK_JOURNAL,
    LOOK_FRESH,
    LOOK_FRESH_PUT,
    LOOK_FORKS,
    LOOK_FORK_THERE,
    LOOK_PIN_THERE,
    LOOK_SUBSCRIPTIONS,
    LOOK_SUBSCRIPTION_THERE,
    LOOK_FEED_THERE,
    LOOK_COUNT
};

#define SEGMENT_COLUMNS "uid, start, until, object, size, checksum, bytes, messages, time_ms"
#define HOLDING_FORKS "state < 2 AND source_uid IS NOT NULL AND earliest <= base"
#define IN_FORCE "until_position IS NULL AND from_position IS NOT NULL"

static const char *const store_look_texts[LOOK_COUNT] = {
    [LOOK_STREAMS] = "SELECT " STREAM_COLUMNS " FROM stream ORDER BY uid",
    [LOOK_STREAM_AT] = "SELECT " STREAM_COLUMNS " FROM stream WHERE uid = ?1",
    [LOOK_CHUNKS] = "SELECT start, count, time_ms, marks, data FROM chunk WHERE uid = ?1 ORDER BY start",
    [LOOK_CHUNK_SIZES] = "SELECT start, count, time_ms, length(marks), length(data) FROM chunk WHERE uid = ?1"
                         " ORDER BY start",
    [LOOK_SHARED] = "SELECT marks, data FROM shared WHERE id = ?1",
    [LOOK_TALLY] = "INSERT INTO tally(id, refs) VALUES(?1, 1) ON CONFLICT(id) DO UPDATE SET refs = refs + 1"
                   " RETURNING refs",
    [LOOK_SEGMENTS] = "SELECT " SEGMENT_COLUMNS " FROM segment WHERE uid = ?1 ORDER BY start",
    [LOOK_SEGMENTS_AFTER] = "SELECT " SEGMENT_COLUMNS " FROM segment WHERE (uid, start) > (?1, ?2)"
                            " AND uid IN (SELECT uid FROM stream WHERE state < 2) ORDER BY uid, start LIMIT ?3",
    [LOOK_SEGMENT_THERE] = "SELECT 1 FROM segment JOIN stream USING(uid) WHERE uid = ?1 AND start = ?2 AND object = ?3"
                           " AND state < 2",
    [LOOK_JOURNAL] = "SELECT seq, heads, data FROM log ORDER BY seq",
    [LOOK_FRESH] = "SELECT tail, known, gone, closed, json FROM fresh WHERE uid = ?1",
    [LOOK_FRESH_PUT] = "INSERT OR REPLACE INTO fresh(uid, tail, known, gone, closed, json) VALUES(?1,?2,?3,?4,?5,?6)",
    [LOOK_FORKS] = "SELECT uid, source_uid, pin FROM stream WHERE " HOLDING_FORKS,
    [LOOK_FORK_THERE] = "SELECT 1 FROM stream WHERE uid = ?1 AND source_uid = ?2 AND pin = ?3 AND " HOLDING_FORKS,
    [LOOK_PIN_THERE] = "SELECT 1 FROM pin WHERE source_uid = ?2 AND pin = ?3 AND ?1 IS NOT NULL",
    [LOOK_SUBSCRIPTIONS] = "SELECT estuary_uid, source_uid, 0 FROM subscription WHERE " IN_FORCE,
    [LOOK_SUBSCRIPTION_THERE] = "SELECT 1 FROM subscription WHERE estuary_uid = ?1 AND source_uid = ?2 AND ?3 = 0"
                                " AND " IN_FORCE,
    [LOOK_FEED_THERE] = "SELECT 1 FROM feed WHERE source_uid = ?1 AND shard = ?2",
};

/* What the log tells of streams, and who refers to shared bytes. */
static const char store_look_scratch[] =
    "CREATE TEMP TABLE fresh(uid INTEGER PRIMARY KEY, tail, known, gone, closed, json);"
    "CREATE TEMP TABLE tally(id INTEGER PRIMARY KEY, refs)";

#define STREAM_TEXT(uid) "'stream ' || printf('%016llx', " uid ")"
#define THERE "SELECT uid FROM stream WHERE state < 2 UNION ALL SELECT uid FROM fresh WHERE known AND NOT gone"

/* Each gives a line a row. The text of a stream that is there is its name, the rest is told by its uid. */
static const struct {
    const char *sql;
    bool shared; /* only where all references were seen */
} store_look_checks[] = {
    {"SELECT 'chunks of ' || " STREAM_TEXT("uid") " || ', which is not there' FROM (SELECT DISTINCT uid FROM chunk)"
                                                  " WHERE uid NOT IN (SELECT uid FROM stream) LIMIT " LINES_MAX,
     false},
    {"SELECT 'segments of ' || " STREAM_TEXT("uid") " || ', which is not there' FROM (SELECT DISTINCT uid FROM segment)"
                                                    " WHERE uid NOT IN (SELECT uid FROM stream) LIMIT " LINES_MAX,
     false},
    {"SELECT 'producers of ' || " STREAM_TEXT(
         "uid") " || ', which is not there' FROM (SELECT DISTINCT uid FROM"
                " producer) WHERE uid NOT IN (SELECT uid FROM stream) LIMIT " LINES_MAX,
     false},
    {"SELECT 'the log has appends to ' || " STREAM_TEXT("uid") " || ', which is not there' FROM fresh WHERE NOT known"
                                                               " AND NOT gone LIMIT " LINES_MAX,
     false},
    {"SELECT 'a pin of ' || " STREAM_TEXT(
         "source_uid") " || ', which is not there' FROM pin WHERE source_uid NOT IN (" THERE ") LIMIT " LINES_MAX,
     false},
    {"SELECT 'a feed of ' || " STREAM_TEXT("source_uid") " || ', which is not there' FROM feed WHERE state < 2 AND"
                                                         " source_uid NOT IN (" THERE ") LIMIT " LINES_MAX,
     false},
    {"SELECT 'a subscription to ' || " STREAM_TEXT("source_uid") " || ' without its inflow' FROM subscription WHERE"
                                                                 " from_position IS NOT NULL AND source_uid NOT IN "
                                                                 "(SELECT source_uid FROM inflow) LIMIT " LINES_MAX,
     false},
    {"SELECT 'a subscription of ' || " STREAM_TEXT(
         "estuary_uid") " || ', which is no estuary that is there' FROM"
                        " subscription WHERE estuary_uid NOT IN (SELECT uid FROM stream WHERE state = 0 AND kind & 1) "
                        "LIMIT " LINES_MAX,
     false},
    {"SELECT 'the segment of ' || " STREAM_TEXT("uid") " || ' at ' || start || ' is an orphan, too' FROM segment JOIN"
                                                       " orphan USING(uid, start, object) LIMIT " LINES_MAX,
     false},
    {"SELECT 'slot ' || (uid >> 44) || ' gives numbers again: ' || " STREAM_TEXT(
         "max(uid)") " || ' has one' FROM stream"
                     " GROUP BY uid >> 44 HAVING max(uid) & ((1 << 44) - 1) > ifnull((SELECT next_serial FROM slot "
                     "WHERE slot ="
                     " uid >> 44), 0) LIMIT " LINES_MAX,
     false},
    {"SELECT 'project ' || CAST(project AS TEXT) || ' has ' || sum(streams) || ' streams and ' || sum(bytes) ||"
     " ' bytes, ' || sum(counted) || ' and ' || sum(counted_bytes) || ' are counted' FROM (SELECT substr(name, 1,"
     " instr(name, x'2f') - 1) AS project, state = 0 AS streams, bytes, 0 AS counted, 0 AS counted_bytes FROM stream"
     " WHERE name IS NOT NULL UNION ALL SELECT project, 0, 0, streams, bytes FROM usage) GROUP BY project"
     " HAVING sum(streams) <> sum(counted) OR sum(bytes) <> sum(counted_bytes) LIMIT " LINES_MAX,
     false},
    {"SELECT 'shared bytes ' || printf('%016llx', s.id) || ' count ' || s.refs || ' references, there are ' ||"
     " ifnull(t.refs, 0) FROM shared s LEFT JOIN tally t ON t.id = s.id WHERE s.refs <> ifnull(t.refs, 0)"
     " LIMIT " LINES_MAX,
     true},
};

struct store_look {
    sqlite3 *db;
    sqlite3_stmt *statements[LOOK_COUNT];
    char error[512];
};

/* ---- statements ---- */

static bool store_look_failed(struct store_look *look)
{
    snprintf(look->error, sizeof look->error, "%s", look->db ? sqlite3_errmsg(look->db) : "out of memory");
    return false;
}

/* NULL: it has failed. */
static sqlite3_stmt *store_look_prepare(struct store_look *look, enum look_sql sql)
{
    sqlite3_stmt **statement = &look->statements[sql];
    if (*statement)
        sqlite3_reset(*statement);
    else if (sqlite3_prepare_v3(look->db, store_look_texts[sql], -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) !=
             SQLITE_OK)
        (void)store_look_failed(look);
    return *statement;
}

enum step { STEP_ROW, STEP_END, STEP_FAILED };

static enum step store_look_step(struct store_look *look, sqlite3_stmt *statement)
{
    int rc = statement ? sqlite3_step(statement) : SQLITE_ERROR;
    if (rc == SQLITE_ROW)
        return STEP_ROW;
    if (statement && rc != SQLITE_DONE)
        (void)store_look_failed(look);
    if (statement)
        sqlite3_reset(statement);
    return rc == SQLITE_DONE ? STEP_END : STEP_FAILED;
}

/* Whether there is a row. */
static bool store_look_any(struct store_look *look, sqlite3_stmt *statement)
{
    bool found = store_look_step(look, statement) == STEP_ROW;
    if (statement)
        sqlite3_reset(statement);
    return found;
}

static bool store_look_run(struct store_look *look, const char *sql)
{
    return sqlite3_exec(look->db, sql, NULL, NULL, NULL) == SQLITE_OK || store_look_failed(look);
}

static sqlite3_stmt *store_look_prepare_bond(struct store_look *look, enum look_sql sql, const struct store_bond *bond)
{
    sqlite3_stmt *statement = store_look_prepare(look, sql);
    if (!statement)
        return NULL;
    bind_u64(statement, 1, bond->uid);
    bind_u64(statement, 2, bond->source_uid);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)bond->pin);
    return statement;
}

/* ---- the database ---- */

bool store_look_open(struct store_look **out, const char *path)
{
    struct store_look *look = *out = xcalloc(1, sizeof *look);
    if (sqlite3_open_v2(path, &look->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL) !=
        SQLITE_OK)
        return store_look_failed(look);
    sqlite3_busy_timeout(look->db, BUSY_MS);
    sqlite3_db_config(look->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return store_look_run(look, "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536; PRAGMA cell_size_check = ON;"
                                "PRAGMA trusted_schema = OFF") &&
           store_look_run(look, store_look_scratch);
}

void store_look_close(struct store_look *look)
{
    for (size_t i = 0; i < LOOK_COUNT; i++)
        sqlite3_finalize(look->statements[i]);
    sqlite3_close(look->db);
    free(look);
}

const char *store_look_error(const struct store_look *look)
{
    return look->error;
}

static bool store_look_number(struct store_look *look, const char *sql, int64_t *value)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(look->db, sql, -1, &statement, NULL) != SQLITE_OK)
        return store_look_failed(look);
    bool found = store_look_step(look, statement) == STEP_ROW;
    if (found)
        *value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return found;
}

const char *store_look_schema(struct store_look *look)
{
    int64_t application, version;
    if (!store_look_number(look, "PRAGMA application_id", &application) ||
        !store_look_number(look, "PRAGMA user_version", &version))
        return look->error;
    if (application != STORE_APPLICATION_ID)
        snprintf(look->error, sizeof look->error, "it is not a streamd database");
    else if (version < STREAMD_DATA_OLDEST || version > STREAMD_DATA_VERSION)
        snprintf(look->error, sizeof look->error, "its schema version is %lld; this streamd knows %d",
                 (long long)version, STREAMD_DATA_VERSION);
    else
        return NULL;
    return look->error;
}

void store_look_begin(struct store_look *look)
{
    (void)store_look_run(look, "BEGIN");
}

void store_look_release(struct store_look *look)
{
    for (size_t i = 0; i < LOOK_COUNT; i++)
        if (look->statements[i])
            sqlite3_reset(look->statements[i]);
}

void store_look_end(struct store_look *look)
{
    store_look_release(look);
    (void)store_look_run(look, "COMMIT");
}

/* Calls visit with the text of each row, but for "ok". */
static bool store_look_visit_texts(struct store_look *look, const char *sql, store_look_text *visit, void *ctx)
{
    sqlite3_stmt *statement;
    enum step result;
    if (sqlite3_prepare_v2(look->db, sql, -1, &statement, NULL) != SQLITE_OK)
        return store_look_failed(look);
    while ((result = store_look_step(look, statement)) == STEP_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (text && strcmp(text, "ok") != 0)
            visit(ctx, text);
    }
    sqlite3_finalize(statement);
    return result == STEP_END;
}

bool store_look_integrity(struct store_look *look, bool quick, store_look_text *visit, void *ctx)
{
    return store_look_visit_texts(look, quick ? "PRAGMA quick_check(100)" : "PRAGMA integrity_check(100)", visit, ctx);
}

bool store_look_tables(struct store_look *look, bool shared, store_look_text *visit, void *ctx)
{
    bool good = true;
    for (size_t i = 0; i < sizeof store_look_checks / sizeof store_look_checks[0]; i++)
        if (shared || !store_look_checks[i].shared)
            good &= store_look_visit_texts(look, store_look_checks[i].sql, visit, ctx);
    return good;
}

/* ---- streams and their bytes ---- */

bool store_look_streams(struct store_look *look, store_look_stream *visit, void *ctx)
{
    sqlite3_stmt *statement = store_look_prepare(look, LOOK_STREAMS);
    enum step result;
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

bool store_look_chunks(struct store_look *look, uint64_t uid, bool content, store_look_chunk *visit, void *ctx)
{
    sqlite3_stmt *statement = store_look_prepare(look, content ? LOOK_CHUNKS : LOOK_CHUNK_SIZES);
    enum step result;
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

/* ---- segments ---- */

static void store_look_read_segment(sqlite3_stmt *statement, struct segment_row *row)
{
    *row = (struct segment_row){
        .object = {column_u64(statement, 0), column_u64(statement, 1), (uint64_t)sqlite3_column_int64(statement, 3)},
        .end = column_u64(statement, 2),
        .size = column_u64(statement, 4),
        .checksum = (uint64_t)sqlite3_column_int64(statement, 5),
        .bytes = column_u64(statement, 6),
        .messages = column_u64(statement, 7),
        .time_ms = column_u64(statement, 8),
    };
}

bool store_look_segments(struct store_look *look, uint64_t uid, store_look_segment *visit, void *ctx)
{
    sqlite3_stmt *statement = store_look_prepare(look, LOOK_SEGMENTS);
    enum step result;
    struct segment_row row;
    if (!statement)
        return false;
    bind_u64(statement, 1, uid);
    while ((result = store_look_step(look, statement)) == STEP_ROW) {
        store_look_read_segment(statement, &row);
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
        store_look_read_segment(statement, &rows[count++]);
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
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)object->id);
    return store_look_any(look, statement);
}

/* ---- the log ---- */

bool store_look_journal(struct store_look *look, store_look_batch *visit, void *ctx)
{
    sqlite3_stmt *statement = store_look_prepare(look, LOOK_JOURNAL);
    enum step result;
    while ((result = store_look_step(look, statement)) == STEP_ROW)
        visit(ctx, sqlite3_column_int64(statement, 0), column_slice(statement, 1), column_slice(statement, 2));
    return result == STEP_END;
}

bool store_look_fresh(struct store_look *look, uint64_t uid, struct fresh_stream *fresh)
{
    sqlite3_stmt *statement = store_look_prepare(look, LOOK_FRESH);
    if (!statement)
        return false;
    bind_u64(statement, 1, uid);
    if (store_look_step(look, statement) != STEP_ROW)
        return false;
    *fresh = (struct fresh_stream){
        .uid = uid,
        .tail = column_u64(statement, 0),
        .known = column_u64(statement, 1) != 0,
        .gone = column_u64(statement, 2) != 0,
        .closed = column_u64(statement, 3) != 0,
        .json = column_u64(statement, 4) != 0,
    };
    sqlite3_reset(statement);
    return true;
}

void store_look_fresh_put(struct store_look *look, const struct fresh_stream *fresh)
{
    sqlite3_stmt *statement = store_look_prepare(look, LOOK_FRESH_PUT);
    if (!statement)
        return;
    bind_u64(statement, 1, fresh->uid);
    bind_u64(statement, 2, fresh->tail);
    bind_u64(statement, 3, fresh->known);
    bind_u64(statement, 4, fresh->gone);
    bind_u64(statement, 5, fresh->closed);
    bind_u64(statement, 6, fresh->json);
    (void)store_look_step(look, statement);
}

uint64_t store_look_born(struct store_look *look)
{
    int64_t count = 0;
    (void)!store_look_number(
        look, "SELECT count(*) FROM fresh WHERE known AND NOT gone AND uid NOT IN (SELECT uid FROM stream)", &count);
    return (uint64_t)count;
}

/* ---- bonds ---- */

static bool store_look_visit_bonds(struct store_look *look, enum look_sql sql, store_look_bond *visit, void *ctx)
{
    sqlite3_stmt *statement = store_look_prepare(look, sql);
    enum step result;
    while ((result = store_look_step(look, statement)) == STEP_ROW) {
        const struct store_bond bond = {column_u64(statement, 0), column_u64(statement, 1),
                                        (uint64_t)sqlite3_column_int64(statement, 2)};
        visit(ctx, &bond);
    }
    return result == STEP_END;
}

bool store_look_forks(struct store_look *look, store_look_bond *visit, void *ctx)
{
    return store_look_visit_bonds(look, LOOK_FORKS, visit, ctx);
}

bool store_look_fork_there(struct store_look *look, const struct store_bond *bond)
{
    return store_look_any(look, store_look_prepare_bond(look, LOOK_FORK_THERE, bond));
}

bool store_look_pin_there(struct store_look *look, const struct store_bond *bond)
{
    return store_look_any(look, store_look_prepare_bond(look, LOOK_PIN_THERE, bond));
}

bool store_look_subscriptions(struct store_look *look, store_look_bond *visit, void *ctx)
{
    return store_look_visit_bonds(look, LOOK_SUBSCRIPTIONS, visit, ctx);
}

bool store_look_subscription_there(struct store_look *look, const struct store_bond *bond)
{
    return store_look_any(look, store_look_prepare_bond(look, LOOK_SUBSCRIPTION_THERE, bond));
}

bool store_look_feed_there(struct store_look *look, uint64_t source_uid, unsigned shard)
{
    sqlite3_stmt *statement = store_look_prepare(look, LOOK_FEED_THERE);
    if (!statement)
        return false;
    bind_u64(statement, 1, source_uid);
    bind_u64(statement, 2, shard);
    return store_look_any(look, statement);
}
