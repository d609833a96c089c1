/* The table of backups' files.
 *
 *     store_backup_put --> counts --store_backups_gone--> gone = 1 --file removed, store_backup_delete--> no row
 *
 * While a backup counts, orphans that carry its number or a later one stay (SQL_ORPHANS): its database may refer to
 * their files. */
#include "shard/store/store_backup.h"

#include <stdio.h>

#include "shard/store/store_sql.h"

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
    return store_get(store, store_prepare(store, SQL_BACKUP_LAST));
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
    store_run_with(store, SQL_BACKUP_HOLD, id);
}

/* One at a time: its row is deleted when the file is removed, so a crash only repeats a removal. */
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
