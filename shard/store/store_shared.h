/* Bytes that several streams share: stored once, and counted by the chunks that refer to them. Such a chunk has no
 * data, and references in the place of its boundaries. */
#ifndef SHARD_STORE_STORE_SHARED_H
#define SHARD_STORE_STORE_SHARED_H

#include "common/attr.h"
#include "common/slice.h"
#include "shard/store/extent.h"
#include "shard/store/store.h"

struct buf;

/* The name of bytes that begin at `at` in a batch of the journal. */
#define SHARED_AT_BITS 20u
static inline uint64_t shared_id(int64_t batch, uint64_t at)
{
    return (uint64_t)batch << SHARED_AT_BITS | at;
}

/* Adds a reference as a chunk keeps it. */
void shared_ref_add(struct buf *refs, uint64_t id, uint64_t count);

/* Counts one more chunk that refers to these bytes, and stores them if it is the first. */
void store_shared_ref(struct store *store, uint64_t id, const struct extent *extent);
/* Finds the extent that holds position among those that a chunk's references stand for; *extent is the chunk's. False:
 * they are damaged. */
bool store_shared_at(struct store *store, uint64_t position, struct extent *extent) MUSTUSE;
/* The same without the data, of which only the length is set. */
bool store_shared_bounds(struct store *store, uint64_t position, struct extent *extent) MUSTUSE;
/* Drops these references, and bytes that have no more. */
void store_shared_release(struct store *store, struct slice refs);
/* Drops the references of the chunks that the next slice of a deleted stream has (store_upkeep.h). */
void store_shared_release_slice(struct store *store, uint64_t uid);

#endif
