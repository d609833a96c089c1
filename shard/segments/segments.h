/* Reading the segments of this shard's streams: the files that were read last stay open. */
#ifndef SHARD_SEGMENTS_SEGMENTS_H
#define SHARD_SEGMENTS_SEGMENTS_H

#include "common/attr.h"
#include "common/buf.h"
#include "shard/segments/fetch.h"
#include "shard/segments/objects.h"
#include "shard/segments/outcome.h"
#include "shard/segments/segment.h"
#include "shard/store/extent.h"
#include "shard/store/store_segment.h"

#define SEGMENTS_OPEN 64

struct open_segment {
    struct object object;
    struct segment segment;
    int fd;
    bool cached;      /* the file can be fetched again */
    uint8_t *checked; /* a byte a block: 1 if the block was checked since the file was opened */
    uint64_t used;    /* grows with every use; 0: the place is free */
};

struct segments {
    struct store *store;
    struct objects *objects;
    struct open_segment open[SEGMENTS_OPEN];
    uint64_t uses, logged_ms;
    struct object logged; /* the last one, as damaged or missing */
    struct buf front, stored, inflated;
    struct fetches fetches;
};

/* wake, ctx: as in fetches_init(). */
void segments_init(struct segments *segments, struct store *store, struct objects *objects, void (*wake)(void *ctx),
                   void *ctx);

/* After objects_clear(), which ends all fetches. */
void segments_clear(struct segments *segments);

/* Looks for the extent that holds a position of a stream's own bytes that is in a segment. Borrowed until the next
 * call. SEGMENT_MISSING, SEGMENT_TRUNCATED: the file is not there, or not what was put there; that is logged. */
struct outcome segments_extent(struct segments *segments, uint64_t uid, uint64_t position,
                               struct extent *extent) MUSTUSE;

/* The same without its data, of which only the length is set and nothing is read or checked. */
struct outcome segments_bounds(struct segments *segments, uint64_t uid, uint64_t position,
                               struct extent *extent) MUSTUSE;

/* The same of the first block at or after that of position whose newest message is of since_ms or later, in the segment
 * that holds position; its last block if there is none. */
struct outcome segments_since(struct segments *segments, uint64_t uid, uint64_t position, uint64_t since_ms,
                              struct extent *extent) MUSTUSE;

/* Closes the segment's file, which is about to be removed. */
void segments_forget(struct segments *segments, const struct object *object);

/* A block that is stored as it is sent. */
struct stored_block {
    int fd;               /* -1: there is none at that position, segments_extent() reads it */
    uint64_t at;          /* in the file */
    struct extent extent; /* without its data, but for the length */
};

/* Looks for the block that holds a position, for sending it from the file as it is. Borrowed as above. */
struct outcome segments_stored(struct segments *segments, uint64_t uid, uint64_t position,
                               struct stored_block *block) MUSTUSE;

#endif
