/* The streams whose rows are only in the log yet, in the order of their names: a treap of `struct stream` itself. */
#ifndef SHARD_UNWRITTEN_H
#define SHARD_UNWRITTEN_H

#include <stdint.h>

#include "common/slice.h"

struct stream;

struct unwritten {
    struct stream *root;
    uint64_t random; /* state; not zero */
};

void unwritten_init(struct unwritten *all);

/* A stream is there once at most, and no two have the same name. */
void unwritten_add(struct unwritten *all, struct stream *stream);
void unwritten_remove(struct unwritten *all, struct stream *stream);

/* The first whose name is not before this one, or NULL. */
struct stream *unwritten_from(const struct unwritten *all, struct slice name);

#endif
