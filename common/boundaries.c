#include "common/boundaries.h"

#include <assert.h>

#include "common/varint.h"

void marks_add(struct buf *marks, uint64_t length, bool last_of_append)
{
    assert(length <= UINT64_MAX >> 1);
    varint_add(marks, length << 1 | last_of_append);
}

bool marks_next(struct slice *marks, uint64_t *length, bool *last_of_append)
{
    uint64_t value;
    if (!varint_take(marks, &value))
        return false;
    *length = value >> 1;
    *last_of_append = value & 1;
    return true;
}
