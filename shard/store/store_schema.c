/* The tables. Their names are of the first version and stay: `log` is the journal, `settled` is what is flushed,
 * `marks` are boundaries, `duty` is the unpin queue.
 *
 *     slot                        the next serial number of each slot
 *     stream, producer            a row for each stream; a row for each of its producers
 *     usage                       streams and bytes of a project; triggers on `stream` keep it
 *     journal                     up to which batch all are dropped, and what records in its files begin with
 *     log                         batches of appends, not yet dropped, that are in no file of the journal
 *     chunk, shared               bytes that left the journal
 *     segment, orphan, backup     files outside of the database
 *     pin, duty                   forks: in the source's shard, in the fork's
 *     feed, inflow, subscription  fan-out: the first in the source's shard, the others in the estuaries'
 *
 * Failure modes: a database of a newer version, of an unknown one, or of another program ends the process for good. An
 * interrupted creation leaves a database without tables, because all are made in one transaction; the next start
 * repeats it. */
#include "shard/store/store_schema.h"

#include <stdio.h>

#include "common/log.h"
#include "common/version.h"
#include "shard/store/store_sql.h"

/* The project that a stream's name begins with. */
#define PROJECT_OF(row) "substr(" row ".name, 1, instr(" row ".name, x'2f') - 1)"

/* Columns a query need not read come last: SQLite then never touches their pages. */
/* clang-format off */
static const char store_schema_text[] =
    "CREATE TABLE slot(slot INTEGER PRIMARY KEY, next_serial INTEGER NOT NULL);"
    "CREATE TABLE stream(uid INTEGER PRIMARY KEY, name BLOB, state INTEGER NOT NULL, content_type BLOB NOT NULL,"
    " base INTEGER NOT NULL, settled INTEGER NOT NULL, closed INTEGER NOT NULL, closer BLOB NOT NULL,"
    " closer_epoch INTEGER NOT NULL, closer_seq INTEGER NOT NULL, stream_seq BLOB, ttl_s INTEGER, expires_ms"
    " INTEGER, expires_text BLOB NOT NULL, expiry_inherited INTEGER NOT NULL, accessed_ms INTEGER NOT NULL,"
    " deadline_ms INTEGER, source_uid INTEGER, pin INTEGER NOT NULL, fork_position INTEGER NOT NULL, fork_sub"
    " INTEGER NOT NULL, source_name BLOB NOT NULL, lineage BLOB NOT NULL, public INTEGER NOT NULL, reader_key"
    " BLOB NOT NULL, bytes INTEGER NOT NULL, kind INTEGER NOT NULL, cold INTEGER NOT NULL, hot_bytes INTEGER NOT"
    " NULL, hot_messages INTEGER NOT NULL, due INTEGER NOT NULL, retention_s INTEGER NOT NULL, retention_bytes"
    " INTEGER NOT NULL, earliest INTEGER NOT NULL, retain_ms INTEGER, lives BLOB NOT NULL DEFAULT x'');"
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
    "CREATE TABLE journal(dropped INTEGER NOT NULL, mark INTEGER NOT NULL);"
    "INSERT INTO journal VALUES(0, random());"
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

static void store_schema_create(struct store *store)
{
    char version[128];
    snprintf(version, sizeof version, "PRAGMA application_id = %d; PRAGMA user_version = %d", STORE_APPLICATION_ID,
             STREAMD_DATA_VERSION);
    store_exec(store, "BEGIN IMMEDIATE");
    store_exec(store, store_schema_text);
    store_exec(store, version);
    store_exec(store, "COMMIT");
}

/* Adds what the older version has not. SQLite writes the new column's default nowhere, so this costs as much for a
 * million streams as for one. */
static void store_schema_raise(struct store *store, int64_t version)
{
    char raise[64];
    snprintf(raise, sizeof raise, "PRAGMA user_version = %d", STREAMD_DATA_VERSION);
    store_exec(store, "BEGIN IMMEDIATE");
    if (version < 11)
        store_exec(store, "ALTER TABLE stream ADD COLUMN lives BLOB NOT NULL DEFAULT x''");
    if (version < 12) /* shared bytes are named after the batch that brought them, which may be gone */
        store_exec(store, "CREATE TABLE journal(dropped INTEGER NOT NULL, mark INTEGER NOT NULL);"
                          "INSERT INTO journal SELECT ifnull((SELECT min(seq) - 1 FROM log),"
                          " ifnull((SELECT max(id) >> 20 FROM shared), 0)), random()");
    store_exec(store, raise);
    store_exec(store, "COMMIT");
}

void store_schema_check(struct store *store)
{
    int64_t application = store_number(store, "PRAGMA application_id");
    int64_t version = store_number(store, "PRAGMA user_version");
    if (application == 0 && version == 0 && store_number(store, "SELECT count(*) FROM sqlite_schema") == 0)
        store_schema_create(store);
    else if (application != STORE_APPLICATION_ID)
        fatal_never_restart("%s: not a streamd database", store->path);
    else if (version > STREAMD_DATA_VERSION)
        fatal_never_restart("%s: schema version %lld was written by a newer streamd; this one knows %d", store->path,
                            (long long)version, STREAMD_DATA_VERSION);
    else if (version < STREAMD_DATA_OLDEST)
        fatal_never_restart("%s: schema version %lld is unknown", store->path, (long long)version);
    else if (version < STREAMD_DATA_VERSION)
        store_schema_raise(store, version);
}
