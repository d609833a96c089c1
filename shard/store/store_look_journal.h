/* The batches of a database that is looked at, from its rows and from its files. */
#ifndef SHARD_STORE_STORE_LOOK_JOURNAL_H
#define SHARD_STORE_STORE_LOOK_JOURNAL_H

#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"
#include "shard/store/store_look.h"

typedef void store_look_batch(void *ctx, int64_t seq, struct slice heads, struct slice data);
/* The journal, batch by batch, by their numbers. One that is missing is left out. */
bool store_look_journal(struct store_look *look, store_look_batch *visit, void *ctx) MUSTUSE;
/* A file is damaged or cannot be read: batches are missing. */
bool store_look_journal_damaged(const struct store_look *look);
/* The number up to which all were dropped; the first is one more. */
int64_t store_look_dropped(struct store_look *look);

#endif
