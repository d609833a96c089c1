/* The journal of a database that is looked at: rows of a moment, and files that the server goes on writing.
 *
 * Files have no moment. They are read as soon as the database's moment has begun, into the temporary table `filed`, so
 * that a check may take its time. A batch is in one of the two if it was there before, unless the server has flushed,
 * dropped and overwritten its file in between: then a number is missing, and the look begins anew. Batches that are
 * later than all that were there before the moment are left out: a row that they need, of a fork, may be later, too.
 *
 * Failure modes: a file that is written while it is read looks damaged, so the look begins anew, too. What is still
 * missing or damaged after some tries is so, and verify says it. */
#include "shard/store/store_look_journal.h"

#include <stdio.h>

#include "shard/store/journal_file.h"
#include "shard/store/store_look_sql.h"
#include "shard/store/store_sql.h"

#define TRIES 20

static bool store_look_journal_file(struct store_look *look, const struct journal_cursor *cursor, int64_t seq)
{
    sqlite3_stmt *statement = store_look_prepare(look, LOOK_FILED_PUT);
    if (!statement)
        return false;
    sqlite3_bind_int64(statement, 1, seq);
    bind_slice(statement, 2, cursor->heads);
    bind_slice(statement, 3, cursor->data);
    return store_look_step(look, statement) == STEP_END;
}

static bool store_look_journal_files(struct store_look *look, const struct journal_files *files, int64_t dropped)
{
    struct journal_cursor cursor;
    bool good = true;
    journal_cursor_begin(&cursor, files, dropped);
    for (int64_t seq; good && (seq = journal_cursor_next(&cursor)) != 0;)
        good = store_look_journal_file(look, &cursor, seq);
    journal_cursor_end(&cursor);
    return good;
}

/* The first number that is not there, behind those that are dropped. */
static int64_t store_look_journal_gap(struct store_look *look, int64_t dropped)
{
    sqlite3_stmt *statement = store_look_prepare(look, LOOK_JOURNAL_NUMBERS);
    int64_t next = dropped + 1;
    while (store_look_step(look, statement) == STEP_ROW && sqlite3_column_int64(statement, 0) == next)
        next++;
    if (statement)
        sqlite3_reset(statement);
    return next;
}

/* False: a batch is missing that was there before, or something cannot be read or looks damaged. */
static bool store_look_journal_try(struct store_look *look)
{
    struct journal_files files;
    int64_t mark, dropped, newest, gap;
    char cut[96];
    if (!store_look_number(look, "SELECT mark FROM journal", &mark))
        return false;
    look->journal_damaged = !journal_files_look(&files, look->path, (uint64_t)mark, INT64_MAX);
    int64_t before = journal_files_last(&files);
    journal_files_close(&files);
    if (!store_look_run(look, "BEGIN; DELETE FROM filed") ||
        !store_look_number(look, "SELECT dropped FROM journal", &dropped) ||
        !store_look_number(look, "SELECT ifnull(max(seq), 0) FROM log", &newest))
        return false;
    look->journal_damaged |= !journal_files_look(&files, look->path, (uint64_t)mark, dropped);
    bool good = store_look_journal_files(look, &files, dropped) && !look->journal_damaged;
    journal_files_close(&files);
    gap = store_look_journal_gap(look, dropped);
    before = newest > before ? newest : before;
    snprintf(cut, sizeof cut, "DELETE FROM filed WHERE seq > %lld", (long long)before);
    return store_look_run(look, cut) && good && gap > before;
}

void store_look_begin(struct store_look *look)
{
    for (unsigned i = 0; !store_look_journal_try(look) && i + 1 < TRIES; i++) {
        store_look_release(look);
        (void)store_look_run(look, "ROLLBACK");
    }
}

bool store_look_journal_damaged(const struct store_look *look)
{
    return look->journal_damaged;
}

int64_t store_look_dropped(struct store_look *look)
{
    int64_t dropped = 0;
    return store_look_number(look, "SELECT dropped FROM journal", &dropped) ? dropped : 0;
}

bool store_look_journal(struct store_look *look, store_look_batch *visit, void *ctx)
{
    sqlite3_stmt *statement = store_look_prepare(look, LOOK_JOURNAL);
    enum look_step result;
    while ((result = store_look_step(look, statement)) == STEP_ROW)
        visit(ctx, sqlite3_column_int64(statement, 0), column_slice(statement, 1), column_slice(statement, 2));
    return result == STEP_END;
}
