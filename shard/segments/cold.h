/* Requests that wait for a segment to be fetched. They are kept as the frames they came in, and taken again when it is
 * there. */
#ifndef SHARD_SEGMENTS_COLD_H
#define SHARD_SEGMENTS_COLD_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/buf.h"

struct object;

struct asker;
struct cold_wait;
struct shard;

/* The request waits for what segments_extent() has just said is awaited: its frame goes into the buffer. NULL: it does
 * not, because nothing is on its way or too many wait; it has failed. */
struct buf *cold_wait_router(struct shard *shard, struct asker asker) MUSTUSE;
struct buf *cold_wait_shard(struct shard *shard, unsigned from) MUSTUSE;

/* Whoever waits for this one goes on. */
void cold_arrived(void *shard, const struct object *object);

void cold_clear(struct shard *shard);

#endif
