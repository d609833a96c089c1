/* Opening and closing a database, and the turn's transaction.
 *
 * Happy path: store_open() finds the database, takes its tables, reads the counters, and hooks into SQLite's files: the
 * WAL's fsyncs are timed, and blocks behind the database's end are kept (store_disk.c). A commit is one of three:
 *
 *     batches of the journal only     one write to its file, and one fdatasync of it
 *     a transaction, perhaps with     batches and serial numbers that are due become rows; COMMIT, and one fsync of
 *     batches                         the WAL
 *     what recovery would repeat      COMMIT; nobody waits for an fsync (store_begin_unsynced)
 *
 * SQLite itself syncs at checkpoints only (synchronous = NORMAL), and the WAL keeps the order of transactions: what is
 * synced is a prefix, and the journal has everything behind it.
 *
 * Failure modes: a failed fsync ends the process, and so nothing leaves that it was for. A full disk at the start
 * leaves no room for the memory that readers share, so the database is opened alone, without it. A database that is
 * damaged, newer or not streamd's ends the process for good; any other failure ends it too, and the supervisor starts
 * it again. */
#include "shard/store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/owned.h"
#include "shard/store/journal.h"
#include "shard/store/store_disk.h"
#include "shard/store/store_schema.h"
#include "shard/store/store_sql.h"
#include "shard/store/store_uid.h"
#include "shard/store/store_wal.h"

void store_path(char *out, size_t size, const char *data_dir, unsigned index)
{
    snprintf(out, size, "%s/shard-%u.db", data_dir, index);
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
             "PRAGMA synchronous = NORMAL; PRAGMA secure_delete = OFF; PRAGMA temp_store = MEMORY;"
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
    store_disk_write_wal_anew(store);
    store_schema_check(store);
    store_wal_init(store);
    store_uid_load(store);
    journal_load(store);
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
    journal_forget(store);
    journal_files_close(&store->journal_files);
    free(store);
}

/* A query left in the middle would hold its snapshot, and the WAL could not start over. */
static void store_end_queries(struct store *store)
{
    for (size_t i = 0; i < SQL_COUNT; i++)
        if (store->statements[i])
            sqlite3_reset(store->statements[i]);
}

static void store_commit_transaction(struct store *store, bool lasts)
{
    store_uid_save(store);
    store_run(store, store_prepare(store, SQL_COMMIT));
    store->open = false;
    if (store->dropping > store->dropped)
        store->dropped = store->dropping;
    if (lasts)
        store_sync(store);
}

bool store_commit(struct store *store)
{
    bool lasts = store->batches || (store->open && !store->unsynced);
    store_end_queries(store);
    if (!store->open && !store->batches)
        return false;
    fault_point("shard.before-commit");
    journal_write(store);
    if (store->open)
        store_commit_transaction(store, lasts);
    fault_point("shard.after-commit");
    if (lasts)
        commits_seal(&store->commits);
    return true;
}

struct commits *store_commits(struct store *store)
{
    return &store->commits;
}

uint64_t store_visible(const struct store *store)
{
    return store->commits.sealed + (store->open || store->batches);
}
