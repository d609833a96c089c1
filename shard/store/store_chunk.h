/* The chunks: extents of one stream's bytes, flushed from the journal. A chunk has its bytes, or references to bytes
 * that several streams share (store_shared.h); a reader does not see the difference. */
#ifndef SHARD_STORE_STORE_CHUNK_H
#define SHARD_STORE_STORE_CHUNK_H

#include "common/attr.h"
#include "shard/store/extent.h"
#include "shard/store/store.h"

/* Finds the chunk of the stream that holds position, or the next after it. Borrowed until the store is used again. */
typedef bool store_chunk_look(struct store *store, uint64_t uid, uint64_t position, struct extent *extent);
store_chunk_look store_chunk_at MUSTUSE;
/* The same without its data, of which only the length is set and nothing is read. */
store_chunk_look store_chunk_bounds MUSTUSE;
/* Finds the newest chunk, if its data is shorter than max_bytes, as it is stored: references stay references. *row_id
 * is for store_chunk_replace(). Borrowed as above. */
bool store_chunk_last(struct store *store, uint64_t uid, size_t max_bytes, int64_t *row_id,
                      struct extent *extent) MUSTUSE;
void store_chunk_insert(struct store *store, uint64_t uid, const struct extent *extent);
void store_chunk_replace(struct store *store, int64_t row_id, const struct extent *extent);
void store_chunk_delete(struct store *store, int64_t row_id);

/* Deletes about `max` chunks that end at or before `upto`. False: there are none left. */
bool store_chunks_drop(struct store *store, uint64_t uid, uint64_t upto, unsigned max);

#endif
