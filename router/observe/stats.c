#include "router/observe/stats.h"

#include "common/clock.h"
#include "common/metrics.h"
#include "router/router.h"

/* Bytes that wait for the shard with the longest queue: router.queue_memory is a limit for each shard. */
static uint64_t stats_most_held(const struct shards *shards)
{
    uint64_t most = 0;
    for (unsigned i = 0; i < shards->count; i++)
        if (shards->peers[i].held > most)
            most = shards->peers[i].held;
    return most;
}

void stats_publish(struct router *r)
{
    struct metrics *m = r->metrics;
    const struct config *cfg = r->cfg;
    metrics_set(m, METRIC_CONNECTIONS, r->connections.count);
    metrics_set(m, METRIC_WATCHED, r->live.entries.count);
    metrics_set(m, METRIC_QUEUE + METRIC_QUEUE_SHARD, stats_most_held(&r->shards));
    metrics_set(m, METRIC_QUEUE + METRIC_QUEUE_ANSWERS, r->outputs.block_bytes);
    metrics_set(m, METRIC_QUEUE + METRIC_QUEUE_BODIES, r->connections.body_bytes);
    metrics_set(m, METRIC_QUEUE_LIMIT + METRIC_QUEUE_SHARD, cfg->router_queue_memory);
    metrics_set(m, METRIC_QUEUE_LIMIT + METRIC_QUEUE_ANSWERS, cfg->router_answer_memory);
    metrics_set(m, METRIC_QUEUE_LIMIT + METRIC_QUEUE_BODIES, cfg->router_body_memory);
}

/* The delay of delivery is measured once a turn, for the oldest event in it: one clock call, however many readers. */
void stats_event(struct router *r, uint64_t time_ms)
{
    if (!r->oldest_event_ms || time_ms < r->oldest_event_ms)
        r->oldest_event_ms = time_ms;
}

void stats_written(struct router *r)
{
    if (!r->oldest_event_ms)
        return;
    uint64_t now_us = clock_unix_us(), then_us = r->oldest_event_ms * 1000;
    /* Two clocks: the time of the append is the shard's, in milliseconds, and the clock may have been set since. */
    metrics_observe_us(r->metrics, METRIC_DELIVERY_US, now_us > then_us ? now_us - then_us : 0);
    r->oldest_event_ms = 0;
}
