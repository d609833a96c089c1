/* What a router has, by the tick, and how old the events are that it has written: numbers of common/metrics.def. */
#ifndef ROUTER_OBSERVE_STATS_H
#define ROUTER_OBSERVE_STATS_H

#include <stdint.h>

struct router;

void stats_publish(struct router *router);

/* An event whose append came at time_ms (Unix) goes to its readers in this turn; and they were written to. */
void stats_event(struct router *router, uint64_t time_ms);
void stats_written(struct router *router);

#endif
