/* A copy of the database, made a few pages at a time. What is written meanwhile goes into the copy too. */
#ifndef SHARD_STORE_STORE_COPY_H
#define SHARD_STORE_STORE_COPY_H

#include "common/attr.h"
#include "shard/store/store.h"

struct store_copy;

/* Begins a copy to a new file. NULL: *why, a static text, says why not. */
struct store_copy *store_copy_begin(struct store *store, const char *path, const char **why) MUSTUSE;
/* Copies up to so many pages, outside of a transaction, and leaves about `keep` (> 0). Returns how many are left; -1 if
 * the copy has failed. */
int64_t store_copy_step(struct store_copy *copy, int pages, int keep) MUSTUSE;
/* Copies the rest: the file is the database as it is now. False: the copy has failed. Frees the copy in any case. */
bool store_copy_finish(struct store_copy *copy) MUSTUSE;
void store_copy_abandon(struct store_copy *copy);

#endif
