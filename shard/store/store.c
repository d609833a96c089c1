/* Opening, schema, transactions and statements of the store. */
#include "shard/store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/owned.h"
#include "common/version.h"
#include "shard/store/store_sql.h"

#define FREE_PAGES_KEPT 256

/* The project that a stream's name begins with. */
#define PROJECT_OF(row) "substr(" row ".name, 1, instr(" row ".name, x'2f') - 1)"

/* Columns a query need not read come last: SQLite then never touches their pages. */
/* clang-format off */
static const char store_schema[] =
    "CREATE TABLE slot(slot INTEGER PRIMARY KEY, next_serial INTEGER NOT NULL);"
    "CREATE TABLE stream(uid INTEGER PRIMARY KEY, name BLOB, state INTEGER NOT NULL, content_type BLOB NOT NULL,"
    " base INTEGER NOT NULL, settled INTEGER NOT NULL, closed INTEGER NOT NULL, closer BLOB NOT NULL,"
    " closer_epoch INTEGER NOT NULL, closer_seq INTEGER NOT NULL, stream_seq BLOB, ttl_s INTEGER, expires_ms"
    " INTEGER, expires_text BLOB NOT NULL, expiry_inherited INTEGER NOT NULL, accessed_ms INTEGER NOT NULL,"
    " deadline_ms INTEGER, source_uid INTEGER, pin INTEGER NOT NULL, fork_position INTEGER NOT NULL, fork_sub"
    " INTEGER NOT NULL, source_name BLOB NOT NULL, lineage BLOB NOT NULL, public INTEGER NOT NULL, reader_key"
    " BLOB NOT NULL, bytes INTEGER NOT NULL, kind INTEGER NOT NULL, cold INTEGER NOT NULL, hot_bytes INTEGER NOT"
    " NULL, hot_messages INTEGER NOT NULL, due INTEGER NOT NULL, retention_s INTEGER NOT NULL, retention_bytes"
    " INTEGER NOT NULL, earliest INTEGER NOT NULL, retain_ms INTEGER);"
    "CREATE UNIQUE INDEX stream_name ON stream(name) WHERE name IS NOT NULL;"
    "CREATE INDEX stream_deadline ON stream(deadline_ms) WHERE deadline_ms IS NOT NULL;"
    "CREATE INDEX stream_condemned ON stream(uid) WHERE state = 2;"
    "CREATE INDEX stream_due ON stream(uid) WHERE due > 0;"
    "CREATE INDEX stream_retain ON stream(retain_ms) WHERE retain_ms IS NOT NULL;"
    "CREATE TABLE usage(project BLOB PRIMARY KEY, streams INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT"
    " ROWID;"
    "CREATE TRIGGER usage_inserted AFTER INSERT ON stream WHEN NEW.name IS NOT NULL BEGIN INSERT INTO usage"
    " VALUES(" PROJECT_OF("NEW") ", NEW.state = 0, NEW.bytes) ON CONFLICT(project) DO UPDATE SET streams = streams +"
    " excluded.streams, bytes = bytes + excluded.bytes; END;"
    "CREATE TRIGGER usage_settled AFTER UPDATE OF bytes ON stream WHEN NEW.bytes <> OLD.bytes BEGIN UPDATE usage"
    " SET bytes = bytes + NEW.bytes - OLD.bytes WHERE project = " PROJECT_OF("OLD") "; END;"
    "CREATE TRIGGER usage_changed AFTER UPDATE OF state ON stream BEGIN UPDATE usage SET streams = streams -"
    " (OLD.state = 0), bytes = bytes - iif(NEW.name IS NULL, OLD.bytes, 0) WHERE project = " PROJECT_OF("OLD") "; DELETE FROM"
    " usage WHERE project = " PROJECT_OF("OLD") " AND streams = 0 AND bytes = 0; END;"
    "CREATE TRIGGER usage_deleted AFTER DELETE ON stream WHEN OLD.name IS NOT NULL BEGIN UPDATE usage SET"
    " streams = streams - (OLD.state = 0), bytes = bytes - OLD.bytes WHERE project = " PROJECT_OF("OLD") "; DELETE FROM usage"
    " WHERE project = " PROJECT_OF("OLD") " AND streams = 0 AND bytes = 0; END;"
    "CREATE TABLE log(seq INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, heads BLOB NOT NULL, data BLOB NOT"
    " NULL);"
    "CREATE TABLE chunk(id INTEGER PRIMARY KEY, uid INTEGER NOT NULL, start INTEGER NOT NULL, count INTEGER NOT"
    " NULL, time_ms INTEGER NOT NULL, marks BLOB NOT NULL, data BLOB NOT NULL);"
    "CREATE UNIQUE INDEX chunk_start ON chunk(uid, start);"
    "CREATE TABLE segment(uid INTEGER NOT NULL, start INTEGER NOT NULL, until INTEGER NOT NULL, object INTEGER"
    " NOT NULL, size INTEGER NOT NULL, checksum INTEGER NOT NULL, bytes INTEGER NOT NULL, messages INTEGER NOT"
    " NULL, time_ms INTEGER NOT NULL, PRIMARY KEY(uid, start)) WITHOUT ROWID;"
    "CREATE TABLE orphan(uid INTEGER NOT NULL, start INTEGER NOT NULL, object INTEGER NOT NULL, backup INTEGER NOT"
    " NULL, PRIMARY KEY(uid, start, object)) WITHOUT ROWID;"
    "CREATE INDEX orphan_backup ON orphan(backup);"
    "CREATE TABLE backup(id INTEGER NOT NULL, file TEXT NOT NULL, pieces INTEGER NOT NULL, gone INTEGER NOT NULL,"
    " PRIMARY KEY(id, file)) WITHOUT ROWID;"
    "CREATE TABLE producer(uid INTEGER NOT NULL, id BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " PRIMARY KEY(uid, id)) WITHOUT ROWID;"
    "CREATE TABLE pin(source_uid INTEGER NOT NULL, pin INTEGER NOT NULL, fork BLOB NOT NULL, made_ms INTEGER NOT"
    " NULL, confirmed INTEGER NOT NULL, PRIMARY KEY(source_uid, pin)) WITHOUT ROWID;"
    "CREATE INDEX pin_unconfirmed ON pin(made_ms) WHERE confirmed = 0;"
    "CREATE TABLE shared(id INTEGER PRIMARY KEY, refs INTEGER NOT NULL, marks BLOB NOT NULL, data BLOB NOT NULL);"
    "CREATE TABLE feed(source_uid INTEGER NOT NULL, shard INTEGER NOT NULL, feed INTEGER NOT NULL, subscribers"
    " INTEGER NOT NULL, acked INTEGER NOT NULL, state INTEGER NOT NULL, PRIMARY KEY(source_uid, shard)) WITHOUT"
    " ROWID;"
    "CREATE INDEX feed_state ON feed(state, shard) WHERE state > 0;"
    "CREATE TABLE inflow(source_uid INTEGER PRIMARY KEY, feed INTEGER NOT NULL, taken INTEGER NOT NULL, name"
    " BLOB NOT NULL);"
    "CREATE INDEX inflow_name ON inflow(name);"
    "CREATE TABLE subscription(source_uid INTEGER NOT NULL, estuary_uid INTEGER NOT NULL, from_position INTEGER,"
    " until_position INTEGER, flags INTEGER NOT NULL);"
    "CREATE INDEX subscription_source ON subscription(source_uid, estuary_uid);"
    "CREATE INDEX subscription_pending ON subscription(source_uid) WHERE from_position IS NULL;"
    "CREATE INDEX subscription_estuary ON subscription(estuary_uid);"
    "CREATE TABLE duty(fork_uid INTEGER PRIMARY KEY, source_uid INTEGER NOT NULL, pin INTEGER NOT NULL);";
