/* Two messages of 5 and 3 bytes that one append wrote are the varints 10 (5 * 2) and 7 (3 * 2 + 1: the last one). */
#include "common/boundaries.h"

#include <assert.h>

#include "common/varint.h"

void boundaries_add(struct buf *boundaries, uint64_t length, bool last_of_append)
{
    assert(length <= UINT64_MAX >> 1);
    varint_add(boundaries, length << 1 | last_of_append);
}

bool boundaries_next(struct slice *boundaries, uint64_t *length, bool *last_of_append)
{
    uint64_t value;
    if (!varint_take(boundaries, &value))
        return false;
    *length = value >> 1;
    *last_of_append = value & 1;
    return true;
}
