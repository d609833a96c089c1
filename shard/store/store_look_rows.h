/* The rows of a database that is looked at. Visitors may look at other tables meanwhile. Rows are borrowed until the
 * next call. */
#ifndef SHARD_STORE_STORE_LOOK_ROWS_H
#define SHARD_STORE_STORE_LOOK_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"
#include "shard/store/store_look.h"
#include "common/attr.h"

struct extent;
struct object;
struct segment_row;
struct stream_row;

typedef void store_look_stream(void *ctx, const struct stream_row *row);
/* Every stream. */
bool store_look_streams(struct store_look *look, store_look_stream *visit, void *ctx) MUSTUSE;
bool store_look_stream_at(struct store_look *look, uint64_t uid, struct stream_row *row) MUSTUSE;

typedef void store_look_chunk(void *ctx, const struct extent *chunk);
/* A stream's chunks in order, as they are stored; without `content` only the lengths of boundaries and data. */
bool store_look_chunks(struct store_look *look, uint64_t uid, bool content, store_look_chunk *visit, void *ctx) MUSTUSE;

/* Notes a reference to shared bytes, and finds them. False: they are not there, or it has failed. *first: it is the
 * first reference to them. */
bool store_look_shared(struct store_look *look, uint64_t id, struct extent *extent, bool *first) MUSTUSE;

typedef void store_look_segment(void *ctx, const struct segment_row *row);
/* A stream's segments in order. */
bool store_look_segments(struct store_look *look, uint64_t uid, store_look_segment *visit, void *ctx) MUSTUSE;
/* Up to max segments of streams that are not deleted, from those behind (uid, start) on; returns how many. */
size_t store_look_segments_after(struct store_look *look, const struct object *after, struct segment_row *rows,
                                 size_t max);
/* True if it is (still) a segment. */
bool store_look_segment_there(struct store_look *look, const struct object *object) MUSTUSE;

#endif
