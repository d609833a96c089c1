/* The loop: keeps a number of requests in flight on each connection, or sends them at a rate, and times the answers. */
#ifndef BENCH_PUMP_H
#define BENCH_PUMP_H

#include "common/buf.h"
#include "tests/bench/api.h"
#include "tests/bench/histogram.h"

struct pump {
    const struct target *target;
    answer_reader *answered;
    unsigned connections;
    unsigned pipeline;
    unsigned answers; /* of one request */
    /* Time between two requests of a connection; 0: the next when the last is answered. A request that is sent late,
     * because the pipeline was full, counts from when it was due. Needs measure_ns. */
    uint64_t every_ns;
    uint64_t warmup_ns;  /* answers of this time are not counted */
    uint64_t measure_ns; /* 0: until there is nothing more to send */
    /* Adds the next request of a connection to `out`; false: there is none. */
    bool (*next)(void *ctx, unsigned connection, struct buf *out);
    /* A request of this connection is answered, with what its last answer said. NULL: nobody wants to know. */
    void (*done)(void *ctx, unsigned connection, const struct answer *answer);
    void *ctx;
};

struct pump_result {
    struct histogram latency; /* of requests */
    uint64_t answered;        /* requests, those before and after what is measured too */
    uint64_t errors;          /* answers that were neither 2xx nor 304, and requests a closed connection took along */
    uint64_t bytes;           /* of bodies */
    double seconds;
    double cpu; /* processor seconds this process used, warm-up included, for one second of the clock */
};

/* The first errors are written to standard error as they come. */
void pump_run(const struct pump *pump, struct pump_result *result);

/* Prints `"requests":…,"requests_per_s":…,"answered":…,"errors":…`, the latencies and the rest of a result, without
 * braces. */
void pump_print(const struct pump_result *result);

#endif
