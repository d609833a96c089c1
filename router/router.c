/* The turn of a router, and what begins and ends it. Sockets only fill buffers between turns; a turn then goes once
 * through everything, in an order that keeps answers short of waiting:
 *
 *     handover in --> shards' answers --> requests that waited behind an answer --> frames to shards --> output
 *                 --> what was held up by that output --> those who take much --> handover out --> free the dead
 *
 * A frame to a shard and a client's output are each written once a turn, however many requests have added to them. */
#include "router/router.h"

#include <stddef.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/random.h"
#include "router/conn/http1.h"
#include "router/dispatch.h"
#include "router/live/reader.h"
#include "router/observe/stats.h"

/* ---- time ---- */

static void router_expire_timers(struct router *r, enum deadline_class class)
{
    struct deadline *due;
    while ((due = deadline_expired(&r->deadlines, class, r->now_ms)))
        connection_timer_expired((struct connection *)((char *)due - offsetof(struct connection, timer)), class);
}

/* Ends connections whose client has taken nothing for limits.write_timeout. */
static void router_let_go(struct connection *c)
{
    if (reader_of(&c->request))
        metrics_add(c->router->metrics, METRIC_DROPPED + METRIC_DROPPED_STALLED, 1);
    connection_close(c);
}

static void router_expire_stalls(struct router *r)
{
    struct deadline *due;
    while ((due = deadline_expired(&r->deadlines, DEADLINE_WRITE, r->now_ms)))
        router_let_go((struct connection *)((char *)due - offsetof(struct connection, stall)));
}

static void router_on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct router *r = arg;
    struct deadline *due;
    (void)fd;
    (void)what;
    r->now_ms = clock_monotonic_ms();
    auth_turn(&r->auth); /* changed keys reach live readers even if no request comes */
    for (enum deadline_class class = DEADLINE_IDLE; class <= DEADLINE_SUSPENDED; class ++)
        router_expire_timers(r, class);
    router_expire_stalls(r);
    while ((due = deadline_expired(&r->deadlines, DEADLINE_HEARTBEAT, r->now_ms)))
        reader_heartbeat(due);
    while ((due = deadline_expired(&r->deadlines, DEADLINE_SHARD_WAIT, r->now_ms)))
        shard_request_expired(&r->shards, due);
    listener_tick(r);
    handover_tick(r);
    stats_publish(r);
}

static void router_on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct router *r = arg;
    (void)fd;
    (void)what;
    r->now_ms = clock_monotonic_ms(); /* the turn follows */
}

static void router_tick_start(struct router *r)
{
    static const struct timeval every = {.tv_usec = ROUTER_TICK_MS * 1000};
    r->tick = event_new(r->base, -1, EV_PERSIST, router_on_tick, r);
    r->wake = event_new(r->base, -1, 0, router_on_wake, r);
    if (!r->tick || !r->wake || event_add(r->tick, &every) != 0)
        fatalx("cannot set a timer");
}

/* ---- events of shards ---- */

static void router_on_event(struct router *r, const struct wire_event *m)
{
    live_event(&r->live, m);
}

static void router_on_usage(struct router *r, unsigned shard, const struct wire_usage *m)
{
    project_usages_on_usage(&r->usages, shard, m);
}

static void router_on_shard_up(struct router *r, unsigned shard)
{
    live_shard_up(&r->live, shard);
    project_usages_shard_up(&r->usages, shard);
}

static void router_on_shard_down(struct router *r, unsigned shard)
{
    live_shard_down(&r->live, shard);
}

static const struct shards_events router_shards_events = {
    .event = router_on_event, .usage = router_on_usage, .up = router_on_shard_up, .down = router_on_shard_down};

/* ---- the role ---- */

static void router_on_web(void *ctx)
{
    ((struct router *)ctx)->now_ms = clock_monotonic_ms();
}

void router_start(void *ctx, struct event_base *base, const struct config *cfg, unsigned slot)
{
    struct router *r = ctx;
    (void)slot;
    r->base = base;
    r->cfg = cfg;
    r->region = role_region(r->role);
    r->metrics = role_metrics(r->role);
    r->now_ms = clock_monotonic_ms();
    r->random = random_secret() | 1;
    deadlines_init(&r->deadlines);
    r->connections.dispatcher = &dispatch;
    r->connections.protocol = &http1;
    handover_init(r);
    listener_init(r);
    shards_init(&r->shards, r, &router_shards_events);
    live_init(&r->live, r, &reader_live_ops);
    collapse_init(&r->collapse, r);
    incrementals_init(r);
    r->http_client = (struct http_client){
        .base = r->base, .connections = (long)cfg->auth_callback_connections, .woken = router_on_web, .ctx = r};
    auth_init(&r->auth, r, requests_recheck);
    callback_init(&r->callbacks, r);
    router_reload(r);
    project_usages_init(&r->usages, r);
    r->scratch = xmalloc(ROUTER_SCRATCH);
    r->heartbeat = answer_chunk(&r->outputs, SLICE(": heartbeat\n\n"));
    r->last_chunk = block_copy(&r->outputs, RESPONSE_LAST_CHUNK);
    router_tick_start(r);
}

void router_peer(void *ctx, enum role_kind kind, unsigned slot, int fd)
{
    struct router *r = ctx;
    if (kind != ROLE_SHARD)
        fatalx("a router talks to shards only");
    r->now_ms = clock_monotonic_ms();
    shards_peer(&r->shards, slot, fd);
}

void router_listener(void *ctx, int fd)
{
    listener_open(ctx, fd);
}

void router_metrics_listener(void *ctx, int fd)
{
    listener_open_metrics(ctx, fd);
}

/* Every other setting is read where it is used. */
void router_reload(void *ctx)
{
    struct router *r = ctx;
    bool tokens = auth_reload(&r->auth), callback = callback_reload(&r->callbacks);
    if (tokens || callback)
        requests_send_back(r);
}

void router_successor(void *ctx, int fd)
{
    ((struct router *)ctx)->now_ms = clock_monotonic_ms();
    handover_begin(ctx, fd);
}

void router_predecessor(void *ctx, int fd)
{
    handover_accept(ctx, fd);
}

void router_stop(void *ctx)
{
    struct router *r = ctx;
    r->now_ms = clock_monotonic_ms();
    r->stopping = true;
    listener_close(r);
    connections_stop(r);
}

void router_turn(void *ctx)
{
    struct router *r = ctx;
    r->now_ms = clock_monotonic_ms();
    handover_receive(r);             /* clients of a router that leaves */
    shards_receive(&r->shards);      /* answers and events become output */
    project_usages_send(&r->usages); /* live readers that have come or gone */
    connections_resume(r);           /* what waited behind an answer becomes requests */
    incrementals_send(r);            /* pieces of bodies that are arriving */
    shards_flush(&r->shards);        /* the turn's requests, one send a shard */
    connections_flush(r);            /* the turn's output, one write a client */
    stats_written(r);
    connections_resume(r); /* requests that unwritten answers held up */
    connections_flush(r);
    shards_flush(&r->shards);
    connections_flush_bulk(r); /* large answers come after all others */
    shards_flush(&r->shards);
    handover_send(r); /* clients for the router that takes over */
    connections_sweep(r);
    if (r->connections.ready || r->connections.dirty || r->connections.bulk)
        event_active(r->wake, EV_TIMEOUT, 0); /* a tick that is made active comes later by as much */
    if (r->stopping && !r->connections.count && !handover_under_way(r))
        role_done(r->role);
}
