/* A buffer is one allocation with a start and an end:
 *
 *     data |  consumed  |  bytes  |  room  |
 *          0          start      end      cap
 *
 * Consuming moves the start. Reserving first moves the bytes to the front, if that makes enough room and they fit
 * before `start`; otherwise the capacity doubles. So a byte is moved a constant number of times on average. A
 * pointer into the buffer is valid until the next buf_reserve() or buf_add*(). */
#include "common/buf.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/escape.h"
#include "common/mem.h"

char *buf_make_room(struct buf *b, size_t extra)
{
    size_t len = buf_len(b);
    /* The bytes must not overlap their new place, and at least half of what was used is free: moving then costs no
     * more than was consumed before. */
    if (b->start >= len && b->cap >= len + extra && b->data) {
        memcpy(b->data, b->data + b->start, len);
    } else {
        size_t cap = b->cap ? b->cap * 2 : 256;
        while (cap < len + extra)
            cap *= 2;
        char *data = xmalloc(cap);
        if (len)
            memcpy(data, b->data + b->start, len);
        free(b->data);
        b->data = data;
        b->cap = cap;
    }
    b->start = 0;
    b->end = len;
    return b->data + b->end;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
    if (!len)
        return;
    memcpy(buf_reserve(b, len), data, len);
    buf_grow(b, len);
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= buf_len(b));
    b->start += n;
    if (b->start == b->end)
        buf_reset(b);
}

void buf_trim(struct buf *b)
{
    size_t len = buf_len(b);
    if (!len) {
        buf_clear(b);
        return;
    }
    memmove(b->data, b->data + b->start, len);
    *b = (struct buf){.data = xrealloc(b->data, len), .end = len, .cap = len};
}

void buf_clear(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_wipe(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    buf_clear(b);
}

void buf_add_json(struct buf *b, struct slice text)
{
    size_t room = text.len * ESCAPE_GROWTH;
    buf_grow(b, escape_json(buf_reserve(b, room), room, text));
}

void buf_add_number(struct buf *b, const char *before, uint64_t number)
{
    char digits[24];
    buf_add_text(b, before);
    buf_add(b, digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64, number));
}
