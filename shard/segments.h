/* Reading what has left the database: the segments of this shard's streams that were read last, opened. */
#ifndef SHARD_SEGMENTS_H
#define SHARD_SEGMENTS_H

#include "common/errors.h"
#include "shard/objects.h"
#include "shard/segment.h"
#include "shard/store.h"

#define SEGMENTS_OPEN 64

struct open_segment {
    struct object object;
    struct segment segment;
    int fd;
    uint64_t used; /* grows with every use; 0: the place is free */
};

struct segments {
    struct store *store;
    struct objects *objects;
    struct open_segment open[SEGMENTS_OPEN];
    uint64_t uses, failed_s;
    struct buf front, stored, inflated;
};

void segments_init(struct segments *segments, struct store *store, struct objects *objects);
void segments_clear(struct segments *segments);

/* The run that holds a position of a stream's own bytes that is in a segment. Borrowed until the next call.
 * SEGMENT_MISSING, SEGMENT_TRUNCATED: its file is not there, or not what was put there; that is logged. */
enum error segments_run(struct segments *segments, uint64_t uid, uint64_t position, struct run *run) MUSTUSE;

#endif
