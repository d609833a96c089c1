/* From the sockets to the handlers: what routers, other shards, the bus and this shard itself have sent. */
#ifndef SHARD_FRAMES_H
#define SHARD_FRAMES_H

#include <stdbool.h>

#include "common/slice.h"

struct shard;

/* The first steps of a turn. A sender whose frame is malformed loses its link. */
void frames_take_routers(struct shard *shard);
void frames_take_shards(struct shard *shard);
void frames_take_bus(struct shard *shard);
void frames_take_own(struct shard *shard);

#endif
