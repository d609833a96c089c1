/* The rows of segments: history of a stream that has left the database for files or objects. */
#ifndef SHARD_STORE_STORE_SEGMENT_H
#define SHARD_STORE_STORE_SEGMENT_H

#include "common/attr.h"
#include "shard/store/store.h"

/* The file of a segment, by the numbers that make its name; `id` is random. */
struct object {
    uint64_t uid, start, id;
};

struct segment_row {
    struct object object;
    uint64_t end; /* the segment holds [object.start, end) */
    uint64_t size, checksum;
    uint64_t bytes, messages, time_ms; /* of its newest message */
};

/* The stream's newest segment that begins at or before position. */
bool store_segment(struct store *store, uint64_t uid, uint64_t position, struct segment_row *row) MUSTUSE;
bool store_segment_oldest(struct store *store, uint64_t uid, struct segment_row *row) MUSTUSE;
/* Up to max of the stream's newest segments, the newest first; returns how many. */
size_t store_segments_last(struct store *store, uint64_t uid, struct segment_row *rows, size_t max) MUSTUSE;
/* Up to max segments, of whatever streams; returns how many. */
size_t store_segments_any(struct store *store, struct segment_row *rows, size_t max) MUSTUSE;
/* How many segments the stream has, counted up to `most`; *size: bytes of the files of those counted. */
uint64_t store_segments_count(struct store *store, uint64_t uid, uint64_t most, uint64_t *size);

void store_segment_insert(struct store *store, const struct segment_row *row);
/* Deletes the rows of the stream's segments in [from, to); their files become orphans. to: STORE_NONE for all. */
void store_segments_orphan(struct store *store, uint64_t uid, uint64_t from, uint64_t to);

/* Sums over all segments up to one of them. Zeroed at the start. */
struct segment_sums {
    uint64_t uid, start; /* of that one */
    uint64_t count, bytes, size;
};
/* Adds up to max of those behind it. False: there are no more. */
bool store_segments_sum(struct store *store, struct segment_sums *sums, unsigned max) MUSTUSE;

#endif
