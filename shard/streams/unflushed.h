/* The streams whose rows are only in the log yet. Whoever is new is loose: creating a stream costs next to nothing
 * here. They get into the order of their names, a treap of `struct stream` itself, when a listing wants it. */
#ifndef SHARD_STREAMS_UNFLUSHED_H
#define SHARD_STREAMS_UNFLUSHED_H

#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"

struct stream;

struct unwritten {
    struct stream *root;  /* of those in order */
    struct stream *loose; /* the others; by unwritten_right, and back by unwritten_left */
    uint64_t random;      /* state; not zero */
};

void unwritten_init(struct unwritten *all);

/* A stream is there once at most, and no two have the same name. */
void unwritten_add(struct unwritten *all, struct stream *stream);
void unwritten_remove(struct unwritten *all, struct stream *stream);

/* Brings up to `most` loose ones into order. True: all are. */
bool unwritten_sort(struct unwritten *all, size_t most) MUSTUSE;

/* The first of those in order whose name is not before this one, or NULL. */
struct stream *unwritten_from(const struct unwritten *all, struct slice name);

#endif
