/* One answer's worth of a stream's bytes: whole messages from a position on, up to a size and a number of messages. */
#ifndef SHARD_STREAMS_PAGE_H
#define SHARD_STREAMS_PAGE_H

#include "shard/segments/outcome.h"
#include "shard/streams/streams.h"
#include "common/attr.h"
#include "common/buf.h"

struct page {
    uint64_t next; /* the position to read from; moves on as bytes are added */
    uint64_t max_bytes;
    uint64_t max_messages; /* 0: no limit */
    bool cut;              /* a byte stream's message longer than max_bytes is cut, not sent whole */
    bool whole;            /* it fits, and is an answer only with all of it */

    struct buf data;
    uint64_t in_file; /* bytes on the page that are not in data, but in a file: page_in_file() */
    uint64_t count;   /* messages added */
    uint64_t time_ms; /* when the newest of them was written, 0 for none */
    unsigned tier;    /* METRIC_TIER_*: the coldest it was read from */
    bool full;
    bool broken; /* it ended where it did because what follows could not be had */
};

/* Adds the stream's own bytes from page->next up to position `upto` (at most its tail), or until the page is full.
 * Bytes that are missing or damaged are an error for a page that begins there, and the end of one that begins before;
 * that is logged. NEEDS_SEGMENT: the page ends where that segment begins. If it has bytes it is an answer as it is, and
 * the segment is for whoever reads on. */
struct outcome page_read(struct page *page, struct streams *streams, const struct stream *stream,
                         uint64_t upto) MUSTUSE;

/* Adds what lies in [page->next, upto) of an extent that holds page->next. False: the extent's boundaries are damaged.
 * Used by page_read() and by unit tests. */
bool page_add_extent(struct page *page, const struct extent *extent, bool json, uint64_t upto) MUSTUSE;

/* Bytes of a file that are as they are sent. */
struct file_bytes {
    int fd; /* borrowed until the next call of anything that reads streams */
    uint64_t at, bytes;
};

/* Puts on an empty page what lies in one segment's file as it is, without reading it. out->bytes is 0 if there is
 * nothing like that at page->next. NEEDS_SEGMENT: as page_read(). */
struct outcome page_in_file(struct page *page, struct streams *streams, const struct stream *stream,
                            struct file_bytes *out) MUSTUSE;

/* The extent that holds a position of the stream's own bytes, from whichever tier. Borrowed until the store is used
 * again or the stream appended to. INTERNAL: the store does not hold what it should. */
struct outcome page_extent_at(struct streams *streams, const struct stream *stream, uint64_t position,
                              struct extent *extent) MUSTUSE;

/* The same without its data, of which only the length is set: few bytes are read. */
struct outcome page_bounds_at(struct streams *streams, const struct stream *stream, uint64_t position,
                              struct extent *extent) MUSTUSE;

/* Leaves of an extent what lies in [from, to), which are message boundaries in it; of a byte stream they may be others,
 * and what is left is one message then. False: its boundaries are damaged. */
bool page_cut_extent(struct extent *extent, bool json, uint64_t from, uint64_t to) MUSTUSE;

/* Appends that are put together: of several extents, or without times. */
struct joined {
    struct buf data, boundaries;
};

/* Whole appends from a position on, the beginning of one: those that end in the extent there, or the one that goes on
 * in the runs behind it. Their boundaries have no times. Borrowed as above, or from *joined, which the
 * caller clears. */
struct outcome page_appends_at(struct streams *streams, const struct stream *stream, uint64_t position,
                               struct joined *joined, struct extent *extent) MUSTUSE;

/* Where the append that holds `position` ends, in the stream's own bytes. INVALID_FORK_SUB_OFFSET: they do not hold it.
 */
struct outcome page_append_end(struct streams *streams, const struct stream *stream, uint64_t position,
                               uint64_t *end) MUSTUSE;

#endif
