/* The counters of a request: its route, method, status and the time until its answer began (common/metrics.def). */
#ifndef ROUTER_OBSERVE_REQUEST_COUNT_H
#define ROUTER_OBSERVE_REQUEST_COUNT_H

struct request_stats;
struct metrics;

/* Once, when its answer begins, or when it ends without one. */
void request_count(struct metrics *metrics, const struct request_stats *stats);

#endif
