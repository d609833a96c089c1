/* Copying a database with SQLite's backup interface. SQLite writes every page that changes into the copy too, if it was
 * copied before, so the steps never begin anew. The documentation of sqlite3_backup_step() promises that only for
 * changes through the connection that is copied from; therefore a shard copies its own database.
 *
 * Happy path: begin, a few pages a turn until about `keep` are left, then finish: the last step copies the rest at
 * once, batches in the journal's files are added, and the copy is the database as of that turn.
 *
 * Failure modes: a step that fails (the disk is full, say) ends the copy; the caller abandons it and the database is
 * untouched. A crash leaves an unfinished file, which the next process of the shard removes. */
#include "shard/store/store_copy.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/owned.h"
#include "shard/store/journal_file.h"
#include "shard/store/store_sql.h"

struct store_copy {
    struct store *store;
    sqlite3 *to;
    sqlite3_backup *backup;
};

struct store_copy *store_copy_begin(struct store *store, const char *path, const char **why)
{
    struct store_copy *copy = xcalloc(1, sizeof *copy);
    copy->store = store;
    int fd = owned_open(AT_FDCWD, path, O_RDWR | O_TRUNC);
    *why = "its file cannot be made";
    /* OFF: a copy that a crash interrupts is worthless anyway, so it needs neither a rollback journal nor fsyncs. */
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

/* SQLite counts what is left only when a step begins; the database may have grown since. */
static int64_t store_copy_left(const struct store_copy *copy)
{
    int64_t copied = sqlite3_backup_pagecount(copy->backup) - sqlite3_backup_remaining(copy->backup);
    int64_t all = store_number(copy->store, "PRAGMA page_count");
    return all > copied ? all - copied : 0;
}

int64_t store_copy_step(struct store_copy *copy, int pages, int keep)
{
    int64_t more = store_copy_left(copy) - keep;
    if (more <= 0)
        return keep;
    int rc = sqlite3_backup_step(copy->backup, more < pages ? (int)more : pages);
    return rc == SQLITE_OK ? store_copy_left(copy) : -1;
}

static bool store_copy_batch(sqlite3_stmt *statement, const struct journal_cursor *cursor, int64_t seq)
{
    sqlite3_bind_int64(statement, 1, seq);
    bind_u64(statement, 2, cursor->time_ms);
    bind_slice(statement, 3, cursor->heads);
    bind_slice(statement, 4, cursor->data);
    bool good = sqlite3_step(statement) == SQLITE_DONE;
    return sqlite3_reset(statement) == SQLITE_OK && good;
}

/* Batches that are in files become rows of the copy, which has no files. The pages have brought the WAL with them:
 * without it, what the disk does not take is known before the copy is closed. */
static bool store_copy_journal(struct store_copy *copy)
{
    sqlite3_stmt *statement = NULL;
    struct journal_cursor cursor;
    bool good = sqlite3_exec(copy->to, "PRAGMA journal_mode = OFF; BEGIN", NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_prepare_v2(copy->to, store_sql_text(SQL_JOURNAL_APPEND), -1, &statement, NULL) == SQLITE_OK;
    journal_cursor_begin(&cursor, &copy->store->journal_files, copy->store->dropped);
    for (int64_t seq; good && (seq = journal_cursor_next(&cursor)) != 0;)
        good = store_copy_batch(statement, &cursor, seq);
    good &= cursor.after >= journal_files_last(cursor.files);
    journal_cursor_end(&cursor);
    sqlite3_finalize(statement);
    return good && sqlite3_exec(copy->to, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
}

bool store_copy_finish(struct store_copy *copy)
{
    int rc = sqlite3_backup_step(copy->backup, -1);
    bool good = sqlite3_backup_finish(copy->backup) == SQLITE_OK && rc == SQLITE_DONE && store_copy_journal(copy);
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
