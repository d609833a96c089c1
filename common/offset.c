/* An offset is "0000000000000000_0000000000001234": two decimal fields of a fixed width, so that offsets sort as
 * text. Only the second one counts. A first field other than zero is read as a position beyond every tail. */
#include "common/offset.h"

#include <assert.h>

#define FIELD 16 /* digits */

static void offset_print_field(char *out, uint64_t value)
{
    for (unsigned i = FIELD; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
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

void offset_print(char *out, uint64_t position)
{
    assert(position <= OFFSET_MAX);
    memset(out, '0', FIELD);
    out[FIELD] = '_';
    offset_print_field(out + FIELD + 1, position);
}

bool offset_parse(struct slice text, uint64_t *position)
{
    uint64_t first, second;
    if (text.len != OFFSET_LEN || text.data[FIELD] != '_' || !offset_parse_field(text.data, &first) ||
        !offset_parse_field(text.data + FIELD + 1, &second))
        return false;
    *position = first == 0 ? second : OFFSET_MAX + 1;
    return true;
}
