/* The usage of projects, as far as the catalogue knows: triggers on the table of streams keep the sums. */
#ifndef SHARD_STORE_STORE_USAGE_H
#define SHARD_STORE_STORE_USAGE_H

#include "common/slice.h"
#include "shard/store/store.h"

/* Streams of a project that are not deleted, and flushed bytes of all that have a name. */
void store_usage(struct store *store, struct slice project, uint64_t *streams, uint64_t *bytes);
/* The usage of all projects. */
void store_usage_all(struct store *store, uint64_t *streams, uint64_t *bytes);

#endif
