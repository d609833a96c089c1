/* Copies of a database for backups, and what of them is in the store of segments. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/owned.h"
#include "shard/store/store_sql.h"

/* ---- copying ---- */

struct store_copy {
    struct store *store;
    sqlite3 *to;
    sqlite3_backup *backup;
};

uint64_t store_size(struct store *store)
{
    return (uint64_t)store_number(store, "PRAGMA page_count") * (uint64_t)store_number(store, "PRAGMA page_size");
}

struct store_copy *store_copy_begin(struct store *store, const char *path, const char **why)
{
    struct store_copy *copy = xcalloc(1, sizeof *copy);
    copy->store = store;
    int fd = owned_open(AT_FDCWD, path, O_RDWR | O_TRUNC);
    *why = "its file cannot be made";
    if (fd >= 0 && sqlite3_open_v2(path, &copy->to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK &&
        sqlite3_exec(copy->to, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", NULL, NULL, NULL) == SQLITE_OK)
        copy->backup = sqlite3_backup_init(copy->to, "main", store->db, "main");
    if (fd >= 0)
        close(fd);
    if (copy->backup)
        return copy;
    store_copy_abandon(copy);
    return NULL;
}

static int64_t store_backup_left(const struct store_copy *copy)
{
    int64_t copied = sqlite3_backup_pagecount(copy->backup) - sqlite3_backup_remaining(copy->backup);
    int64_t all = store_number(copy->store, "PRAGMA page_count");
    return all > copied ? all - copied : 0;
}

int64_t store_copy_step(struct store_copy *copy, int pages, int keep)
{
    int64_t more = store_backup_left(copy) - keep;
    if (more <= 0)
        return keep;
    int rc = sqlite3_backup_step(copy->backup, more < pages ? (int)more : pages);
    return rc == SQLITE_OK ? store_backup_left(copy) : -1;
}

bool store_copy_finish(struct store_copy *copy)
{
    int rc = sqlite3_backup_step(copy->backup, -1);
    bool good = sqlite3_backup_finish(copy->backup) == SQLITE_OK && rc == SQLITE_DONE;
    copy->backup = NULL;
    good &= sqlite3_close(copy->to) == SQLITE_OK;
    copy->to = NULL;
    store_copy_abandon(copy);
    return good;
}

void store_copy_abandon(struct store_copy *copy)
{
    if (copy->backup)
        sqlite3_backup_finish(copy->backup);
    sqlite3_close(copy->to);
    free(copy);
}

/* ---- what is in the store of segments ---- */

void store_backup_put(struct store *store, const struct backup_file_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_BACKUP_PUT);
    bind_u64(statement, 1, row->id);
    sqlite3_bind_text(statement, 2, row->name, -1, SQLITE_STATIC);
    bind_u64(statement, 3, row->pieces);
    store_run(store, statement);
}

uint64_t store_backup_last(struct store *store)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_BACKUP_LAST);
    uint64_t id = store_step(store, statement) ? column_u64(statement, 0) : 0;
    sqlite3_reset(statement);
    return id;
}

void store_backups_gone(struct store *store, uint64_t from, uint64_t to)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_BACKUPS_GONE);
    bind_u64(statement, 1, from);
    bind_u64(statement, 2, to);
    store_run(store, statement);
}

void store_backup_hold(struct store *store, uint64_t id)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_BACKUP_HOLD);
    bind_u64(statement, 1, id);
    store_run(store, statement);
}

bool store_backup_gone(struct store *store, struct backup_file_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_BACKUP_GONE);
    if (!store_step(store, statement))
        return false;
    *row = (struct backup_file_row){.id = column_u64(statement, 0), .pieces = column_u64(statement, 2)};
    struct slice name = column_slice(statement, 1);
    snprintf(row->name, sizeof row->name, "%.*s", (int)name.len, name.data ? name.data : "");
    sqlite3_reset(statement);
    return true;
}

void store_backup_delete(struct store *store, const struct backup_file_row *row)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_BACKUP_DELETE);
    bind_u64(statement, 1, row->id);
    sqlite3_bind_text(statement, 2, row->name, -1, SQLITE_STATIC);
    store_run(store, statement);
}
