/* commit: the limit of the machine. A bare SQLite, WAL and synchronous=FULL, commits --batch rows after the other. */
#include <limits.h>
#include <sqlite3.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "tests/bench/clock.h"
#include "tests/bench/histogram.h"
#include "tests/bench/modes.h"
#include "tests/bench/streams.h"

static const char SCHEMA[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                             "CREATE TABLE log (id INTEGER PRIMARY KEY, stream INTEGER, data BLOB)";
static const char INSERT[] = "INSERT INTO log (stream, data) VALUES (1, ?1)";

static void name_file(char *path, const struct options *options, const char *suffix)
{
    int n = snprintf(path, PATH_MAX, "%s/commit-%d.db%s", options->dir, (int)getpid(), suffix);
    if (n < 0 || n >= PATH_MAX)
        fatalx("--dir is too long");
}

static void run_or_die(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fatalx("%s: %s", sql, sqlite3_errmsg(db));
}

/* The time of each commit after `from`, up to `until`; the time it ended. */
static uint64_t commit_rows(sqlite3_stmt *insert, unsigned rows, uint64_t from, uint64_t until,
                            struct histogram *latency)
{
    sqlite3 *db = sqlite3_db_handle(insert);
    uint64_t before = clock_now();
    while (before < until) {
        if (rows > 1) /* without BEGIN a statement is its own transaction; the reset ends it */
            run_or_die(db, "BEGIN");
        for (unsigned i = 0; i < rows; i++)
            if (sqlite3_step(insert) != SQLITE_DONE || sqlite3_reset(insert) != SQLITE_OK)
                fatalx("insert: %s", sqlite3_errmsg(db));
        if (rows > 1)
            run_or_die(db, "COMMIT");
        uint64_t after = clock_now();
        if (before >= from)
            histogram_add(latency, after - before);
        before = after;
    }
    return before;
}

static void remove_files(const struct options *options)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        name_file(path, options, suffixes[i]);
        unlink(path);
    }
}

int commit_mode(const struct options *options)
{
    static struct histogram latency;
    char path[PATH_MAX];
    sqlite3 *db;
    sqlite3_stmt *insert;
    struct buf message = {0};
    name_file(path, options, "");
    streams_message(options, &message);
    if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_exec(db, SCHEMA, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, INSERT, -1, &insert, NULL) != SQLITE_OK ||
        sqlite3_bind_blob(insert, 1, buf_slice(&message).data, (int)buf_len(&message), SQLITE_STATIC) != SQLITE_OK)
        fatalx("%s: %s", path, sqlite3_errmsg(db));
    uint64_t from = clock_now() + options->warmup_ms * CLOCK_MILLISECOND;
    uint64_t end = commit_rows(insert, options->batch, from, from + options->seconds * CLOCK_SECOND, &latency);
    double seconds = (double)(end - from) / 1e9;
    printf("{\"mode\":\"commit\",\"size\":%u,\"batch\":%u,\"commits_per_s\":%.1f,\"rows_per_s\":%.1f,", options->size,
           options->batch, (double)latency.count / seconds, (double)latency.count * options->batch / seconds);
    histogram_print(&latency);
    printf("}\n");
    sqlite3_finalize(insert);
    sqlite3_close(db);
    remove_files(options);
    buf_clear(&message);
    return 0;
}
