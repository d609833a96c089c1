/* The counters of all processes at one moment, to compute how they have grown since. */
#ifndef SUPERVISOR_CLI_SAMPLE_H
#define SUPERVISOR_CLI_SAMPLE_H

#include <stdint.h>

#include "common/metrics.h"

struct sampled {
    uint64_t appends, cpu_ms, restarts;
    uint64_t commits[METRICS_HISTOGRAM], fsyncs[METRICS_HISTOGRAM];
};

struct sample {
    uint64_t time_ms; /* monotonic */
    struct sampled list[METRICS_SLOTS];
    uint64_t errors[ERR_COUNT]; /* of all routers, as are the next */
    uint64_t requests, dropped, refused;
};

void sample_take(struct sample *sample, const struct metrics_region *region, uint64_t now_ms);

/* Subtracts `before` from *now. */
void sample_subtract(struct sample *now, const struct sample *before);

#endif
