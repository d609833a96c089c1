#include "tests/bench/histogram.h"

#include <stdio.h>

/* Values below HISTOGRAM_FINE have a cell each; above, each power of two has HISTOGRAM_FINE cells. */
static unsigned cell_of(uint64_t ns)
{
    if (ns < HISTOGRAM_FINE)
        return (unsigned)ns;
    unsigned shift = 57u - (unsigned)__builtin_clzll(ns);
    return (shift + 1) * HISTOGRAM_FINE + (unsigned)(ns >> shift) - HISTOGRAM_FINE;
}

static double middle_of(unsigned cell)
{
    if (cell < HISTOGRAM_FINE)
        return (double)cell;
    unsigned shift = cell / HISTOGRAM_FINE - 1;
    return ((double)(cell % HISTOGRAM_FINE + HISTOGRAM_FINE) + 0.5) * (double)(1ull << shift);
}

void histogram_add(struct histogram *h, uint64_t ns)
{
    h->cells[cell_of(ns)]++;
    h->count++;
    if (ns > h->max)
        h->max = ns;
}

double histogram_us(const struct histogram *h, double fraction)
{
    double wanted = fraction * (double)h->count;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_CELLS; i++) {
        seen += h->cells[i];
        if (h->cells[i] && (double)seen >= wanted)
            return middle_of(i) / 1000;
    }
    return 0;
}

void histogram_print(const struct histogram *h)
{
    printf("\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f", histogram_us(h, 0.5),
           histogram_us(h, 0.99), histogram_us(h, 0.999), (double)h->max / 1000);
}
