/* Frames that come from shards: answers go to their requests, all else to the functions of struct shards_events. */
#ifndef ROUTER_SHARDS_SHARD_FRAMES_H
#define ROUTER_SHARDS_SHARD_FRAMES_H

#include "common/attr.h"
#include "common/wire.h"

struct shards;

/* False: it is none that a shard sends to a router, or it is broken. */
bool shard_frames_take(struct shards *shards, unsigned shard, enum wire_type type, struct slice body) MUSTUSE;

#endif
