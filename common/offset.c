/* An offset is "0001764373190123_0000000000001234": two decimal fields of a fixed width, so that offsets sort as text.
 */
#include "common/offset.h"

#include <assert.h>

#include "common/buf.h"

#define FIELD 16 /* digits */

static void offset_print_field(char *out, uint64_t value)
{
    /* Two digits for a division: every answer prints offsets. */
    for (unsigned i = FIELD; i > 0; value /= 100) {
        unsigned pair = (unsigned)(value % 100);
        out[--i] = (char)('0' + pair % 10);
        out[--i] = (char)('0' + pair / 10);
    }
}

static bool offset_parse_field(const char *text, uint64_t *value)
{
    /* 16 digits are below 2^54, so the sum cannot overflow. */
    uint64_t sum = 0;
    for (unsigned i = 0; i < FIELD; i++) {
        unsigned digit = (unsigned)((uint8_t)text[i] - '0');
        if (digit > 9)
            return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

void offset_print(char *out, struct offset offset)
{
    assert(offset.life <= OFFSET_MAX && offset.position <= OFFSET_MAX);
    offset_print_field(out, offset.life);
    out[FIELD] = '_';
    offset_print_field(out + FIELD + 1, offset.position);
}

void offset_add(struct buf *out, struct offset offset)
{
    offset_print(buf_reserve(out, OFFSET_LEN), offset);
    buf_grow(out, OFFSET_LEN);
}

bool offset_parse(struct slice text, struct offset *offset)
{
    return text.len == OFFSET_LEN && text.data[FIELD] == '_' && offset_parse_field(text.data, &offset->life) &&
           offset_parse_field(text.data + FIELD + 1, &offset->position);
}
