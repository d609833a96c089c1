/* The journal: every append of a shard, in the order of arrival, one batch a commit. What waits in it for being flushed
 * is in memory too; only a recovery reads it. */
#ifndef SHARD_STORE_JOURNAL_H
#define SHARD_STORE_JOURNAL_H

#include "common/buf.h"
#include "shard/store/entry.h"
#include "shard/store/store.h"

/* One row or record of the journal. Counted references: the turn that makes it has one, and every entry in memory. */
struct batch {
    struct batch *next; /* of the same commit */
    int64_t seq;
    uint64_t time_ms; /* when its appends were made */
    struct buf heads; /* what recovery needs of each append; empty once it is stored */
    struct buf data;  /* each append's boundaries and data */
    size_t last_at;   /* in data: of the last one that has some there */
    size_t refs;
};

struct batch *batch_ref(struct batch *batch);
void batch_unref(struct batch *batch);

/* Adds to the batch of this commit, and sets entry->batch and entry->at. With ENTRY_SAME the boundaries and data
 * are those of the last entry that was added, and are stored once. */
void journal_append(struct store *store, struct journal_entry *entry);

/* The entry is valid during the call. */
typedef void journal_visit(void *ctx, const struct journal_entry *entry);
/* Calls visit for each entry in order. Ends the process for good if a batch is damaged or missing. */
void journal_recover(struct store *store, journal_visit *visit, void *ctx);
/* The newest batch's seq, 0 if there never was one. */
int64_t journal_last(const struct store *store);
/* Deletes the oldest batches, about `max` of those with seq <= upto. False: there are none left. */
bool journal_drop(struct store *store, int64_t upto, int64_t max);

/* Whether batches become rows whatever else there is to commit: on a full disk, where the database has room of its own.
 * Files of which all is dropped are given back then. */
void journal_use_rows(struct store *store, bool rows);

/* Within the store: finds the newest seq at the start; writes the batches of this commit, to the files if there is
 * nothing else to commit, and then they are durable; or as rows of its transaction. */
void journal_load(struct store *store);
void journal_write(struct store *store);
/* The batches of this commit are not wanted. */
void journal_forget(struct store *store);

#endif
