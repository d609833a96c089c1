/* One shard's database: opening, closing, and the transaction that every change of a turn is part of.
 *
 * The database has two parts. The journal takes every append, in the order of arrival (journal.h). The catalogue has a
 * table a subject: streams, their bytes in chunks and segments, producers, forks, fan-out, backups (store_*.h).
 * Flushing moves bytes from the journal into the catalogue.
 *
 * The subjects' functions write into a transaction, which the first of them opens; store_commit() makes it durable. A
 * failure of the database ends the process: the supervisor starts it again, and it recovers what was committed. */
#ifndef SHARD_STORE_STORE_H
#define SHARD_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct commits;
struct store;

#define STORE_NONE UINT64_MAX /* an absent time, TTL, position or uid */

/* Opens or creates DATA_DIR/shard-INDEX.db. Ends the process with EXIT_NEVER_RESTART if the file is not streamd's,
 * newer or damaged. page_cache is in bytes. */
struct store *store_open(const char *data_dir, unsigned index, uint64_t page_cache);
void store_close(struct store *store);
void store_path(char *out, size_t size, const char *data_dir, unsigned index);

/* Opens a transaction unless one is open. The functions of the subjects do so by themselves; before SQL of one's own it
 * has to be done. */
void store_begin(struct store *store);
/* The same, for changes that a recovery would make again, since the journal has what they are made of. Its commit is
 * durable with the next one that is, or with the next checkpoint, and has no number. */
void store_begin_unsynced(struct store *store);
/* Seals everything since store_begin() and what was added to the journal, if there was anything, and ends all borrowing
 * of rows. Returns true if there was. The commit is durable when this returns, unless another keeper was set
 * (commit.h). */
bool store_commit(struct store *store);
struct commits *store_commits(struct store *store);
/* The commit that has to be durable before what the rows say now is true. */
uint64_t store_visible(const struct store *store);

#endif
