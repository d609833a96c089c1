/* What a shard does for each message it gets: one handler for each message of common/wire.def to shards, from which the
 * prototypes are made. The handler of CREATE is on_create(), in the file that is about creating. */
#ifndef SHARD_PEERS_HANDLERS_H
#define SHARD_PEERS_HANDLERS_H

#include "common/wire.h"
#include "shard/peers/peers.h"

struct shard;

/* Of routers. The answer goes into asker_out(), in this turn or a later one. */
#define ROUTER_TO_SHARD(name) void on_##name(struct shard *shard, struct asker asker, const struct wire_##name *m);

/* Of shards, this one included. The answer goes into peers_out(from). */
#define SHARD_TO_SHARD(name) void on_##name(struct shard *shard, unsigned from, const struct wire_##name *m);

#define ANSWER_TO_ROUTER(name)
#define SHARD_TO_ROUTER(name)
#define ROUTER_TO_ROUTER(name)
#define INSIDE(name)
#define MESSAGE(NAME, name, direction, answer, room, fields) direction(name)
#include "common/wire.def"
#undef MESSAGE
#undef INSIDE
#undef ROUTER_TO_ROUTER
#undef SHARD_TO_ROUTER
#undef ANSWER_TO_ROUTER
#undef SHARD_TO_SHARD
#undef ROUTER_TO_SHARD

#endif
