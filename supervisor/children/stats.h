/* The supervisor's part of the metrics (common/metrics.h): it makes the region, and records of each process what the
 * process cannot record itself. */
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

/* fd: a region that an earlier supervisor has left; -1: none. A region of another version is not used: processes that
 * have it count for nobody until they are replaced. */
void stats_open(struct stats *stats, int fd);
void stats_close(struct stats *stats);

/* Records that the process was started, is ready, or has died. */
void stats_process(struct stats *stats, const struct process *process);

/* Reads memory and processor time of all processes every two seconds. Returns when to call again. now_ms: monotonic. */
uint64_t stats_expire(struct stats *stats, uint64_t now_ms);

#endif
