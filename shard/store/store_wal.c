/* SQLite's write-ahead log: its fsyncs, which are asked for here and timed. SQLite itself syncs it only before a
 * checkpoint and when it begins anew. */
#include "shard/store/store_wal.h"

#include "common/clock.h"
#include "common/log.h"
#include "shard/store/store_sql.h"

/* The methods of a file are what SQLite finds its own by, so they lead back to us. */
static int store_wal_sync(sqlite3_file *file, int flags)
{
    struct store_wal_file *log = (struct store_wal_file *)(uintptr_t)file->pMethods;
    uint64_t began_us = clock_monotonic_us();
    int rc = log->sync(file, flags);
    log->synced_us += clock_monotonic_us() - began_us;
    return rc;
}

void store_wal_init(struct store *store)
{
    struct store_wal_file *log = &store->wal_file;
    sqlite3_file *file = NULL;
    if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) != SQLITE_OK || !file ||
        !file->pMethods)
        fatalx("%s: SQLite does not show its write-ahead log", store->path);
    log->file = file;
    log->methods = *file->pMethods;
    log->sync = log->methods.xSync;
    log->methods.xSync = store_wal_sync;
    file->pMethods = &log->methods;
}

void store_sync(struct store *store)
{
    sqlite3_file *file = store->wal_file.file;
    if (file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) != SQLITE_OK)
        fatal("%s-wal: fsync", store->path);
}

uint64_t store_synced_us(struct store *store)
{
    uint64_t us = store->wal_file.synced_us + store->journal_files.synced_us;
    store->wal_file.synced_us = store->journal_files.synced_us = 0;
    return us;
}
