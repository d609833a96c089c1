/* Batches, in files or as rows. A batch takes entries during one turn, until it is large or an entry has another time.
 * Its data stays in memory as long as one of its entries waits to be flushed: entries hold the batch by a counted
 * reference.
 *
 *     seq | time_ms | heads             | data                    a head: stream@start+count
 *     41  | 1000    | a@0+5 b@7+2 a@5+1 | "hello" "xy" "!"      in memory until the last of the three is flushed
 *     42  | 1007    | a@6+4             | "more"
 *
 * A commit that has nothing but batches goes to the files (journal_file.c), which costs one write. If the turn changes
 * the catalogue too, batches and changes have to be durable together: they are rows of the same transaction. Numbers
 * follow one another over both, from `dropped` in the database on, so that a batch that is missing is found.
 *
 * Happy path: journal_append() puts an entry into the open batch, journal_write() writes the commit's batches, flushing
 * copies their bytes into chunks, journal_drop() deletes rows and says that files may be used again.
 *
 * Failure modes: a crash before the commit is durable loses its batches, and no answer to their appends has left. A
 * crash later loses nothing: journal_recover() reads every batch again, also those that are flushed already and not yet
 * dropped. A batch that cannot be decoded, or is missing, ends the process for good; a restart would meet it again. */
#include "shard/store/journal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "shard/store/journal_file.h"
#include "shard/store/store_sql.h"
#include "shard/store/store_wal.h"

/* A batch that has reached this takes nothing more. Every entry therefore begins below 1 << SHARED_AT_BITS, which lets
 * shared_id() name shared bytes by their batch and their place in it. */
#define BATCH_BYTES ((size_t)1 << 20)

/* ---- batches ---- */

struct batch *batch_ref(struct batch *batch)
{
    batch->refs++;
    return batch;
}

void batch_unref(struct batch *batch)
{
    if (--batch->refs)
        return;
    buf_clear(&batch->heads);
    buf_clear(&batch->data);
    free(batch);
}

static struct batch *journal_batch_new(int64_t seq, uint64_t time_ms)
{
    struct batch *batch = xcalloc(1, sizeof *batch);
    batch->seq = seq;
    batch->time_ms = time_ms;
    batch->refs = 1;
    return batch;
}

/* ---- writing ---- */

void journal_load(struct store *store)
{
    store->dropped = (int64_t)store_get(store, store_prepare(store, SQL_JOURNAL_DROPPED));
    uint64_t mark = store_get(store, store_prepare(store, SQL_JOURNAL_MARK));
    journal_files_open(&store->journal_files, store->path, mark, store->dropped);
    int64_t filed = journal_files_last(&store->journal_files);
    store->last_seq = (int64_t)store_get(store, store_prepare(store, SQL_JOURNAL_LAST));
    store->last_seq = filed > store->last_seq ? filed : store->last_seq;
}

void journal_use_rows(struct store *store, bool rows)
{
    store->journal_in_rows = rows;
    if (!rows || !journal_files_have_dropped(&store->journal_files, store->dropped))
        return;
    store_sync(store);
    journal_files_give_back(&store->journal_files, store->dropped);
}

static void journal_write_row(struct store *store, const struct batch *batch)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_JOURNAL_APPEND);
    sqlite3_bind_int64(statement, 1, batch->seq);
    bind_u64(statement, 2, batch->time_ms);
    bind_slice(statement, 3, buf_slice(&batch->heads));
    bind_slice(statement, 4, buf_slice(&batch->data));
    store_run(store, statement);
}

/* Heads serve recovery only. Data stays: pending appends point into it. */
void journal_forget(struct store *store)
{
    for (struct batch *batch; (batch = store->batches);) {
        store->batches = batch->next;
        batch->next = NULL;
        buf_clear(&batch->heads);
        buf_trim(&batch->data);
        batch_unref(batch);
    }
    store->batch = NULL;
}

/* A file is used again only when the disk knows that all of it is dropped. */
static bool journal_find_room(struct store *store)
{
    struct journal_files *files = &store->journal_files;
    if (journal_files_have_room(files))
        return true;
    if (journal_files_have_dropped(files, store->dropped))
        store_sync(store);
    return journal_files_next(files, store->dropped);
}

static bool journal_write_file(struct store *store)
{
    return !store->open && !store->journal_in_rows && journal_find_room(store) &&
           journal_files_put(&store->journal_files, store->batches);
}

