/* The streams whose rows are only in the journal yet. A new one is loose: creating a stream costs next to nothing here.
 * They get into the order of their names when a listing wants it. */
#ifndef SHARD_STREAMS_UNFLUSHED_H
#define SHARD_STREAMS_UNFLUSHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"

struct stream;
struct streams;

struct unflushed {
    struct stream *root;  /* of those in order */
    struct stream *loose; /* the others; by unflushed_right, and back by unflushed_left */
    uint64_t random;      /* state; not zero */
};

void unflushed_init(struct unflushed *all);

/* A stream is there once at most, and no two have the same name. */
void unflushed_add(struct unflushed *all, struct stream *stream);
void unflushed_remove(struct unflushed *all, struct stream *stream);

/* Brings up to `most` loose ones into order. True: all are. */
bool unflushed_sort(struct unflushed *all, size_t most) MUSTUSE;

/* The first of those in order whose name is not before this one, or NULL. */
struct stream *unflushed_from(const struct unflushed *all, struct slice name);

/* The stream's row is only in the journal yet. */
void stream_set_unflushed(struct streams *streams, struct stream *stream);

/* Inserts the row of a stream that only the journal has, in the transaction that is open. False: it was there. */
bool stream_write(struct streams *streams, struct stream *stream);

#endif
