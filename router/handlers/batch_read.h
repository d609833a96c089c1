/* The body of a batch, {"appends":[{"stream":…},…]}, as the frames that a shard gets. */
#ifndef ROUTER_HANDLERS_BATCH_READ_H
#define ROUTER_HANDLERS_BATCH_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/detail.h"
#include "common/slice.h"

struct config;

struct batch {
    struct buf frames;  /* an APPEND each */
    struct buf names;   /* the same streams as "{project}/{stream}", each with a NUL behind it */
    size_t count;       /* of appends; after an error, the number of the one at fault */
    bool at_append;     /* the error is of an append */
    bool has_producers; /* one has, so the batch can be repeated */
    uint64_t bytes;     /* of data, as it came */
};

/* Fills a zeroed batch, for batch_clear() also after an error. Every stream is named once. Both who authorises the
 * names and who appends use this function, so a body cannot be understood as one set of names there and as another
 * here. */
enum error batch_read(const struct config *cfg, struct slice project, struct slice body, struct batch *batch,
                      struct detail *detail) MUSTUSE;
void batch_clear(struct batch *batch);

/* Takes the first off a run of names. */
struct slice batch_next_name(struct slice *names);

/* Adds what the body names (router/auth/named.h); nothing if it is malformed. */
void batch_names(struct slice project, struct slice body, const struct config *cfg, struct buf *names);

#endif
