/* clang-format off */
/* A segment: messages of one stream in a row, as a file that never changes. All numbers are little endian.
 *
 *   head    96 bytes: "STRMSEG" and a version byte; u32 flags (1: JSON), u32 blocks; u64 uid, start, end (positions);
 *           u64 messages, u64 bytes (of the messages), u64 size (of the file), u64 boundaries (bytes of that part);
 *           16 bytes of zeros; u64 checksum of the head up to here and of the index
 *   index   48 bytes a block: u64 start, u64 time_ms (of its newest message), u64 at (in the file), u32 stored,
 *           u32 bytes, u32 boundaries_at (in that part), u32 boundaries, u64 checksum of these and of what is stored
 *   boundaries  where messages begin, appends end, and when they were written, block after block
 *               (common/boundaries.h)
 *   blocks      whole messages, about SEGMENT_BLOCK of them each; as they are sent, or zstd where stored < bytes
 *
 * Head and index are one small read, and say where any position is; their checksum stands for all of the file. A
 * checksum of two parts is XXH3 (64 bits) of the second, seeded with that of the first. */
/* clang-format on */
#ifndef SHARD_SEGMENTS_SEGMENT_H
#define SHARD_SEGMENTS_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"

struct extent;

#define SEGMENT_HEAD 96u
#define SEGMENT_ENTRY 48u
#define SEGMENT_BLOCK ((size_t)64 << 10)

struct segment_block {
    uint64_t start;   /* a position */
    uint64_t time_ms; /* of its newest message */
    uint64_t at;      /* in the file */
    uint32_t stored;  /* bytes there; fewer than `bytes` if they are compressed */
    uint32_t bytes;
    uint32_t boundaries_at, boundaries; /* in the part of the boundaries */
    uint64_t checksum;
};

struct segment {
    uint64_t uid, start, end; /* it holds [start, end) of the stream's positions */
    uint64_t messages, bytes;
    uint64_t size; /* of the file */
    bool json;
    struct segment_block *blocks;
    size_t count;
    uint64_t boundaries_at, boundaries; /* in the file */
    uint64_t checksum;                  /* of head and index */
};

/* ---- making ---- */

/* Messages that are to become a segment. Begin with uid, start and end (both where it begins), json and the limits. */
struct segment_draft {
    struct segment segment; /* its blocks are not compressed and have no place in the file yet */
    uint64_t max_messages, max_bytes;
    bool full;
    struct buf data, boundaries;
    uint64_t timed; /* the last time that the boundaries of the last block say */
    size_t cap;
};

/* Adds the messages of an extent from segment.end on, until the draft is full: with at least one message it never
 * exceeds its limits. False: the extent's boundaries are damaged, or it does not hold that position. */
bool segment_add(struct segment_draft *draft, const struct extent *extent) MUSTUSE;

/* Makes the file, each block compressed where that pays if `compress` says so; draft->segment then describes it. May
 * run in another thread. */
void segment_seal(struct segment_draft *draft, bool compress, struct buf *file);

void segment_draft_clear(struct segment_draft *draft);

/* ---- reading ---- */

/* Takes head and index from the front of a file of `size` bytes. False and *need > front.len: so much of the front is
 * needed. False otherwise: it is no segment, or damaged; *need is 0. The caller clears it. */
bool segment_parse(struct segment *segment, struct slice front, uint64_t size, uint64_t *need) MUSTUSE;
void segment_clear(struct segment *segment);

/* The block that holds a position in [start, end). */
size_t segment_find(const struct segment *segment, uint64_t position);

/* The extent of a block, from its boundaries alone: of its data only the length is set. False: they are damaged. */
bool segment_bounds(const struct segment *segment, size_t block, struct slice boundaries,
                    struct extent *extent) MUSTUSE;

/* The extent of a block, from its boundaries and what is stored. The extent points into these, or into *inflated, which
 * is replaced. False: they are damaged. */
bool segment_extent(const struct segment *segment, size_t block, struct slice boundaries, struct slice stored,
                    struct buf *inflated, struct extent *extent) MUSTUSE;

/* Checks a whole file; false: damaged. */
bool segment_check(struct slice file) MUSTUSE;

#endif
