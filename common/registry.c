/* The projects in a small SQLite database beside the shards' ones.
 *
 * Happy path: every process that needs it has a connection of its own. Readers ask registry_version() each turn, which
 * is PRAGMA data_version, one read of shared memory, and load a project anew when the number has changed. Writers
 * change a project in one IMMEDIATE transaction: read, alter, write. Two of them cannot lose each other's change.
 *
 * Failure modes:
 *   - Somebody else writes: SQLite waits up to registry_wait() and the call is BUSY. A command waits ten seconds; a
 * router waits a moment only, since its clients wait with it, and answers 503.
 *   - A row does not parse: it was written by a newer streamd, or the file is damaged. The project counts as FAILED,
 * which refuses its requests; it never counts as absent, which could open its streams to everybody.
 *   - The disk is full: the WAL file stays where it is (PERSIST_WAL), so a start needs no new block. Writes fail, reads
 *     do not. */
#include "common/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/owned.h"

#define REGISTRY_ID 0x73747267 /* "strg" */
#define REGISTRY_SCHEMA 1
#define BUSY_MS 10000 /* a command waits this long for others that write */
#define WAIT_MS 10

struct registry {
    sqlite3 *db;
    sqlite3_stmt *get, *put, *delete, *names, *version;
    uint32_t changes; /* our own, which data_version does not count */
};

static bool registry_run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

static int64_t registry_number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    int64_t value = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static bool registry_is_empty(sqlite3 *db)
{
    return registry_number(db, "PRAGMA application_id") == 0 &&
           registry_number(db, "SELECT count(*) FROM sqlite_schema") == 0;
}

/* The check and the creation are one transaction: of two processes that meet, one makes the schema and the other
 * finds it. */
static const char *registry_make_schema(sqlite3 *db)
{
    if (!registry_run(db, "BEGIN IMMEDIATE"))
        return sqlite3_errmsg(db);
    if (registry_is_empty(db) &&
        !registry_run(db, "CREATE TABLE project(name TEXT PRIMARY KEY, config TEXT NOT NULL) WITHOUT ROWID;"
                          "PRAGMA application_id = 1937011303; PRAGMA user_version = 1"))
        return sqlite3_errmsg(db);
    return registry_run(db, "COMMIT") ? NULL : sqlite3_errmsg(db);
}

static const char *registry_prepare_schema(sqlite3 *db)
{
    const char *why = registry_is_empty(db) ? registry_make_schema(db) : NULL;
    if (why)
        return why;
    if (registry_number(db, "PRAGMA application_id") != REGISTRY_ID)
        return "it is not a streamd registry";
    return registry_number(db, "PRAGMA user_version") == REGISTRY_SCHEMA
               ? NULL
               : "it was written by another version of streamd";
}

_Static_assert(REGISTRY_ID == 1937011303, "spelled out in the schema");

static bool registry_prepare(struct registry *r, sqlite3_stmt **statement, const char *sql)
{
    return sqlite3_prepare_v3(r->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) == SQLITE_OK;
}

/* Two processes may open a new file at once. While one switches it to WAL, SQLite answers the other BUSY without the
 * busy timeout, so the waiting is done here. */
static bool registry_use_wal(sqlite3 *db)
{
    for (unsigned waited_ms = 0; !registry_run(db, "PRAGMA journal_mode = WAL"); waited_ms += WAIT_MS) {
        if (sqlite3_errcode(db) != SQLITE_BUSY || waited_ms >= BUSY_MS)
            return false;
        sqlite3_sleep(WAIT_MS);
    }
    return true;
}

