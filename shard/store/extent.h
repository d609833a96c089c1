/* An extent: bytes of one stream in a row, as every tier gives them. */
#ifndef SHARD_STORE_EXTENT_H
#define SHARD_STORE_EXTENT_H

#include <stdint.h>

#include "common/slice.h"

/* Slices are borrowed from the tier that gave them. */
struct extent {
    uint64_t start, count;   /* positions [start, start + count) */
    uint64_t time_ms;        /* of the newest message */
    struct slice boundaries; /* common/boundaries.h; empty: one message that is one append */
    struct slice data;
};

#endif
