/* One region of shared memory, made by the supervisor, mapped by every process: counting is a plain addition to a cell
 * that only this process writes, reading is a walk over all slots. No lock, no message, no allocation.
 *
 *     region:  check | used[slot] | slot 0 (supervisor) | slot 1 (router 0) | ... | slot n (shard m)
 *     slot:    cells, in the order of the rows of metrics.def
 *
 * Happy path: a process takes its slot and keeps adding to what its predecessor left, so counters survive restarts;
 * gauges of a predecessor are cleared, since they describe a process that is gone.
 *
 * Failure modes: programs of different tables would read each other's cells wrongly. The check word is a hash of the
 * table; a process whose table differs maps nothing and counts nothing, and the first supervisor with the new table
 * makes a new region. */
#include "common/metrics.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/hash.h"
#include "common/log.h"

struct metrics_region {
    _Alignas(4096) uint64_t check; /* what this program takes it for */
    _Atomic uint64_t used[METRICS_SLOTS];
    struct metrics slots[METRICS_SLOTS];
};

/* ---- the table ---- */

#define VALUE(label, ID, text) text,
#define LABEL(ID, name, values) static const char *const values_##ID[] = {values};
#define COUNTER(of, how, ID, name, unit, a, b, c, help)
#define GAUGE(of, how, ID, name, unit, a, b, c, help)
#define HISTOGRAM(of, how, ID, name, unit, a, help)
#define DETAIL(of, ID, count)
#include "common/metrics.def"
#undef LABEL
#define LABEL(ID, name, values) static const struct metrics_label label_##ID = {name, METRIC_##ID##_COUNT, values_##ID};
#include "common/metrics.def"
#undef VALUE
#undef LABEL
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
#undef DETAIL

/* The labels whose values are another list's. */
static const char *const values_ROUTE[] = {
    "other",
#define ROUTE(ID, name, paths, methods) name,
#include "common/routes.def"
#undef ROUTE
};
static const char *const values_METHOD[] = {
#define METHOD(ID) #ID,
#include "common/http_methods.def"
#undef METHOD
    "other",
};
static const char *const values_ERROR[] = {
#define X(name, status, class, retry_after, text) #name,
#include "common/errors.def"
#undef X
};
static const struct metrics_label label_ROUTE = {"route", METRIC_ROUTE_COUNT, values_ROUTE};
static const struct metrics_label label_METHOD = {"method", METRIC_METHOD_COUNT, values_METHOD};
static const struct metrics_label label_ERROR = {"code", METRIC_ERROR_COUNT, values_ERROR};

enum how { SUM, EACH };

#define ROW(of, how, type, ID, name, unit, a, b, c, help)                                                              \
    {"streamd_" name, help,          METRICS_##of, type,                                                               \
     METRICS_##unit,  (how) == EACH, METRIC_##ID,  METRIC_##ID##_END - METRIC_##ID + 1,                                \
     {a, b, c}},