/* clang-format on */

static const char *const store_texts[SQL_COUNT] = {
#define SQL(NAME, text) text,
#include "shard/store/store_sql.def"
#undef SQL
};

void store_fatal(struct store *store, const char *what)
{
    int code = sqlite3_extended_errcode(store->db);
    if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB)
        fatal_never_restart("%s: %s: the database is damaged: %s", store->path, what, sqlite3_errmsg(store->db));
    fatalx("%s: %s: %s (%d)", store->path, what, sqlite3_errmsg(store->db), code);
}

sqlite3_stmt *store_prepare(struct store *store, enum store_sql sql)
{
    sqlite3_stmt **statement = &store->statements[sql];
    if (*statement)
        sqlite3_reset(*statement);
    else if (sqlite3_prepare_v3(store->db, store_texts[sql], -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) !=
             SQLITE_OK)
        store_fatal(store, store_texts[sql]);
    return *statement;
}

void store_run(struct store *store, sqlite3_stmt *statement)
{
    if (sqlite3_step(statement) != SQLITE_DONE)
        store_fatal(store, sqlite3_sql(statement));
    sqlite3_reset(statement);
}

bool store_step(struct store *store, sqlite3_stmt *statement)
{
    switch (sqlite3_step(statement)) {
    case SQLITE_ROW:
        return true;
    case SQLITE_DONE:
        sqlite3_reset(statement);
        return false;
    default:
        store_fatal(store, sqlite3_sql(statement));
    }
}

