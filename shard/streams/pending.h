/* Appends that only the journal has: where their bytes lie, and which streams have some to be flushed. */
#ifndef SHARD_STREAMS_PENDING_H
#define SHARD_STREAMS_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/store/extent.h"

struct batch;
struct journal_entry;
struct stream;
struct streams;

/* One append not yet flushed. */
struct pending {
    struct batch *batch; /* holds a reference */
    uint64_t start, count;
    uint32_t at, boundaries, bytes; /* in batch->data: at `at` its boundaries, then its data */
    bool shared;                    /* with other streams */
};

/* The bytes of a pending append; borrowed as long as it is pending and until the stream is appended to. */
struct extent pending_extent(const struct pending *p);

/* An append is in the journal; the stream waits to be flushed. */
void pending_add(struct streams *streams, struct stream *stream, const struct journal_entry *entry);

/* Drops the oldest `count` pending appends. */
void pending_forget(struct streams *streams, struct stream *stream, size_t count);

/* Frees all of them: the stream leaves memory, and nothing is counted any more. */
void pending_free(struct stream *stream);

/* A generation begins with all that is pending; the last one must be over: nothing is being flushed. */
void pending_begin_generation(struct streams *streams);

/* The oldest `count` pending appends are in chunks now: the row says so and producers are in the store. The generation
 * ends with batch `upto`. */
void pending_flushed(struct streams *streams, struct stream *stream, size_t count, int64_t upto);

#endif
