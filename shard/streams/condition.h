/* The conditions of a request, held against the stream in the turn in which the request acts (RFC 9110 13.1, and the
 * Durable Streams extension Stream-Expected-Offset). A tail is compared by its one spelling, life and position, so the
 * tail of a stream that had the name before never matches. All zeros name the start of any stream: they match one that
 * has nothing yet. */
#ifndef SHARD_STREAMS_CONDITION_H
#define SHARD_STREAMS_CONDITION_H

#include "common/detail.h"
#include "common/wire.h"

struct stream;

/* Stream-Incarnation: ERR_NONE or ERR_PRECONDITION_FAILED. */
enum error condition_life(const struct stream *stream, const struct wire_condition *condition,
                          struct detail *detail) MUSTUSE;

/* All of it but Stream-Expected-Offset, of a stream that exists. */
enum error condition_there(const struct stream *stream, const struct wire_condition *condition,
                           struct detail *detail) MUSTUSE;

/* All of it, where no stream exists. */
enum error condition_absent(const struct wire_condition *condition, struct detail *detail) MUSTUSE;

/* The stream's tail is the offset of If-Match or Stream-Expected-Offset; also true without either. */
bool condition_tail(const struct stream *stream, const struct wire_condition *condition) MUSTUSE;

#endif
