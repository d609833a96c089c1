/* The supervisor's part of what is counted (common/metrics.h): it makes the region, and says of each process what that
 * cannot say itself. */
#ifndef SUPERVISOR_STATS_H
#define SUPERVISOR_STATS_H

#include <stdint.h>

#include "common/metrics.h"

struct process;

struct meter {
    int fd;
    struct metrics_region *region;
    struct metrics *own; /* the supervisor's */
    uint64_t next_ms;
};

/* fd: a region that an earlier supervisor has left, -1: none. One of another version is not gone on with: the processes
 * that have it count for nobody. */
void meter_open(struct meter *meter, int fd);
void meter_close(struct meter *meter);

/* Something has happened to it: it was started, is ready, has died. */
void meter_process(struct meter *meter, const struct process *process);

/* Looks at memory and time of all now and then. Returns when to call again. now_ms: monotonic. */
uint64_t meter_expire(struct meter *meter, uint64_t now_ms);

#endif
