/* A growing byte buffer: bytes are added at the end and consumed at the front. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdint.h>

#include "common/slice.h"

struct buf {
    char *data;
    size_t start; /* first byte not yet consumed */
    size_t end;   /* one past the last byte */
    size_t cap;
};

static inline size_t buf_len(const struct buf *b)
{
    return b->end - b->start;
}

static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->data ? b->data + b->start : NULL, b->end - b->start};
}

/* buf_reserve() where there is not enough room yet. */
char *buf_make_room(struct buf *b, size_t extra);

/* Makes room for extra bytes and returns where to write them; buf_grow() then takes them in. Moves what is inside. */
static inline char *buf_reserve(struct buf *b, size_t extra)
{
    return b->data && b->cap - b->end >= extra ? b->data + b->end : buf_make_room(b, extra);
}

static inline void buf_grow(struct buf *b, size_t written)
{
    b->end += written;
}

void buf_add(struct buf *b, const void *data, size_t len);

static inline void buf_add_slice(struct buf *b, struct slice s)
{
    buf_add(b, s.data, s.len);
}

/* Adds text as it stands between the quotes of a JSON string (common/escape.h). */
void buf_add_json(struct buf *b, struct slice text);

static inline void buf_add_text(struct buf *b, const char *text)
{
    buf_add_slice(b, slice_str(text));
}

/* Adds a text and a number in decimal digits: `,"seq":` and 7. */
void buf_add_number(struct buf *b, const char *before, uint64_t number);

static inline void buf_add_byte(struct buf *b, uint8_t byte)
{
    *buf_reserve(b, 1) = (char)byte;
    buf_grow(b, 1);
}

/* Takes n bytes off the front; an emptied buffer starts over at its beginning. */
void buf_consume(struct buf *b, size_t n);

static inline void buf_reset(struct buf *b)
{
    b->start = b->end = 0;
}

/* Gives back the room that is not filled. */
void buf_trim(struct buf *b);

/* Frees the memory; the buffer is empty and usable again. */
void buf_clear(struct buf *b);

/* The same, and what was in it is overwritten: tokens and secrets. */
void buf_wipe(struct buf *b);

#endif
