/* The router process: one event loop, its clients on one side and its shards on the other. */
#ifndef ROUTER_H
#define ROUTER_H

#include "common/buf.h"
#include "common/config.h"
#include "common/http_client.h"
#include "common/metrics.h"
#include "common/role.h"
#include "router/auth/auth.h"
#include "router/auth/callback.h"
#include "router/auth/project_usage.h"
#include "router/conn/answer.h"
#include "router/conn/connection.h"
#include "common/deadline.h"
#include "router/conn/listener.h"
#include "router/conn/output.h"
#include "router/handlers/append_incremental.h"
#include "router/handover.h"
#include "router/http/response.h"
#include "router/live/collapse.h"
#include "router/live/live.h"
#include "router/shards/shards.h"

#define ROUTER_SCRATCH ((size_t)64 << 10)
#define ROUTER_TICK_MS 100

struct router {
    struct role *role;
    const struct metrics_region *region; /* of all processes, */
    struct metrics *metrics;             /* and what this one counts */
    struct event_base *base;
    const struct config *cfg;
    struct event *tick, *wake;
    uint64_t now_ms; /* monotonic; taken at the start of every callback */
    /* State of random_next() for jitter and ids. Clients see some and can compute all others: never for what must be
     * secret, which is random_secret(). */
    uint64_t random;
    uint64_t oldest_event_ms; /* of those that this turn writes, when its append came; 0: there are none */
    bool stopping;

    struct listener listener, metrics_listener;
    struct handover handover;
    struct connections connections;
    struct shards shards;
    struct live live;
    struct collapse collapse;
    struct incrementals incrementals;
    struct http_client http_client;
    struct auth auth;
    struct callbacks callbacks;
    struct project_usages usages;
    struct deadlines deadlines;
    struct output_pool outputs;

    /* Room that is used and emptied within one step. */
    char *scratch;         /* ROUTER_SCRATCH bytes: what a socket had */
    struct buf head;       /* the answer being built */
    struct buf event;      /* the SSE event being rendered */
    struct buf messages;   /* a JSON body in stored form */
    struct buf boundaries; /* and its marks */

    struct chunk heartbeat; /* a comment of event streams */
    struct block *last_chunk;
    struct response_date date;
};

/* The callbacks of struct role; ctx is the router. */
void router_start(void *ctx, struct event_base *base, const struct config *cfg, unsigned slot);
void router_peer(void *ctx, enum role_kind kind, unsigned slot, int fd);
void router_listener(void *ctx, int fd);
void router_metrics_listener(void *ctx, int fd);
void router_reload(void *ctx);
void router_successor(void *ctx, int fd);
void router_predecessor(void *ctx, int fd);
void router_stop(void *ctx);
void router_turn(void *ctx);

#endif
