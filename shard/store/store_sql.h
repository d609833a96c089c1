/* Inside the store only: its handle, its prepared statements and how values go in and out of them. */
#ifndef SHARD_STORE_STORE_SQL_H
#define SHARD_STORE_STORE_SQL_H

#include <sqlite3.h>
#include <sys/types.h>

#include "common/layout.h"
#include "shard/store/store.h"

#define STORE_APPLICATION_ID 0x5354524d /* "STRM" */

enum store_sql {
#define SQL(NAME, text) SQL_##NAME,
#include "shard/store/store_sql.def"
#undef SQL
    SQL_COUNT
};

/* SQLite's write-ahead log, whose fsyncs are timed: its methods, but for that one. */
struct store_wal_file {
    sqlite3_io_methods methods;
    int (*sync)(sqlite3_file *file, int flags);
    uint64_t synced_us;
};

/* What a file has been given of the disk, beyond its size. */
struct store_file {
    int fd;
    uint64_t upto; /* its blocks are there up to here; 0: not known */
    off_t size;    /* when that was looked at */
};

/* SQLite's database file: its methods, but for the one that would give away what is kept behind its end. */
struct store_database_file {
    sqlite3_io_methods methods;
    int (*truncate)(sqlite3_file *file, sqlite3_int64 size);
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_COUNT];
    char path[4096];
    bool open;                     /* a transaction is */
    unsigned changes_before;       /* rows changed before it began */
    uint64_t page_size, wal_pages; /* pages in the write-ahead log that a checkpoint has not taken */
    uint64_t reserve;              /* bytes that each of the two files has, beyond what it holds */
    struct store_file database_reserve, wal_reserve;
    int shared_fd; /* the memory that readers share */
    struct store_database_file database_file;
    struct store_wal_file wal_file;
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

/* The disk has room for the memory that readers of a database share. */
bool store_disk_shares(const char *data_dir) MUSTUSE;
/* Of a database that is open. */
void store_disk_init(struct store *store);
/* Before and after it is closed. */
void store_disk_closing(struct store *store);
void store_disk_closed(struct store *store);

NORETURN void store_fatal(struct store *store, const char *what);

/* Writes the batch of this transaction. */
void journal_write(struct store *store);

/* The chunks that the next slice of the stream deletes refer to no shared bytes any more. */
void store_shared_let_go(struct store *store, uint64_t uid);

/* These references are gone. */
void store_shared_release(struct store *store, struct slice refs);

/* The extent that holds position, of those that a chunk's references stand for; *extent is the chunk's. False: they are
 * damaged. */
bool store_shared_at(struct store *store, uint64_t position, struct extent *extent) MUSTUSE;

/* SQLite's integers are signed: STORE_NONE is NULL, everything else of ours fits. */
void bind_u64(sqlite3_stmt *statement, int at, uint64_t value);
void bind_slice(sqlite3_stmt *statement, int at, struct slice value);
uint64_t column_u64(sqlite3_stmt *statement, int at);
struct slice column_slice(sqlite3_stmt *statement, int at);

/* From STREAM_COLUMNS. */
void stream_row_read(sqlite3_stmt *statement, struct stream_row *row);

#endif
