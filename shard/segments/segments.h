/* Reading what has left the database: the segments of this shard's streams that were read last, opened. */
#ifndef SHARD_SEGMENTS_SEGMENTS_H
#define SHARD_SEGMENTS_SEGMENTS_H

#include "common/errors.h"
#include "shard/segments/objects.h"
#include "shard/segments/segment.h"
#include "shard/store/extent.h"
#include "shard/store/store_segment.h"
#include "common/attr.h"
#include "common/buf.h"

#define SEGMENTS_OPEN 64
#define SEGMENTS_FETCHING 256 /* at most so many are on their way */
#define SEGMENTS_FAILED 16

struct open_segment {
    struct object object;
    struct segment segment;
    int fd;
    bool cached;      /* the file can be fetched again */
    uint8_t *checked; /* a byte a block: it was, since the file was opened */
    uint64_t used;    /* grows with every use; 0: the place is free */
};

/* One that could not be fetched a moment ago. */
struct failed_segment {
    struct object object;
    enum error error;
    uint64_t until_ms;
};

struct segment_fetch;

struct segments {
    struct store *store;
    struct objects *objects;
    struct open_segment open[SEGMENTS_OPEN];
    uint64_t uses, logged_ms;
    struct object logged; /* last, as damaged or missing */
    struct buf front, stored, inflated;
    struct segment_fetch *fetches;
    unsigned fetch_count;
    struct failed_segment failed[SEGMENTS_FAILED];
    size_t last_failed;
    struct object awaited; /* of the last SEGMENT_UNAVAILABLE: it is on its way; uid 0: it is not */
    void (*arrived)(void *ctx, const struct object *object);
    void *ctx;
};

/* arrived: called from the event loop when a segment that was awaited is there, or cannot be had. */
void segments_init(struct segments *segments, struct store *store, struct objects *objects,
                   void (*arrived)(void *ctx, const struct object *object), void *ctx);
void segments_clear(struct segments *segments);

/* The extent that holds a position of a stream's own bytes that is in a segment. Borrowed until the next call.
 * SEGMENT_MISSING, SEGMENT_TRUNCATED: its file is not there, or not what was put there; that is logged.
 * SEGMENT_UNAVAILABLE: it has to be fetched, see segments->awaited. */
enum error segments_extent(struct segments *segments, uint64_t uid, uint64_t position, struct extent *extent) MUSTUSE;

/* This one is not read any more. */
void segments_forget(struct segments *segments, const struct object *object);

/* A block that is stored as it is sent. */
struct stored_block {
    int fd;
    uint64_t at;          /* in the file */
    struct extent extent; /* without its data, but for the length */
};

/* The block that holds a position, if it is like that and its file can be opened now. Borrowed as above. */
bool segments_stored(struct segments *segments, uint64_t uid, uint64_t position, struct stored_block *block) MUSTUSE;

#endif
