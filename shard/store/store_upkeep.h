/* What upkeep asks of the catalogue: streams whose time has come, rows of deleted streams, unused pages. */
#ifndef SHARD_STORE_STORE_UPKEEP_H
#define SHARD_STORE_STORE_UPKEEP_H

#include "common/attr.h"
#include "shard/store/store.h"

/* Uids of up to max live streams whose deadline is at or before now_ms; returns how many. */
size_t store_expired(struct store *store, uint64_t now_ms, uint64_t *uids, size_t max) MUSTUSE;
/* Uids of up to max streams whose retain_ms is at or before now_ms; returns how many. */
size_t store_retained(struct store *store, uint64_t now_ms, uint64_t *uids, size_t max) MUSTUSE;

/* True if a stream that is being deleted has rows left. */
bool store_deleting_any(struct store *store) MUSTUSE;
/* Deletes a slice of the rows of one such stream, its own row last. */
void store_deleting_slice(struct store *store);

/* Gives up to `pages` unused pages back to the file system, if more than an eighth of the file is unused: some room to
 * grow into is kept. With `all` hardly any is. True: there are more. */
bool store_vacuum_slice(struct store *store, unsigned pages, bool all);

#endif
