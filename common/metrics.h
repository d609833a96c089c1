/* The metrics: one region of memory that every process maps, with a slot for each of them. A slot's numbers have
 * one writer, and whoever has the region reads them at any time: it costs the writer nothing, and works while it hangs
 * or is dead. A slot outlives its process, so that counters never go back; gauges are emptied when it has died. */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/errors.h"
#include "common/layout.h"
#include "common/role.h"

/* One for the supervisor, and for each slot that a process may have (common/role.h). */
#define METRICS_SLOTS (1u + ROLE_ROUTER_SLOTS + LAYOUT_SHARDS_MAX)

/* A histogram: values up to 1, 2, 4, … times its step, and above; their sum. */
#define METRICS_BOUNDS 18u
#define METRICS_STEP_US 50u
#define METRICS_HISTOGRAM (METRICS_BOUNDS + 2u) /* cells */
#define METRICS_SUM (METRICS_BOUNDS + 1u)       /* which of them is the sum */

/* METRIC_QUEUE_ANSWERS, METRIC_QUEUE_COUNT. */
#define VALUE(label, ID, text) METRIC_##label##_##ID,
#define LABEL(ID, name, values) enum { values METRIC_##ID##_COUNT };
#define COUNTER(of, how, ID, name, unit, a, b, c, help)
#define GAUGE(of, how, ID, name, unit, a, b, c, help)
#define HISTOGRAM(of, how, ID, name, unit, a, help)
#define DETAIL(of, ID, count)
#include "common/metrics.def"
#undef LABEL
#undef VALUE
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
#undef DETAIL

/* Labels whose values are another list's: METRIC_ROUTE_STREAM, METRIC_METHOD_GET. An enum error is its own value. */
#define ROUTE(ID, name, paths, methods) METRIC_ROUTE_##ID,
#define METHOD(ID) METRIC_METHOD_##ID,
enum {
    METRIC_ROUTE_OTHER, /* no route, or not a request */
#include "common/routes.def"
    METRIC_ROUTE_COUNT
};
enum {
#include "common/http_methods.def"
    METRIC_METHOD_OTHER,
    METRIC_METHOD_COUNT
};
enum { METRIC_ERROR_COUNT = ERR_COUNT };
#undef ROUTE
#undef METHOD

/* METRIC_REQUESTS: the first cell of a metric; those of its labels' values follow, the last label's next to each other.
 */
#define CELLS(ID, count) METRIC_##ID, METRIC_##ID##_END = METRIC_##ID + (count)-1,
#define LABEL(ID, name, values)
#define COUNTER(of, how, ID, name, unit, a, b, c, help)                                                                \
    CELLS(ID, METRIC_##a##_COUNT *METRIC_##b##_COUNT *METRIC_##c##_COUNT)
#define GAUGE(of, how, ID, name, unit, a, b, c, help)                                                                  \
    CELLS(ID, METRIC_##a##_COUNT *METRIC_##b##_COUNT *METRIC_##c##_COUNT)
#define HISTOGRAM(of, how, ID, name, unit, a, help) CELLS(ID, METRIC_##a##_COUNT *(int)METRICS_HISTOGRAM)
#define DETAIL(of, ID, count) CELLS(ID, (int)(count))
enum metrics_cell {
#include "common/metrics.def"
    METRICS_CELLS
};
#undef LABEL
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
#undef DETAIL
#undef CELLS

/* One process's numbers. */
struct metrics {
    _Alignas(4096) _Atomic uint64_t cells[METRICS_CELLS];
};

struct metrics_region;

enum metrics_of { METRICS_PROCESS, METRICS_SUPERVISOR, METRICS_ROUTER, METRICS_SHARD };
enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_OF_HISTOGRAM, METRICS_DETAIL };
enum metrics_unit { METRICS_ONE, METRICS_US, METRICS_MS };

struct metrics_label {
    const char *name; /* "": there is none */
    unsigned count;
    const char *const *values;
};

/* One line of metrics.def. */
struct metrics_row {
    const char *name, *help; /* name: with streamd_ */
    enum metrics_of of;
    enum metrics_type type;
    enum metrics_unit unit;
    bool each;
    unsigned cell, count;                  /* its cells */
    const struct metrics_label *labels[3]; /* of a histogram, the first only */
};

const struct metrics_row *metrics_rows(unsigned *count);

/* A new region, in a memfd of a size that is sealed. Ends the process if there cannot be one. */
int metrics_make(void);

/* The region that the fd is of, or NULL: it is not one of this version's. */
struct metrics_region *metrics_map(int fd) MUSTUSE;

/* Where a process has its slot; that of METRICS_SUPERVISOR is the first. */
unsigned metrics_slot(enum metrics_of of, unsigned process_slot);
enum metrics_of metrics_slot_of(unsigned slot);
/* "shard/2". Both slots of a router have one name. */
void metrics_slot_name(unsigned slot, char name[20]);

/* The slot, to write to. It is shown from now on. */
struct metrics *metrics_open(struct metrics_region *region, unsigned slot);

/* The slot, to read; NULL: nobody has ever used it. */
const struct metrics *metrics_at(const struct metrics_region *region, unsigned slot);

/* Its process is gone: so is all that it had, but not what it has done. */
void metrics_bury(struct metrics *metrics, enum metrics_of of);

/* The least bound that at least so many thousandths of a histogram's values are not above; 0: it has none. cells: the
 * histogram's METRICS_HISTOGRAM. Above all bounds: UINT64_MAX. */
uint64_t metrics_quantile(const uint64_t *cells, unsigned thousandths, enum metrics_unit unit);

/* ---- writing: metrics NULL: nobody counts ---- */

static inline uint64_t metrics_get(const struct metrics *metrics, unsigned cell)
{
    return atomic_load_explicit(&metrics->cells[cell], memory_order_relaxed);
}

static inline void metrics_set(struct metrics *metrics, unsigned cell, uint64_t value)
{
    if (metrics)
        atomic_store_explicit(&metrics->cells[cell], value, memory_order_relaxed);
}

static inline void metrics_add(struct metrics *metrics, unsigned cell, uint64_t count)
{
    if (metrics)
        metrics_set(metrics, cell, metrics_get(metrics, cell) + count);
}

static inline unsigned metrics_bucket(uint64_t value, uint64_t step)
{
    uint64_t steps = value ? (value - 1) / step : 0;
    unsigned bucket = steps ? 64u - (unsigned)__builtin_clzll(steps) : 0;
    return bucket < METRICS_BOUNDS ? bucket : METRICS_BOUNDS;
}

/* histogram: its first cell, of one value of its label. */
static inline void metrics_observe(struct metrics *metrics, unsigned histogram, uint64_t value, uint64_t step)
{
    metrics_add(metrics, histogram + metrics_bucket(value, step), 1);
    metrics_add(metrics, histogram + METRICS_SUM, value);
}

static inline void metrics_observe_us(struct metrics *metrics, unsigned histogram, uint64_t us)
{
    metrics_observe(metrics, histogram, us, METRICS_STEP_US);
}

#endif
