#include "common/marks.h"

#include <assert.h>

#define VARINT_MAX 10 /* bytes of the longest 64-bit varint */

void marks_add(struct buf *marks, uint64_t length, bool last_of_append)
{
    assert(length <= UINT64_MAX >> 1);
    uint64_t value = length << 1 | last_of_append;
    char *start = buf_reserve(marks, VARINT_MAX), *at = start;
    for (; value >= 0x80; value >>= 7)
        *at++ = (char)(value | 0x80);
    *at++ = (char)value;
    buf_grow(marks, (size_t)(at - start));
}

/* Takes a varint in its shortest spelling; a longer one, or one past 64 bits, is damage. */
static bool take_varint(struct slice *in, uint64_t *value)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < in->len && i < VARINT_MAX; i++) {
        uint8_t byte = (uint8_t)in->data[i];
        sum |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80)
            continue;
        if ((i > 0 && byte == 0) || (i == VARINT_MAX - 1 && byte > 1))
            return false;
        *value = sum;
        *in = slice_of(in->data + i + 1, in->len - i - 1);
        return true;
    }
    return false;
}

bool marks_next(struct slice *marks, uint64_t *length, bool *last_of_append)
{
    uint64_t value;
    if (!take_varint(marks, &value))
        return false;
    *length = value >> 1;
    *last_of_append = value & 1;
    return true;
}
