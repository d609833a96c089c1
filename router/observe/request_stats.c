/* The life of a request, as counters and the log see it:
 *
 *     begin --> method --> route --> (live) --> answered --> (waits) --> end
 *       |                                          |                      |
 *       the head is whole                          counted, timed         logged, forgotten
 *
 * A request is counted once: when its answer begins, or, without an answer, when it ends (status "none"). A reader that
 * moves to another router is forgotten here without a line and resumed there; it was counted where it was answered. */
#include "router/observe/request_stats.h"

#include "common/clock.h"
#include "common/metrics.h"
#include "router/observe/request_count.h"
#include "router/observe/request_log.h"
#include "router/observe/timing.h"
#include "router/router.h"

void request_stats_begin(struct request *req)
{
    req->stats = (struct request_stats){.began_us = clock_monotonic_us(), .method = HTTP_OTHER};
}

void request_stats_method(struct request *req, enum http_method method)
{
    req->stats.method = method;
}

void request_stats_route(struct request *req, enum route_kind route)
{
    req->stats.route = route;
    req->stats.routed = true;
}

void request_stats_live(struct request *req, bool sse)
{
    req->stats.live = sse ? METRIC_OPERATION_SSE : METRIC_OPERATION_LONG_POLL;
}

void request_stats_incremental(struct request *req)
{
    req->stats.live = METRIC_OPERATION_INCREMENTAL;
    request_stats_waits(req);
}

void request_stats_answered(struct request *req, int status)
{
    struct request_stats *stats = &req->stats;
    if (!stats->began_us) /* a connection over the limit is refused before it sends a request */
        request_stats_begin(req);
    stats->status = (uint16_t)status;
    stats->answered_us = clock_monotonic_us();
    request_count(req->router->metrics, stats);
}

void request_stats_refused(struct request *req, enum error error)
{
    req->stats.error = error;
}

void request_stats_waits(struct request *req)
{
    if (!req->stats.waits_us)
        req->stats.waits_us = clock_monotonic_us();
}

void request_stats_end(struct request *req)
{
    if (!req->stats.began_us)
        return;
    if (!req->stats.status) /* the client is gone before its answer began */
        request_count(req->router->metrics, &req->stats);
    request_log_end(req);
    request_stats_forget(req);
}

void request_stats_forget(struct request *req)
{
    request_log_drop(req);
    timing_drop(req);
    req->stats.began_us = 0; /* a second end does nothing */
}

void request_stats_resume(struct request *req, uint64_t began_us, int status)
{
    /* The reader counts as served when it began, so the move never makes it a slow request. */
    req->stats = (struct request_stats){
        .began_us = began_us,
        .answered_us = status ? began_us : 0,
        .waits_us = began_us,
        .method = HTTP_GET,
        .route = ROUTE_STREAM,
        .routed = true,
        .status = (uint16_t)status,
    };
}
