/* Where a fork's inherited bytes live: its ancestors, flattened. Ancestor i covers positions from the end of
 * ancestor i-1 (0 for the first) up to `end`, in the own bytes of stream uid. The last ancestor ends at the fork's
 * base. */
#ifndef SHARD_STREAMS_LINEAGE_H
#define SHARD_STREAMS_LINEAGE_H

#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"

struct ancestor {
    uint64_t uid;
    uint64_t end;
};

struct lineage {
    struct ancestor *ancestors;
    size_t count;
};

/* From its stored form; false if that is damaged. The caller clears it. */
bool lineage_decode(struct slice stored, struct lineage *lineage) MUSTUSE;
void lineage_clear(struct lineage *lineage);

/* Where the bytes of one of its ancestors begin. */
static inline uint64_t lineage_start(const struct lineage *lineage, const struct ancestor *ancestor)
{
    return ancestor == lineage->ancestors ? 0 : ancestor[-1].end;
}

/* The ancestor that holds position, or NULL: position is at or after the fork's base. */
const struct ancestor *lineage_find(const struct lineage *lineage, uint64_t position);

/* Adds the stored form of a lineage for a fork at `position` of a stream `uid` whose own lineage and base are given.
 * False: it would have more than max ancestors. */
bool lineage_of_fork(const struct lineage *source, uint64_t uid, uint64_t base, uint64_t position, size_t max,
                     struct buf *stored) MUSTUSE;

#endif
