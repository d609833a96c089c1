/* LEB128: seven bits a byte, the low ones first; the top bit says that another byte follows.
 *
 *     300 = 0b10_0101100   ->   0xac 0x02 */
#include "common/varint.h"

#define VARINT_MAX 10 /* bytes of the longest */

void varint_add(struct buf *out, uint64_t value)
{
    char *start = buf_reserve(out, VARINT_MAX), *at = start;
    for (; value >= 0x80; value >>= 7)
        *at++ = (char)(value | 0x80);
    *at++ = (char)value;
    buf_grow(out, (size_t)(at - start));
}

bool varint_take(struct slice *in, uint64_t *value)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < in->len && i < VARINT_MAX; i++) {
        uint8_t byte = (uint8_t)in->data[i];
        sum |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80)
            continue;
        /* A last byte of zero would be a longer spelling of the same number; the tenth byte has room for bit 63
         * only. */
        if ((i > 0 && byte == 0) || (i == VARINT_MAX - 1 && byte > 1))
            return false;
        *value = sum;
        *in = slice_from(*in, i + 1);
        return true;
    }
    return false;
}
