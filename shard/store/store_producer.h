/* Producers of streams: the epoch and sequence number of each, as flushed. The journal has what is newer. */
#ifndef SHARD_STORE_STORE_PRODUCER_H
#define SHARD_STORE_STORE_PRODUCER_H

#include "common/attr.h"
#include "common/slice.h"
#include "shard/store/store.h"

bool store_producer(struct store *store, uint64_t uid, struct slice id, uint64_t *epoch, uint64_t *seq) MUSTUSE;
void store_producer_put(struct store *store, uint64_t uid, struct slice id, uint64_t epoch, uint64_t seq);
/* How many a stream has, counted up to `most`. */
uint64_t store_producers_count(struct store *store, uint64_t uid, uint64_t most);
/* Each of them by id, until visit returns false. */
typedef bool store_producer_visit(void *ctx, struct slice id, uint64_t epoch, uint64_t seq);
void store_producers(struct store *store, uint64_t uid, store_producer_visit *visit, void *ctx);

#endif
