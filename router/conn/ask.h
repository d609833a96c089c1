/* A request that waits for the answer of one shard: what most handlers do. */
#ifndef ROUTER_CONN_ASK_H
#define ROUTER_CONN_ASK_H

#include "common/attr.h"
#include "router/shards/shard_request.h"

struct request;

/* The request waits from now on. The caller puts one frame into the result, with its id, and gives it to ask_send();
 * `handler` gets what the shard says, unless the client is gone by then. */
struct shard_request *ask_shard(struct request *request, unsigned shard, shard_answered *handler) MUSTUSE;

/* Sends it. Where too much waits for that shard, the client is answered OVERLOADED. */
void ask_send(struct shard_request *q);

#endif
