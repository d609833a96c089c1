/* A walk over the messages of an extent. Its data is not looked at, only how long that is. */
#ifndef SHARD_STREAMS_WALK_H
#define SHARD_STREAMS_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/slice.h"

struct extent;

/* position and byte are where the current message begins. */
struct walk {
    struct slice boundaries; /* of the messages behind the current one */
    bool single;             /* no boundaries: the extent is one message */
    bool json;
    uint64_t position, byte, length;
    uint64_t time_ms; /* as the boundaries say; walk_time() */
    bool last_of_append;
    bool damaged; /* the boundaries do not describe the data */
};

/* In front of the extent's first message. */
struct walk walk_start(const struct extent *extent, bool json);

/* To the next message. False: there is none, or the boundaries are damaged. */
bool walk_next(struct walk *w, const struct extent *extent) MUSTUSE;

/* The position behind the current message. */
static inline uint64_t walk_end(const struct walk *w)
{
    return w->position + (w->json ? 1 : w->length);
}

/* When the current message was written; of data from before boundaries had times: when the newest of the extent was. */
uint64_t walk_time(const struct walk *w, const struct extent *extent);

#endif
