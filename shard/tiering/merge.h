/* Which small segments of a stream become one, and their messages. */
#ifndef SHARD_TIERING_MERGE_H
#define SHARD_TIERING_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "shard/segments/outcome.h"

struct segment_draft;
struct segments;
struct stream;
struct streams;

struct merge_rule {
    uint64_t max_bytes; /* of a segment of this stream */
    uint64_t span_ms;   /* between the oldest and the newest message of one */
    bool closed;        /* the stream is: nothing will follow */
};

/* How many of the newest segments, the newest first, are small and do not hold more together than one may. */
size_t merge_count(const struct segment_row *rows, size_t there, const struct merge_rule *rule) MUSTUSE;

/* The positions [*start, *end) whose segments are to become one. more: the stream has more to offload. False: that is
 * not worth it. */
bool merge_plan(struct streams *streams, const struct stream *stream, bool more, uint64_t *start,
                uint64_t *end) MUSTUSE;

/* Adds the messages of segments to the draft, from where that ends up to `end`, about `most` bytes at a time. */
struct outcome merge_read(struct segments *segments, struct segment_draft *draft, uint64_t end, size_t most) MUSTUSE;

#endif
