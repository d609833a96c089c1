/* What a look for stored bytes ends with. A look only looks: it starts no fetch. Whoever gets NEEDS_SEGMENT decides
 * whether to call fetch_segment(), and whether to wait for it. */
#ifndef SHARD_SEGMENTS_OUTCOME_H
#define SHARD_SEGMENTS_OUTCOME_H

#include "common/errors.h"
#include "shard/store/store_segment.h"

enum outcome_kind {
    OUTCOME_DONE,
    OUTCOME_NEEDS_SEGMENT, /* the bytes are in a segment whose file is not on this machine */
    OUTCOME_FAILED
};

struct outcome {
    enum outcome_kind kind;
    enum error error;      /* of FAILED */
    struct object segment; /* of NEEDS_SEGMENT */
};

/* ERR_NONE: DONE, otherwise FAILED. */
static inline struct outcome outcome_of(enum error error)
{
    return (struct outcome){.kind = error == ERR_NONE ? OUTCOME_DONE : OUTCOME_FAILED, .error = error};
}

static inline struct outcome outcome_needs(const struct object *segment)
{
    return (struct outcome){.kind = OUTCOME_NEEDS_SEGMENT, .segment = *segment};
}

/* The error for somebody who does not wait. */
static inline enum error outcome_error(const struct outcome *outcome)
{
    return outcome->kind == OUTCOME_NEEDS_SEGMENT ? ERR_SEGMENT_UNAVAILABLE : outcome->error;
}

#endif