static const char *registry_open_all(struct registry *r, const char *path)
{
    /* SQLite gives its other files the owner and the mode of this one. */
    if (!owned_make(path))
        return strerror(errno);
    if (sqlite3_open_v2(path, &r->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return strerror(sqlite3_system_errno(r->db));
    sqlite3_busy_timeout(r->db, BUSY_MS);
    int stay = 1; /* its other files do: the next start may be on a full disk */
    sqlite3_file_control(r->db, "main", SQLITE_FCNTL_PERSIST_WAL, &stay);
    if (!registry_use_wal(r->db) || !registry_run(r->db, "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;"
                                                         "PRAGMA journal_size_limit = 65536"))
        return sqlite3_errmsg(r->db);
    const char *why = registry_prepare_schema(r->db);
    if (why)
        return why;
    bool prepared = registry_prepare(r, &r->get, "SELECT config FROM project WHERE name = ?1") &&
                    registry_prepare(r, &r->put,
                                     "INSERT INTO project(name, config) VALUES(?1, ?2)"
                                     " ON CONFLICT(name) DO UPDATE SET config = excluded.config") &&
                    registry_prepare(r, &r->delete, "DELETE FROM project WHERE name = ?1") &&
                    registry_prepare(r, &r->names, "SELECT name FROM project ORDER BY name") &&
                    registry_prepare(r, &r->version, "PRAGMA data_version");
    return prepared ? NULL : "it is damaged";
}

struct registry *registry_open(const char *data_dir, const char **why)
{
    struct registry *r = xcalloc(1, sizeof *r);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/registry.db", data_dir);
    *why = registry_open_all(r, path);
    if (!*why)
        return r;
    static char text[256]; /* the database's own words go with it */
    snprintf(text, sizeof text, "%s", *why);
    *why = text;
    registry_close(r);
    return NULL;
}

static bool registry_copy_text(sqlite3 *from, sqlite3 *to)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    if (!backup)
        return false;
    int rc = sqlite3_backup_step(backup, -1);
    return sqlite3_backup_finish(backup) == SQLITE_OK && rc == SQLITE_DONE;
}

bool registry_copy(const char *data_dir, const char *path)
{
    char name[PATH_MAX];
    sqlite3 *from = NULL, *to = NULL;
    snprintf(name, sizeof name, "%s/registry.db", data_dir);
    if (access(name, F_OK) != 0)
        return true;
    /* Made before SQLite opens it, so that the copy has the owner and the mode of the data folder's files. */
    int fd = owned_open(AT_FDCWD, path, O_RDWR | O_TRUNC);
    if (fd < 0)
        return false;
    close(fd);
    bool good = sqlite3_open_v2(name, &from, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK &&
                sqlite3_busy_timeout(from, BUSY_MS) == SQLITE_OK &&
                sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK &&
                registry_run(to, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF") && registry_copy_text(from, to);
    sqlite3_close(from);
    sqlite3_close(to);
    return good;
}

void registry_close(struct registry *r)
{
    sqlite3_finalize(r->get);
    sqlite3_finalize(r->put);
    sqlite3_finalize(r->delete);
    sqlite3_finalize(r->names);
    sqlite3_finalize(r->version);
    sqlite3_close(r->db);
    free(r);
}

static void registry_bind(sqlite3_stmt *statement, int at, struct slice text)
{
    sqlite3_reset(statement);
    sqlite3_bind_text(statement, at, text.data, (int)text.len, SQLITE_STATIC);
}

static struct slice registry_column(sqlite3_stmt *statement)
{
    const char *text = (const char *)sqlite3_column_text(statement, 0);
    return slice_of(text, (size_t)sqlite3_column_bytes(statement, 0));
}

static enum registry_result registry_failed(const struct registry *r)
{
    /* BUSY is no fault of the file, so the log stays silent: the caller tries again or answers 503. */
    if (sqlite3_errcode(r->db) == SQLITE_BUSY)
        return REGISTRY_BUSY;
    log_error("registry.db: %s", sqlite3_errmsg(r->db));
    return REGISTRY_FAILED;
}

static enum registry_result registry_read_config(struct slice name, struct slice config, struct project *project)
{
    struct detail wrong;
    if (project_parse(config, false, project, &wrong))
        return REGISTRY_OK;
    log_error("registry.db: project %.*s: %s", (int)name.len, name.data, wrong.text);
    return REGISTRY_FAILED;
}

enum registry_result registry_get(struct registry *r, struct slice name, struct project *project)
{
    enum registry_result result = REGISTRY_ABSENT;
    *project = (struct project){0};
    registry_bind(r->get, 1, name);
    int rc = sqlite3_step(r->get);
    if (rc == SQLITE_ROW)
        result = registry_read_config(name, registry_column(r->get), project);
    else if (rc != SQLITE_DONE)
        result = registry_failed(r);
    sqlite3_reset(r->get);
    return result;
}

static enum registry_result registry_write_row(struct registry *r, sqlite3_stmt *statement)
{
    int rc = sqlite3_step(statement);
    enum registry_result result = rc == SQLITE_DONE ? REGISTRY_OK : registry_failed(r);
    /* Only a DELETE can change no row: the name is not there. */
    if (result == REGISTRY_OK && sqlite3_changes(r->db) == 0)
        result = REGISTRY_ABSENT;
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    r->changes++;
    return result;
}

static enum registry_result registry_put(struct registry *r, struct slice name, const struct project *project)
{
    struct buf config = {0};
    project_print(project, &config);
    registry_bind(r->put, 1, name);
    registry_bind(r->put, 2, buf_slice(&config));
    enum registry_result result = registry_write_row(r, r->put);
    buf_wipe(&config);
    return result;
}

void registry_wait(struct registry *r, unsigned ms)
{
    sqlite3_busy_timeout(r->db, (int)ms);
}

/* Runs inside a transaction only: reads the project, lets `change` alter it, writes it. Any result other than OK
 * makes registry_update() roll back. */
static enum registry_result registry_alter(struct registry *r, struct slice name, registry_change *change, void *ctx)
{
    struct project project;
    enum registry_result result = registry_get(r, name, &project);
    if (result == REGISTRY_OK || result == REGISTRY_ABSENT)
        result = change(ctx, &project, result == REGISTRY_OK) ? registry_put(r, name, &project) : REGISTRY_REFUSED;
    project_clear(&project);
    return result;
}

enum registry_result registry_update(struct registry *r, struct slice name, registry_change *change, void *ctx)
{
    if (!registry_run(r->db, "BEGIN IMMEDIATE"))
        return registry_failed(r);
    enum registry_result result = registry_alter(r, name, change, ctx);
    if (result == REGISTRY_OK && !registry_run(r->db, "COMMIT"))
        result = registry_failed(r);
    if (result != REGISTRY_OK)
        registry_run(r->db, "ROLLBACK");
    return result;
}

enum registry_result registry_delete(struct registry *r, struct slice name)
{
    registry_bind(r->delete, 1, name);
    return registry_write_row(r, r->delete);
}

enum registry_result registry_names(struct registry *r, registry_visit *visit, void *ctx)
{
    int rc;
    while ((rc = sqlite3_step(r->names)) == SQLITE_ROW)
        visit(ctx, registry_column(r->names));
    enum registry_result result = rc == SQLITE_DONE ? REGISTRY_OK : registry_failed(r);
    sqlite3_reset(r->names);
    return result;
}

uint32_t registry_version(struct registry *r)
{
    uint32_t version = 0;
    if (sqlite3_step(r->version) == SQLITE_ROW)
        version = (uint32_t)sqlite3_column_int64(r->version, 0);
    sqlite3_reset(r->version);
    /* data_version counts the commits of other connections only; `changes` adds our own. */
    return version + r->changes;
}