void store_exec(struct store *store, const char *sql)
{
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        store_fatal(store, sql);
}

void bind_u64(sqlite3_stmt *statement, int at, uint64_t value)
{
    if (value == STORE_NONE)
        sqlite3_bind_null(statement, at);
    else
        sqlite3_bind_int64(statement, at, (sqlite3_int64)value);
}

void bind_slice(sqlite3_stmt *statement, int at, struct slice value)
{
    if (value.len)
        sqlite3_bind_blob64(statement, at, value.data, value.len, SQLITE_STATIC);
    else
        sqlite3_bind_zeroblob(statement, at, 0);
}

uint64_t column_u64(sqlite3_stmt *statement, int at)
{
    if (sqlite3_column_type(statement, at) == SQLITE_NULL)
        return STORE_NONE;
    return (uint64_t)sqlite3_column_int64(statement, at);
}

struct slice column_slice(sqlite3_stmt *statement, int at)
{
    const char *data = sqlite3_column_blob(statement, at);
    return slice_of(data, (size_t)sqlite3_column_bytes(statement, at));
}

int64_t store_number(struct store *store, const char *sql)
{
    sqlite3_stmt *statement;
    int64_t value = 0;
    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
        store_fatal(store, sql);
    if (store_step(store, statement))
        value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static void store_create_schema(struct store *store)
{
    char version[128];
    snprintf(version, sizeof version, "PRAGMA application_id = %d; PRAGMA user_version = %d", STORE_APPLICATION_ID,
             STREAMD_DATA_VERSION);
    store_exec(store, "BEGIN IMMEDIATE");
    store_exec(store, store_schema);
    store_exec(store, version);
    store_exec(store, "COMMIT");
}

/* From now on there may be what the older version does not know. A full disk keeps it old until the next start, and
 * takes no new streams. */
static void store_raise_schema(struct store *store)
{
    char version[64];
    snprintf(version, sizeof version, "PRAGMA user_version = %d", STREAMD_DATA_VERSION);
    if (sqlite3_exec(store->db, version, NULL, NULL, NULL) != SQLITE_OK)
        log_warn("%s: the schema stays an older one for now: %s", store->path, sqlite3_errmsg(store->db));
}

static void store_check_schema(struct store *store)
{
    int64_t application = store_number(store, "PRAGMA application_id");
    int64_t version = store_number(store, "PRAGMA user_version");
    if (application == 0 && version == 0 && store_number(store, "SELECT count(*) FROM sqlite_schema") == 0)
        store_create_schema(store);
    else if (application != STORE_APPLICATION_ID)
        fatal_never_restart("%s: not a streamd database", store->path);
    else if (version > STREAMD_DATA_VERSION)
        fatal_never_restart("%s: schema version %lld was written by a newer streamd; this one knows %d", store->path,
                            (long long)version, STREAMD_DATA_VERSION);
    else if (version < STREAMD_DATA_OLDEST)
        fatal_never_restart("%s: schema version %lld is unknown", store->path, (long long)version);
    else if (version < STREAMD_DATA_VERSION)
        store_raise_schema(store);
}

static void store_load_counters(struct store *store)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_SLOT_ALL);
    while (store_step(store, statement)) {
        uint64_t slot = column_u64(statement, 0);
        if (slot < LAYOUT_SLOTS)
            store->next_serial[slot] = column_u64(statement, 1);
    }
    statement = store_prepare(store, SQL_JOURNAL_LAST);
    if (store_step(store, statement))
        store->last_seq = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
}

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
    /* Its lock is no exclusive one: `streamd verify` and other readers may come beside us. secure_delete, where a
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
    bool is_new = stat(store->path, &stat_now) != 0 || stat_now.st_size == 0;
    bool alone = !is_new && !store_disk_shares(data_dir);
    int rc = store_open_database(store, page_cache, is_new, alone);
    if (store_lacks_room(rc) && !is_new && !alone) {
        alone = true;
        sqlite3_close(store->db);
        rc = store_open_database(store, page_cache, is_new, alone);
    }
    if (alone)
        log_warn("%s: the disk is full: until the next start nobody else can read the database", store->path);
    if (rc == SQLITE_CANTOPEN)
        fatal_never_restart("%s: cannot open: %s", store->path, sqlite3_errmsg(store->db));
    if (rc != SQLITE_OK)
        store_fatal(store, "open");
    store_check_schema(store);
    store_load_counters(store);
    store_time_syncs(store);
    store_disk_init(store);
    return store;
}

void store_close(struct store *store)
{
    for (size_t i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(store->statements[i]);
    store_disk_closing(store);
    if (sqlite3_close(store->db) != SQLITE_OK)
        store_fatal(store, "close");
    store_disk_closed(store);
    if (store->batch)
        batch_unref(store->batch);
    free(store);
}

void store_begin(struct store *store)
{
    if (store->open)
        return;
    store_run(store, store_prepare(store, SQL_BEGIN));
    store->open = true;
    store->changes_before = (unsigned)sqlite3_total_changes(store->db);
}

static void store_save_serials(struct store *store)
{
    for (unsigned i = 0; i < store->dirty_count; i++) {
        unsigned slot = store->dirty_slots[i];
        sqlite3_stmt *statement = store_prepare(store, SQL_SLOT_PUT);
        bind_u64(statement, 1, slot);
        bind_u64(statement, 2, store->next_serial[slot]);
        store_run(store, statement);
        store->slot_dirty[slot] = false;
    }
    store->dirty_count = 0;
    store->serials_due = false;
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
    if (store->serials_due)
        store_save_serials(store);
    fault_point("shard.before-commit");
    store_run(store, store_prepare(store, SQL_COMMIT));
    fault_point("shard.after-commit");
    store->open = false;
    return true;
}

static void store_mark_slot(struct store *store, unsigned slot)
{
    if (store->slot_dirty[slot])
        return;
    store->slot_dirty[slot] = true;
    store->dirty_slots[store->dirty_count++] = slot;
}

void store_uid_given(struct store *store, uint64_t uid)
{
    unsigned slot = layout_slot_of_uid(uid);
    uint64_t serial = uid - ((uint64_t)slot << LAYOUT_UID_BITS);
    if (slot >= LAYOUT_SLOTS || serial <= store->next_serial[slot])
        return;
    store->next_serial[slot] = serial;
    store_mark_slot(store, slot);
}

uint64_t store_next_uid(struct store *store, unsigned slot)
{
    store_mark_slot(store, slot);
    return ((uint64_t)slot << LAYOUT_UID_BITS) + ++store->next_serial[slot];
}

bool store_vacuum_slice(struct store *store, unsigned pages, bool all)
{
    char sql[64];
    int64_t unused = store_number(store, "PRAGMA freelist_count");
    if (unused <= FREE_PAGES_KEPT || (!all && unused <= store_number(store, "PRAGMA page_count") / 8))
        return false;
    snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%u)", pages);
    store_begin(store);
    store_exec(store, sql);
    return true;
}
