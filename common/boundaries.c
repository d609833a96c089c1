/* Two messages of 5 and 3 bytes that one append wrote are the varints 10 (5 * 2) and 7 (3 * 2 + 1: the last one). No
 * message has length 0, so a varint 0 has another meaning: the next one is a time, in milliseconds after the time
 * before it, or after 1970. Times hold for all messages up to the next time:
 *
 *     0 1763990000000 | 10 | 7 | 0 250 | 9        three messages, the last one written 250 ms later than the others
 *
 * A time before the last one, where the clock was set back, is counted round the 64 bits. */
#include "common/boundaries.h"

#include <assert.h>

#include "common/varint.h"

void boundaries_add(struct buf *boundaries, uint64_t length, bool last_of_append)
{
    assert(length <= UINT64_MAX >> 1);
    varint_add(boundaries, length << 1 | last_of_append);
}

void boundaries_add_time(struct buf *boundaries, uint64_t *time_ms, uint64_t now_ms)
{
    if (now_ms == *time_ms)
        return;
    varint_add(boundaries, 0);
    varint_add(boundaries, now_ms - *time_ms);
    *time_ms = now_ms;
}

bool boundaries_next_at(struct slice *boundaries, uint64_t *length, bool *last_of_append, uint64_t *time_ms)
{
    struct slice rest = *boundaries;
    uint64_t value, later = 0;
    if (!varint_take(&rest, &value))
        return false;
    if (!value && !(varint_take(&rest, &later) && later && varint_take(&rest, &value) && value))
        return false;
    *boundaries = rest;
    *time_ms += later;
    *length = value >> 1;
    *last_of_append = value & 1;
    return true;
}

bool boundaries_next(struct slice *boundaries, uint64_t *length, bool *last_of_append)
{
    uint64_t time_ms = 0;
    return boundaries_next_at(boundaries, length, last_of_append, &time_ms);
}

uint64_t boundaries_first_time(struct slice boundaries)
{
    uint64_t length, time_ms = 0;
    bool last;
    return boundaries_next_at(&boundaries, &length, &last, &time_ms) ? time_ms : 0;
}

void boundaries_add_all(struct buf *boundaries, struct slice more)
{
    uint64_t length;
    bool last;
    while (boundaries_next(&more, &length, &last))
        boundaries_add(boundaries, length, last);
}
