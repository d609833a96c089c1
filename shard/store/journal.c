/* The journal's table: a batch a row. A batch is open during one transaction; it is written by the commit, or earlier
 * when it is large or an entry has another time. Its data stays in memory as long as one of its entries waits to be
 * flushed: entries hold the batch by a counted reference.
 *
 *     seq | time_ms | heads             | data                    a head: stream@start+count
 *     41  | 1000    | a@0+5 b@7+2 a@5+1 | "hello" "xy" "!"      in memory until the last of the three is flushed
 *     42  | 1007    | a@6+4             | "more"
 *
 * Happy path: journal_append() puts an entry into the open batch, journal_write() stores the batch as a row, flushing
 * copies its bytes into chunks, journal_drop() deletes the row.
 *
 * Failure modes: a crash before COMMIT loses the open batch, and no answer to its appends has left. A crash later loses
 * nothing: journal_recover() reads every row again, also rows that are flushed already and not yet dropped. A row that
 * cannot be decoded ends the process for good; a restart would meet it again. */
#include "shard/store/journal.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "shard/store/store_sql.h"

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

/* ---- the table ---- */

/* Numbers go on behind the newest batch, and behind the newest shared bytes: these are named after their batch and may
 * outlive its row. */
void journal_load(struct store *store)
{
    store->last_seq = (int64_t)store_get(store, store_prepare(store, SQL_JOURNAL_LAST));
}

void journal_write(struct store *store)
{
    struct batch *batch = store->batch;
    if (!batch)
        return;
    sqlite3_stmt *statement = store_prepare(store, SQL_JOURNAL_APPEND);
    sqlite3_bind_int64(statement, 1, batch->seq);
    bind_u64(statement, 2, batch->time_ms);
    bind_slice(statement, 3, buf_slice(&batch->heads));
    bind_slice(statement, 4, buf_slice(&batch->data));
    store_run(store, statement);
    /* Heads serve recovery only. Data stays: pending appends point into it. */
    buf_clear(&batch->heads);
    buf_trim(&batch->data);
    batch_unref(batch);
    store->batch = NULL;
}

/* A batch that is full, or of another time, is written in the middle of the transaction: recovery needs one time a row,
 * and memory is given back by the batch. */
void journal_append(struct store *store, struct journal_entry *entry)
{
    struct batch *batch = store->batch;
    if (batch && (batch->time_ms != entry->time_ms || buf_len(&batch->data) >= BATCH_BYTES)) {
        journal_write(store);
        batch = NULL;
    }
    if (!batch)
        batch = store->batch = journal_batch_new(++store->last_seq, entry->time_ms);
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

void journal_recover(struct store *store, journal_visit *visit, void *ctx)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_JOURNAL_RECOVER);
    while (store_step(store, statement)) {
        struct batch *batch = journal_batch_new(sqlite3_column_int64(statement, 0), column_u64(statement, 1));
        buf_add_slice(&batch->data, column_slice(statement, 3));
        journal_recover_batch(store, batch, column_slice(statement, 2), visit, ctx);
        batch_unref(batch);
    }
}

int64_t journal_last(const struct store *store)
{
    return store->last_seq;
}

/* The proof of which numbers were given goes with the batch, so serial numbers are written with this commit. */
bool journal_drop(struct store *store, int64_t upto, int64_t max)
{
    sqlite3_stmt *statement = store_prepare(store, SQL_JOURNAL_DROP);
    store->serials_due = true;
    sqlite3_bind_int64(statement, 1, upto);
    sqlite3_bind_int64(statement, 2, max);
    store_run(store, statement);
    return sqlite3_changes(store->db) > 0;
}
