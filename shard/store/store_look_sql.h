/* Within the store: the handle of a database that is looked at, and its statements. Unlike the store's, they return
 * failures: a damaged database is what a look is for. */
#ifndef SHARD_STORE_STORE_LOOK_SQL_H
#define SHARD_STORE_STORE_LOOK_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"

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
    LOOK_FILED_PUT,
    LOOK_JOURNAL_NUMBERS,
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

struct store_look {
    sqlite3 *db;
    sqlite3_stmt *statements[LOOK_COUNT];
    char path[4096];
    bool journal_damaged;
    char error[512];
};

enum look_step { STEP_ROW, STEP_END, STEP_FAILED };

/* Keeps SQLite's message for store_look_error(). Returns false. */
bool store_look_failed(struct store_look *look);
/* The statement, ready for new values. NULL: it has failed. */
sqlite3_stmt *store_look_prepare(struct store_look *look, enum look_sql sql);
/* statement may be NULL, which has failed before. */
enum look_step store_look_step(struct store_look *look, sqlite3_stmt *statement);
/* True if there is a row. */
bool store_look_any(struct store_look *look, sqlite3_stmt *statement);
bool store_look_run(struct store_look *look, const char *sql);
/* The number that SQL without parameters gives. */
bool store_look_number(struct store_look *look, const char *sql, int64_t *value) MUSTUSE;

#endif
