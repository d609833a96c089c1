/* One stream of a database that is looked at: its row, its segments' rows, its chunks. */
#ifndef SHARD_TOOLS_VERIFY_STREAM_H
#define SHARD_TOOLS_VERIFY_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "shard/tools/verify_rules.h"

struct store_look;
struct stream_row;
struct verify;

/* The context of one database; the caller sets the first three. */
struct stream_check {
    struct verify *v;
    struct store_look *look;
    unsigned shard;
    uint64_t chunks, segments; /* how many were looked at */

    const struct stream_row *row;
    bool json, cut; /* cut: its extents are not in a row, so sums mean nothing */
    uint64_t next;  /* where the next extent is to begin */
    bool any;       /* a chunk was seen */
    struct verify_sum in_segments, in_chunks;
};

/* A visitor of store_look_streams(); ctx is a struct stream_check. */
void verify_stream(void *ctx, const struct stream_row *row);

#endif
