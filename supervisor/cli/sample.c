/* A sample is one copy of the counters that `streamd status` needs. It holds uint64_t only, and mostly counters; so
 * the difference of two samples is a sample too, that of the time between them (`time_ms` included).
 *
 *     sample_take(now);  sample_subtract(now, before)   ->   requests, errors, commits ... of the last 10 to 20 s */
#include "supervisor/cli/sample.h"

#include <string.h>

static uint64_t sample_sum_of(const struct metrics *m, unsigned first, unsigned count)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += metrics_get(m, first + i);
    return sum;
}

static void sample_take_process(struct sampled *sampled, const struct metrics *m, enum metrics_of of)
{
    sampled->cpu_ms = metrics_get(m, METRIC_CPU);
    sampled->restarts = metrics_get(m, METRIC_RESTARTS);
    /* Only shards have the metrics below; the numbers of other processes stay 0. */
    if (of != METRICS_SHARD)
        return;
    sampled->appends = metrics_get(m, METRIC_APPENDS);
    for (unsigned i = 0; i < METRICS_HISTOGRAM; i++) {
        sampled->commits[i] = metrics_get(m, METRIC_COMMIT_US + i);
        sampled->fsyncs[i] = metrics_get(m, METRIC_FSYNC_US + i);
    }
}

static void sample_add_router(struct sample *sample, const struct metrics *m)
{
    sample->requests += sample_sum_of(m, METRIC_REQUESTS, METRIC_REQUESTS_END - METRIC_REQUESTS + 1);
    sample->dropped += sample_sum_of(m, METRIC_DROPPED, METRIC_DROPPED_COUNT);
    sample->refused += sample_sum_of(m, METRIC_REFUSED, METRIC_REFUSED_COUNT);
    for (unsigned i = 0; i < ERR_COUNT; i++)
        sample->errors[i] += metrics_get(m, METRIC_ERRORS + i);
}

void sample_take(struct sample *sample, const struct metrics_region *region, uint64_t now_ms)
{
    memset(sample, 0, sizeof *sample);
    sample->time_ms = now_ms;
    for (unsigned slot = 0; slot < METRICS_SLOTS; slot++) {
        const struct metrics *m = metrics_at(region, slot);
        if (!m)
            continue;
        sample_take_process(&sample->list[slot], m, metrics_slot_of(slot));
        if (metrics_slot_of(slot) == METRICS_ROUTER)
            sample_add_router(sample, m);
    }
}

/* Subtracts as an array of numbers; a member of another type in struct sample would break this. */
void sample_subtract(struct sample *now, const struct sample *before)
{
    uint64_t *to = (uint64_t *)(void *)now;
    const uint64_t *from = (const uint64_t *)(const void *)before;
    for (size_t i = 0; i < sizeof *now / sizeof *to; i++)
        to[i] -= from[i];
}
