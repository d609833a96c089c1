/* Which streams are due to be offloaded: some of what is in chunks is to become a segment. */
#ifndef SHARD_STREAMS_DUE_H
#define SHARD_STREAMS_DUE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"

struct stream;
struct streams;

#define RETENTION_PARTS 4 /* a stream's retained bytes are in at least so many segments */

/* Appends are refused, because too much waits to become segments. */
bool streams_backlogged(const struct streams *streams) MUSTUSE;

/* Whether some of what is in chunks is to become a segment. */
bool stream_is_due(const struct streams *streams, const struct stream *stream) MUSTUSE;

/* How large a segment of the stream gets: small enough for its retention to be kept about. */
uint64_t stream_segment_bytes(const struct streams *streams, const struct stream *stream) MUSTUSE;

/* So much more is in chunks. The caller writes the row. */
void stream_chunks_added(struct streams *streams, struct stream *stream, uint64_t bytes, uint64_t messages);

/* The stream becomes due if it has to be. The caller writes the row. */
void stream_look_if_due(struct streams *streams, struct stream *stream);

/* What is in chunks now is to become a segment, however little it is. */
void stream_age(struct streams *streams, struct stream *stream);

/* So much of what was in chunks is in a segment now, which ends at `upto`; the row says so. The stream stays due until
 * the chunks are gone. */
void stream_offloaded(struct streams *streams, struct stream *stream, uint64_t upto, uint64_t bytes, uint64_t messages);

/* The chunks that segments have are gone: it is due only if there is more to do. */
void stream_chunks_dropped(struct streams *streams, struct stream *stream);

/* What is due cannot be done: it is tried again when more is flushed. */
void stream_not_due(struct streams *streams, struct stream *stream);

#endif
