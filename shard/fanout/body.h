/* The body of a request, in the form that is stored: a JSON message and a comma each, or the bytes as they came. For
 * requests whose body the shard takes apart, because only it knows what the stream holds; a router takes apart that of
 * a plain append of application/json. */
#ifndef SHARD_FANOUT_BODY_H
#define SHARD_FANOUT_BODY_H

#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/detail.h"

struct body {
    struct slice data;       /* in stored form */
    struct slice boundaries; /* of its messages; empty: one message, or none */
    uint64_t count;          /* positions: messages of JSON, or bytes; 0: there is nothing */
    struct buf messages, lengths;
};

/* Fills a zeroed body, which borrows `bytes` if it is not JSON. ERR_NONE, or INVALID_JSON with its place in *detail. An
 * empty array has no message. */
enum error body_take(struct body *body, struct slice bytes, bool json, struct detail *detail) MUSTUSE;

/* The same from a valid JSON value: for JSON it is the body, for bytes it must be a string, whose text they are.
 * INVALID_BATCH: it is none. */
enum error body_take_value(struct body *body, struct slice value, bool json, struct detail *detail) MUSTUSE;

/* The slices of what was taken are gone. */
void body_clear(struct body *body);

#endif
