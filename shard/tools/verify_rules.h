/* What must be true of a stream's row and of its bytes, wherever they lie. Each rule gives NULL, or a static text that
 * says what is wrong. */
#ifndef SHARD_TOOLS_VERIFY_RULES_H
#define SHARD_TOOLS_VERIFY_RULES_H

#include "shard/segments/segment.h"
#include "common/slice.h"

struct extent;
struct layout;
struct segment_row;
struct stream_row;

/* Of a stream that is not being deleted. */
const char *verify_row(const struct layout *layout, const struct stream_row *row);

/* The first position of its own that it still has. */
uint64_t verify_first(const struct stream_row *row);

struct verify_sum {
    uint64_t bytes, messages;
};

/* Boundaries, data and count of an extent agree; JSON messages are JSON, with their commas. What begins at or after
 * `from` is added to *sum. */
const char *verify_extent(const struct extent *extent, bool json, uint64_t from, struct verify_sum *sum);

/* A segment's row by itself. */
const char *verify_segment_row(const struct segment_row *row, bool json);

/* A segment's file, all of it, is what its row says. */
const char *verify_segment_file(const struct segment_row *row, bool json, struct slice file);

#endif
