/* A message that can be checked: who sent it, the how manyth it is, and when it was sent. Its length is fixed in a run,
 * because a server may join several messages of a text stream in one event. */
#ifndef BENCH_RECORD_H
#define BENCH_RECORD_H

#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"

#define RECORD_MIN 36u /* the shortest length, and the least --size allows is above it */

struct record {
    uint32_t publisher;
    uint32_t number;
    uint64_t sent; /* clock_now() */
};

/* Adds `size` bytes to `out`. */
void record_write(struct buf *out, const struct record *record, size_t size);

/* False: these bytes are not a record. */
bool record_read(struct slice text, struct record *record) MUSTUSE;

#endif
