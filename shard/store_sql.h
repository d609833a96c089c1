/* Inside the store only: its handle, its prepared statements and how values go in and out of them. */
#ifndef SHARD_STORE_SQL_H
#define SHARD_STORE_SQL_H

#include <sqlite3.h>

#include "common/layout.h"
#include "shard/store.h"

#define STORE_APPLICATION_ID 0x5354524d /* "STRM" */

enum store_sql {
#define SQL(NAME, text) SQL_##NAME,
#include "shard/store_sql.def"
#undef SQL
    SQL_COUNT
};

/* SQLite's write-ahead log, whose fsyncs are timed: its methods, but for that one. */
struct store_log_file {
    sqlite3_io_methods methods;
    int (*sync)(sqlite3_file *file, int flags);
    uint64_t synced_us;
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_COUNT];
    char path[4096];
    bool open; /* a transaction is */
    struct store_log_file log_file;
    int64_t last_seq;
    struct batch *batch; /* what this transaction has appended; NULL for nothing */
    uint64_t next_serial[LAYOUT_SLOTS];
    bool slot_dirty[LAYOUT_SLOTS];
    unsigned dirty_slots[LAYOUT_SLOTS], dirty_count;
    bool serials_due; /* with this commit: what had them in the log goes, or never was there */
};

/* The statement, ready for new values. */
sqlite3_stmt *store_prepare(struct store *store, enum store_sql sql);

/* Runs a statement that gives no rows. */
void store_run(struct store *store, sqlite3_stmt *statement);

/* One step of a query: true if there is a row. */
bool store_step(struct store *store, sqlite3_stmt *statement) MUSTUSE;

/* Runs SQL that is used once. */
void store_exec(struct store *store, const char *sql);

/* The number that a statement without parameters gives. */
int64_t store_number(struct store *store, const char *sql);

NORETURN void store_fatal(struct store *store, const char *what);

/* Writes the batch of this transaction. */
void store_log_write(struct store *store);

/* The chunks that the next slice of the stream deletes refer to no shared bytes any more. */
void store_shared_let_go(struct store *store, uint64_t uid);

/* These references are gone. */
void store_shared_release(struct store *store, struct slice refs);

/* The run that holds position, of those that a chunk's references stand for; *run is the chunk's. False: they are
 * damaged. */
bool store_shared_run(struct store *store, uint64_t position, struct run *run) MUSTUSE;

/* SQLite's integers are signed: STORE_NONE is NULL, everything else of ours fits. */
void bind_u64(sqlite3_stmt *statement, int at, uint64_t value);
void bind_slice(sqlite3_stmt *statement, int at, struct slice value);
uint64_t column_u64(sqlite3_stmt *statement, int at);
struct slice column_slice(sqlite3_stmt *statement, int at);

/* From STREAM_COLUMNS. */
void stream_row_read(sqlite3_stmt *statement, struct stream_row *row);

#endif
