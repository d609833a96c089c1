/* An offset is a place in one life of a stream: "%016llu_%016llu", the life and the position in it. Offsets of one
 * stream sort as text. Position 0 of life 0 is the start of any stream. */
#ifndef COMMON_OFFSET_H
#define COMMON_OFFSET_H

#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"

struct buf;

#define OFFSET_LEN 33
#define OFFSET_MAX 9999999999999999ull /* the largest life, and the largest position */

struct offset {
    uint64_t life;     /* 0: a life from before lives were told apart, or the start of any stream (common/lives.h) */
    uint64_t position; /* bytes, or messages of a JSON stream, before this place */
};

/* Writes OFFSET_LEN bytes and no NUL. Neither field is above OFFSET_MAX. */
void offset_print(char *out, struct offset offset);

/* The same at the end of a buffer. */
void offset_add(struct buf *out, struct offset offset);

/* True for exactly two fields of 16 digits joined by '_'. */
bool offset_parse(struct slice text, struct offset *offset) MUSTUSE;

#endif