#define LABEL(ID, name, values)
#define COUNTER(of, how, ID, name, unit, a, b, c, help)                                                                \
    ROW(of, how, METRICS_COUNTER, ID, name, unit, &label_##a, &label_##b, &label_##c, help)
#define GAUGE(of, how, ID, name, unit, a, b, c, help)                                                                  \
    ROW(of, how, METRICS_GAUGE, ID, name, unit, &label_##a, &label_##b, &label_##c, help)
#define HISTOGRAM(of, how, ID, name, unit, a, help)                                                                    \
    ROW(of, how, METRICS_OF_HISTOGRAM, ID, name, unit, &label_##a, &label_NONE, &label_NONE, help)
#define DETAIL(of, ID, count) ROW(of, EACH, METRICS_DETAIL, ID, #ID, ONE, &label_NONE, &label_NONE, &label_NONE, "")
static const struct metrics_row metrics_table[] = {
#include "common/metrics.def"
};

#define ROWS (sizeof metrics_table / sizeof metrics_table[0])

const struct metrics_row *metrics_rows(unsigned *count)
{
    *count = ROWS;
    return metrics_table;
}

/* ---- the region ---- */

/* Another table is another region. */
static uint64_t metrics_check(void)
{
    uint64_t hash = HASH_SEED;
    for (size_t i = 0; i < ROWS; i++) {
        hash = hash_add(hash, slice_str(metrics_table[i].name));
        hash = hash_add(hash, slice_of((const char *)&metrics_table[i].count, sizeof metrics_table[i].count));
        for (size_t j = 0; j < 3; j++)
            for (unsigned value = 0; value < metrics_table[i].labels[j]->count; value++)
                hash = hash_add(hash, slice_str(metrics_table[i].labels[j]->values[value]));
    }
    return hash;
}

static struct metrics_region *metrics_map_fd(int fd)
{
    void *at = mmap(NULL, sizeof(struct metrics_region), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return at == MAP_FAILED ? NULL : at;
}

int metrics_make(void)
{
    int fd = memfd_create("streamd-metrics", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, sizeof(struct metrics_region)) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        fatal("cannot make the memory of metrics");
    struct metrics_region *region = metrics_map_fd(fd);
    if (!region)
        fatal("cannot map the memory of metrics");
    region->check = metrics_check();
    munmap(region, sizeof *region);
    return fd;
}

struct metrics_region *metrics_map(int fd)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0 || stat.st_size != (off_t)sizeof(struct metrics_region))
        return NULL;
    struct metrics_region *region = metrics_map_fd(fd);
    if (!region || region->check == metrics_check())
        return region;
    munmap(region, sizeof *region);
    return NULL;
}

unsigned metrics_slot(enum metrics_of of, unsigned process_slot)
{
    return of == METRICS_ROUTER ? 1 + process_slot : of == METRICS_SHARD ? 1 + ROLE_ROUTER_SLOTS + process_slot : 0;
}

enum metrics_of metrics_slot_of(unsigned slot)
{
    return slot > ROLE_ROUTER_SLOTS ? METRICS_SHARD : slot ? METRICS_ROUTER : METRICS_SUPERVISOR;
}

void metrics_slot_name(unsigned slot, char name[20])
{
    switch (metrics_slot_of(slot)) {
    case METRICS_SHARD:
        snprintf(name, 20, "shard/%u", slot - ROLE_ROUTER_SLOTS - 1);
        break;
    case METRICS_ROUTER:
        snprintf(name, 20, "router/%u", role_number(ROLE_ROUTER, slot - 1));
        break;
    default:
        snprintf(name, 20, "supervisor");
    }
}

struct metrics *metrics_open(struct metrics_region *region, unsigned slot)
{
    atomic_store(&region->used[slot], 1);
    return &region->slots[slot];
}

const struct metrics *metrics_at(const struct metrics_region *region, unsigned slot)
{
    return atomic_load(&region->used[slot]) ? &region->slots[slot] : NULL;
}

/* What is of the process itself is the supervisor's to say. */
void metrics_bury(struct metrics *metrics, enum metrics_of of)
{
    for (size_t i = 0; i < ROWS; i++) {
        const struct metrics_row *row = &metrics_table[i];
        if (row->of != of || (row->type != METRICS_GAUGE && row->type != METRICS_DETAIL))
            continue;
        for (unsigned cell = row->cell; cell < row->cell + row->count; cell++)
            if (metrics_get(metrics, cell))
                metrics_set(metrics, cell, 0);
    }
}

uint64_t metrics_quantile(const uint64_t *cells, unsigned thousandths, enum metrics_unit unit)
{
    uint64_t total = 0, sum = 0;
    for (unsigned i = 0; i <= METRICS_BOUNDS; i++)
        total += cells[i];
    for (unsigned i = 0; total && i < METRICS_BOUNDS; i++) {
        sum += cells[i];
        if (sum * 1000 >= total * thousandths)
            return (uint64_t)(unit == METRICS_US ? METRICS_STEP_US : 1) << i;
    }
    return total ? UINT64_MAX : 0;
}
