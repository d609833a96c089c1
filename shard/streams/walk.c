/* The boundaries of an extent say how long each message is and which is the last of its append:
 *
 *     position      10        13      14          20
 *     data          | message | m     | message   |      byte streams: a position counts bytes
 *     boundaries    3         1 last  6 last             JSON streams: a position counts messages
 *
 * No boundaries at all: the extent is one message that is one append, the most frequent case. */
#include "shard/streams/walk.h"

#include "common/boundaries.h"
#include "shard/store/extent.h"

struct walk walk_start(const struct extent *extent, bool json)
{
    return (struct walk){.boundaries = extent->boundaries,
                         .single = extent->boundaries.len == 0,
                         .json = json,
                         .position = extent->start};
}

bool walk_next(struct walk *w, const struct extent *extent)
{
    w->position += w->length ? (w->json ? 1 : w->length) : 0;
    w->byte += w->length;
    if (w->single) {
        w->single = false;
        w->length = extent->data.len;
        w->last_of_append = true;
        return true;
    }
    if (!boundaries_next_at(&w->boundaries, &w->length, &w->last_of_append, &w->time_ms))
        return false;
    w->damaged = w->length == 0 || w->length > extent->data.len - w->byte;
    return !w->damaged;
}

uint64_t walk_time(const struct walk *w, const struct extent *extent)
{
    return w->time_ms ? w->time_ms : extent->time_ms;
}
