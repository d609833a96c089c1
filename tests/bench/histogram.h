/* Latencies in nanoseconds, kept to within 1.6% in a fixed table. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_FINE 64u /* steps in which a power of two is divided */
#define HISTOGRAM_CELLS (59u * HISTOGRAM_FINE)

struct histogram {
    uint64_t cells[HISTOGRAM_CELLS];
    uint64_t count;
    uint64_t max;
};

void histogram_add(struct histogram *h, uint64_t ns);

/* The value under which `fraction` (0..1) of the values are, in microseconds; 0 when there are none. */
double histogram_us(const struct histogram *h, double fraction);

/* Prints `"p50_us":…,"p99_us":…,"p999_us":…,"max_us":…` to standard output. */
void histogram_print(const struct histogram *h);

#endif
