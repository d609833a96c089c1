/* Within the store: its handle, whose members the files of this folder share. */
#ifndef SHARD_STORE_STORE_HANDLE_H
#define SHARD_STORE_STORE_HANDLE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/layout.h"
#include "shard/store/commit.h"
#include "shard/store/journal_file.h"

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

/* Blocks that a file has of the disk, beyond its size. */
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

#endif
