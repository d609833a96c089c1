/* Statements over a database that is looked at. */
#include "shard/store/store_look_sql.h"

#include <stdio.h>

#include "shard/store/store_sql.h"

#define SEGMENT_COLUMNS "uid, start, until, object, size, checksum, bytes, messages, time_ms"
#define HOLDING_FORKS "state < 2 AND source_uid IS NOT NULL AND earliest <= base"
#define IN_FORCE "until_position IS NULL AND from_position IS NOT NULL"

static const char *const store_look_sql_texts[LOOK_COUNT] = {
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
    [LOOK_FILED_PUT] = "INSERT INTO filed(seq, heads, data) VALUES(?1,?2,?3)",
    [LOOK_JOURNAL_NUMBERS] = "SELECT seq FROM log UNION ALL SELECT seq FROM filed ORDER BY seq",
    [LOOK_JOURNAL] = "SELECT seq, heads, data FROM log UNION ALL SELECT seq, heads, data FROM filed ORDER BY seq",
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

bool store_look_failed(struct store_look *look)
{
    snprintf(look->error, sizeof look->error, "%s", look->db ? sqlite3_errmsg(look->db) : "out of memory");
    return false;
}

/* NULL: it has failed. */
sqlite3_stmt *store_look_prepare(struct store_look *look, enum look_sql sql)
{
    sqlite3_stmt **statement = &look->statements[sql];
    if (*statement)
        sqlite3_reset(*statement);
    else if (sqlite3_prepare_v3(look->db, store_look_sql_texts[sql], -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) !=
             SQLITE_OK)
        (void)store_look_failed(look);
    return *statement;
}

/* Resets at the end and after a failure, so that a damaged table does not hold the snapshot. */
enum look_step store_look_step(struct store_look *look, sqlite3_stmt *statement)
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
bool store_look_any(struct store_look *look, sqlite3_stmt *statement)
{
    bool found = store_look_step(look, statement) == STEP_ROW;
    if (statement)
        sqlite3_reset(statement);
    return found;
}

bool store_look_run(struct store_look *look, const char *sql)
{
    return sqlite3_exec(look->db, sql, NULL, NULL, NULL) == SQLITE_OK || store_look_failed(look);
}

bool store_look_number(struct store_look *look, const char *sql, int64_t *value)
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
