/* Offloading: flushed history leaves the database, segment by segment, and small segments of a stream become one. */
#ifndef SHARD_TIERING_OFFLOAD_H
#define SHARD_TIERING_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/list.h"

struct object;
struct shard;

struct offloads {
    struct list under_way; /* at most one a stream */
    unsigned count;
    uint64_t last_uid;                  /* the stream that was begun last */
    uint64_t paused_until_ms, pause_ms; /* after a failure, in ticks */
};

void offload_init(struct shard *shard);

/* After the worker was stopped. */
void offload_clear(struct shard *shard);

/* Once a turn, before the commit. */
void offload_turn(struct shard *shard);

/* The file of this name is being made: it is an orphan that is about to become a segment. */
bool offload_is_making(const struct offloads *offloads, const struct object *object) MUSTUSE;

#endif
