/* Within the store: its handle, its prepared statements, and how values go in and out of them. Only files of this
 * folder include <sqlite3.h>. */
#ifndef SHARD_STORE_STORE_SQL_H
#define SHARD_STORE_STORE_SQL_H

#include <sqlite3.h>
#include <sys/types.h>

#include "common/attr.h"
#include "common/layout.h"
#include "common/slice.h"
#include "shard/store/commit.h"
#include "shard/store/journal_file.h"
#include "shard/store/store.h"

struct batch;

enum store_sql {
#define SQL(NAME, text) SQL_##NAME,
#include "shard/store/store_sql.def"
#undef SQL
    SQL_COUNT
};

/* The WAL's methods, except that its fsyncs are timed. */
struct store_wal_file {
    sqlite3_io_methods methods;
    int (*sync)(sqlite3_file *file, int flags);
    uint64_t synced_us;
    sqlite3_file *file;
};

/* What a file has been given of the disk, beyond its size. */
struct store_file {
    int fd;
    bool in_place; /* its blocks stay its own when they are written over */
    uint64_t upto; /* its blocks are there up to here; 0: not known */
    off_t size;    /* when that was looked at */
};

/* The database file's methods, except the one that would give away blocks behind its end. */
struct store_database_file {
    sqlite3_io_methods methods;
    int (*truncate)(sqlite3_file *file, sqlite3_int64 size);
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_COUNT];
    char path[4096];
    struct commits commits;
    bool open;                     /* a transaction is */
    bool unsynced;                 /* and its commit need not be synced */
    unsigned changes_before;       /* rows changed before it began */
    uint64_t page_size, wal_pages; /* pages in the WAL that a checkpoint has not taken */
    uint64_t reserve;              /* bytes that each of the two files has, beyond what it holds */
    struct store_file database_reserve, wal_reserve;
    int shared_fd; /* the memory that readers share */
    struct store_database_file database_file;
    struct store_wal_file wal_file;
    /* the journal's */
    struct journal_files journal_files;
    bool journal_in_rows; /* files are not used */
    int64_t last_seq;
    int64_t dropped, dropping;     /* batches up to this one: of the last commit, and with the next one */
    struct batch *batches, *batch; /* what this commit has of appends, and the one that takes more; NULL for nothing */
    /* the numbers' (store_uid.c) */
    uint64_t next_serial[LAYOUT_SLOTS];
    bool slot_dirty[LAYOUT_SLOTS];
    unsigned dirty_slots[LAYOUT_SLOTS], dirty_count;
    bool serials_due; /* with this commit: the entry that had them in the journal goes, or never was there */
};

NORETURN void store_fatal(struct store *store, const char *what);

const char *store_sql_text(enum store_sql sql);
/* The statement, ready for new values. */
sqlite3_stmt *store_prepare(struct store *store, enum store_sql sql);
/* Runs a statement that gives no rows. */
void store_run(struct store *store, sqlite3_stmt *statement);
/* Runs one whose only value is this number. */
void store_run_with(struct store *store, enum store_sql sql, uint64_t value);
/* One step of a query: true if there is a row. */
bool store_step(struct store *store, sqlite3_stmt *statement) MUSTUSE;
/* The first number of the only row of a statement; 0: there is none. */
uint64_t store_get(struct store *store, sqlite3_stmt *statement);
/* Runs SQL that is used once. */
void store_exec(struct store *store, const char *sql);
/* The number that SQL without parameters gives. */
int64_t store_number(struct store *store, const char *sql);

/* SQLite's integers are signed: STORE_NONE is NULL, every other number of ours fits. */
void bind_u64(sqlite3_stmt *statement, int at, uint64_t value);
void bind_slice(sqlite3_stmt *statement, int at, struct slice value);
uint64_t column_u64(sqlite3_stmt *statement, int at);
struct slice column_slice(sqlite3_stmt *statement, int at);
/* Random numbers of 64 bits, bound and read as they are. */
void bind_bits(sqlite3_stmt *statement, int at, uint64_t value);
uint64_t column_bits(sqlite3_stmt *statement, int at);

#endif
