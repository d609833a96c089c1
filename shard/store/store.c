/* Opening and closing a database, and the turn's transaction.
 *
 * Happy path: store_open() finds the database, takes its tables, reads the counters, and hooks into SQLite's files: the
 * WAL's fsyncs are timed, and blocks behind the database's end are kept (store_disk.c). A commit writes the turn's
 * batch into the journal, then the serial numbers that are due, then COMMIT: one fsync of the WAL.
 *
 * Failure modes: a full disk at the start leaves no room for the memory that readers share, so the database is opened
 * alone, without it. A database that is damaged, newer or not streamd's ends the process for good; any other failure
 * ends it too, and the supervisor starts it again. */
#include "shard/store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/owned.h"
#include "shard/store/journal.h"
#include "shard/store/store_disk.h"
#include "shard/store/store_schema.h"
#include "shard/store/store_sql.h"
#include "shard/store/store_uid.h"

void store_path(char *out, size_t size, const char *data_dir, unsigned index)
{
    snprintf(out, size, "%s/shard-%u.db", data_dir, index);
}

/* The methods of a file are what SQLite finds its own by, so they lead back to us. */
static int store_timed_sync(sqlite3_file *file, int flags)
{
    struct store_wal_file *log = (struct store_wal_file *)(uintptr_t)file->pMethods;
    uint64_t began_us = clock_monotonic_us();
    int rc = log->sync(file, flags);
    log->synced_us += clock_monotonic_us() - began_us;
    return rc;
}

static void store_time_syncs(struct store *store)
{
    struct store_wal_file *log = &store->wal_file;
    sqlite3_file *file = NULL;
    if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) != SQLITE_OK || !file ||
        !file->pMethods)
        return; /* nobody knows how long they take, then */
    log->methods = *file->pMethods;
    log->sync = log->methods.xSync;
    log->methods.xSync = store_timed_sync;
    file->pMethods = &log->methods;
}

uint64_t store_synced_us(struct store *store)
{
    uint64_t us = store->wal_file.synced_us;
    store->wal_file.synced_us = 0;
    return us;
}

/* Has SQLite open the database and look at it. With `alone` nobody else can, and it needs no room on the disk. */
static int store_open_database(struct store *store, uint64_t page_cache, bool is_new, bool alone)
{
    char pragmas[512];
    (void)!owned_make(store->path); /* SQLite says itself why it cannot be opened */
    int rc = sqlite3_open_v2(
        store->path, &store->db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_busy_timeout(store->db, 5000); /* a killed predecessor may not be quite gone */
    /* The lock is not exclusive: `streamd verify` and other readers may come beside us. secure_delete, where a
     * distribution has made it the default, writes every page that is freed once more. */
    snprintf(pragmas, sizeof pragmas,
             "%s%sPRAGMA journal_mode = WAL;"
             "PRAGMA synchronous = FULL; PRAGMA secure_delete = OFF; PRAGMA temp_store = MEMORY;"
             "PRAGMA cache_size = -%llu; PRAGMA journal_size_limit = 67108864;"
             "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF; SELECT count(*) FROM sqlite_schema",
             alone ? "PRAGMA locking_mode = EXCLUSIVE;" : "", is_new ? "PRAGMA auto_vacuum = INCREMENTAL;" : "",
             (unsigned long long)(page_cache >> 10));
    return sqlite3_exec(store->db, pragmas, NULL, NULL, NULL);
}

/* The memory that readers share is a file, which a full disk may not give. */
static bool store_lacks_room(int rc)
{
    return rc == SQLITE_FULL || rc == SQLITE_CANTOPEN || rc == SQLITE_IOERR;
}

struct store *store_open(const char *data_dir, unsigned index, uint64_t page_cache)
{
    struct store *store = xcalloc(1, sizeof *store);
    struct stat stat_now;
    store_path(store->path, sizeof store->path, data_dir, index);
    /* auto_vacuum can be chosen only before the first table is made. */
    bool is_new = stat(store->path, &stat_now) != 0 || stat_now.st_size == 0;
    bool alone = !is_new && !store_disk_shares(data_dir);
    int rc = store_open_database(store, page_cache, is_new, alone);
    if (store_lacks_room(rc) && !is_new && !alone) {
        alone = true;
        sqlite3_close(store->db);
        rc = store_open_database(store, page_cache, is_new, alone);
    }
    if (alone)
        log_warn("%s: the disk is full: other programs cannot read the database until the next start", store->path);
    if (rc == SQLITE_CANTOPEN)
        fatal_never_restart("%s: cannot open: %s", store->path, sqlite3_errmsg(store->db));
    if (rc != SQLITE_OK)
        store_fatal(store, "open");
    store_schema_check(store);
    store_uid_load(store);
    journal_load(store);
    store_time_syncs(store);
    store_disk_init(store);
    return store;
}

void store_close(struct store *store)
{
    for (size_t i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(store->statements[i]);
    store_disk_closing(store);
    /* An open transaction is rolled back. */
    if (sqlite3_close(store->db) != SQLITE_OK)
        store_fatal(store, "close");
    store_disk_closed(store);
    if (store->batch)
        batch_unref(store->batch);
    free(store);
}

/* IMMEDIATE: the lock is taken now, so that no statement of the turn meets somebody else's. */
void store_begin(struct store *store)
{
    if (store->open)
        return;
    store_run(store, store_prepare(store, SQL_BEGIN));
    store->open = true;
    store->changes_before = (unsigned)sqlite3_total_changes(store->db);
}

/* A query left in the middle would hold its snapshot, and the WAL could not start over. */
static void store_end_queries(struct store *store)
{
    for (size_t i = 0; i < SQL_COUNT; i++)
        if (store->statements[i])
            sqlite3_reset(store->statements[i]);
}

bool store_commit(struct store *store)
{
    store_end_queries(store);
    if (!store->open)
        return false;
    journal_write(store);
    store_uid_save(store);
    fault_point("shard.before-commit");
    store_run(store, store_prepare(store, SQL_COMMIT));
    fault_point("shard.after-commit");
    store->open = false;
    commits_seal(&store->commits);
    return true;
}

struct commits *store_commits(struct store *store)
{
    return &store->commits;
}

uint64_t store_visible(const struct store *store)
{
    return store->commits.sealed + store->open;
}
