/* The page of metrics, in Prometheus' text format. */
#ifndef ROUTER_OBSERVE_METRICS_PAGE_H
#define ROUTER_OBSERVE_METRICS_PAGE_H

#include "common/buf.h"
#include "common/metrics.h"

#define METRICS_PAGE_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Adds every metric of every process that has a slot. */
void metrics_page_add(struct buf *out, const struct metrics_region *region);

/* For metrics that are no numbers of a slot: the two lines before them; type: "gauge". */
void metrics_page_head(struct buf *out, const char *name, const char *type, const char *help);

#endif