void journal_write(struct store *store)
{
    if (store->batches && !journal_write_file(store)) {
        store_begin(store);
        for (const struct batch *batch = store->batches; batch; batch = batch->next)
            journal_write_row(store, batch);
    }
    journal_forget(store);
}

static void journal_add_batch(struct store *store, uint64_t time_ms)
{
    struct batch **last = store->batch ? &store->batch->next : &store->batches;
    store->batch = *last = journal_batch_new(++store->last_seq, time_ms);
}

/* Recovery needs one time a batch, and memory is given back by the batch. */
void journal_append(struct store *store, struct journal_entry *entry)
{
    struct batch *batch = store->batch;
    if (!batch || batch->time_ms != entry->time_ms || buf_len(&batch->data) >= BATCH_BYTES)
        journal_add_batch(store, entry->time_ms);
    batch = store->batch;
    if (!buf_len(&batch->heads))
        entry->flags &= ~ENTRY_SAME; /* the one before it is in another batch */
    entry_add(&batch->heads, entry);
    entry->batch = batch;
    entry->at = batch->last_at;
    if (entry->flags & ENTRY_SAME)
        return;
    entry->at = batch->last_at = buf_len(&batch->data);
    buf_add_slice(&batch->data, entry->boundaries);
    buf_add_slice(&batch->data, entry->data);
}

/* ---- recovery ---- */

static void journal_recover_batch(struct store *store, struct batch *batch, struct slice heads, journal_visit *visit,
                                  void *ctx)
{
    struct slice data = buf_slice(&batch->data);
    struct journal_entry entry = {0};
    while (heads.len) {
        size_t at = buf_len(&batch->data) - data.len;
        entry = (struct journal_entry){
            .time_ms = batch->time_ms,
            .batch = batch,
            .at = entry.at, /* these three stay with ENTRY_SAME */
            .boundaries = entry.boundaries,
            .data = entry.data,
        };
        if (!entry_take(&heads, &data, &entry))
            fatal_never_restart("%s: batch %lld of the journal is damaged", store->path, (long long)batch->seq);
        if (!(entry.flags & ENTRY_SAME))
            entry.at = at;
        visit(ctx, &entry);
    }
}

static void journal_recover_next(struct store *store, int64_t seq, uint64_t time_ms, struct slice heads,
                                 struct slice data, journal_visit *visit, void *ctx)
{
    struct batch *batch = journal_batch_new(seq, time_ms);
    buf_add_slice(&batch->data, data);
    journal_recover_batch(store, batch, heads, visit, ctx);
    batch_unref(batch);
}

/* Rows and records are two lists in the order of their numbers, which together have every number once. */
void journal_recover(struct store *store, journal_visit *visit, void *ctx)
{
    sqlite3_stmt *rows = store_prepare(store, SQL_JOURNAL_RECOVER);
    struct journal_cursor records;
    journal_cursor_begin(&records, &store->journal_files, store->dropped);
    int64_t row = store_step(store, rows) ? sqlite3_column_int64(rows, 0) : 0, record = journal_cursor_next(&records);
    for (int64_t next = store->dropped + 1; next <= store->last_seq; next++) {
        if (row == next) {
            journal_recover_next(store, row, column_u64(rows, 1), column_slice(rows, 2), column_slice(rows, 3), visit,
                                 ctx);
            row = store_step(store, rows) ? sqlite3_column_int64(rows, 0) : 0;
        } else if (record == next) {
            journal_recover_next(store, record, records.time_ms, records.heads, records.data, visit, ctx);
            record = journal_cursor_next(&records);
        } else {
            fatal_never_restart("%s: batch %" PRId64 " of the journal is missing", store->path, next);
        }
    }
    journal_cursor_end(&records);
}

int64_t journal_last(const struct store *store)
{
    return store->last_seq;
}

/* The proof of which numbers were given goes with the batch, so serial numbers are written with this commit. */
bool journal_drop(struct store *store, int64_t upto, int64_t max)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_JOURNAL_UPTO);
    store->serials_due = true;
    sqlite3_bind_int64(statement, 1, upto);
    sqlite3_bind_int64(statement, 2, max);
    uint64_t more = store_get(store, statement);
    int64_t dropped = more ? (int64_t)more - 1 : upto;
    store_run_with(store, SQL_JOURNAL_DROP, (uint64_t)dropped);
    store_run_with(store, SQL_JOURNAL_SET_DROPPED, (uint64_t)dropped);
    store->dropping = dropped;
    return more != 0;
}
