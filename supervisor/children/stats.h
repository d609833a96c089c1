/* The supervisor's part of what is counted (common/metrics.h): it makes the region, and says of each process what that
 * cannot say itself. */
#ifndef SUPERVISOR_CHILDREN_STATS_H
#define SUPERVISOR_CHILDREN_STATS_H

#include <stdint.h>

#include "common/metrics.h"

struct process;

struct stats {
    int fd;
    struct metrics_region *region;
    struct metrics *own; /* the supervisor's */
    uint64_t next_ms;
};

/* fd: a region that an earlier supervisor has left, -1: none. One of another version is not gone on with: the processes
 * that have it count for nobody. */
void stats_open(struct stats *stats, int fd);
void stats_close(struct stats *stats);

/* Something has happened to it: it was started, is ready, has died. */
void stats_process(struct stats *stats, const struct process *process);

/* Looks at memory and time of all now and then. Returns when to call again. now_ms: monotonic. */
uint64_t stats_expire(struct stats *stats, uint64_t now_ms);

#endif
