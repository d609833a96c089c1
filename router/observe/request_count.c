/* A request is one cell of a table of route, method and status, found without a search: each label has the place in its
 * list. A status that metrics.def does not list is `other`. */
#include "router/observe/request_count.h"

#include "common/metrics.h"
#include "router/observe/request_stats.h"

/* The tables below are indexed by routes and methods, never compared: a route is counted as itself wherever it stands
 * in routes.def. */
static unsigned request_count_route_of(const struct request_stats *stats)
{
    static const uint8_t labels[ROUTE_COUNT] = {
#define ROUTE(ID, name, paths, methods) [ROUTE_##ID] = METRIC_ROUTE_##ID,
#include "common/routes.def"
#undef ROUTE
    };
    return stats->routed ? labels[stats->route] : METRIC_ROUTE_OTHER;
}

static unsigned request_count_method_of(const struct request_stats *stats)
{
    static const uint8_t labels[] = {
#define METHOD(ID) [HTTP_##ID] = METRIC_METHOD_##ID,
#include "common/http_methods.def"
#undef METHOD
        [HTTP_OTHER] = METRIC_METHOD_OTHER,
    };
    return labels[stats->method];
}

static unsigned request_count_status_of(const struct request_stats *stats)
{
#define STATUS(number) [(number)-200] = METRIC_STATUS_##number
    static const uint8_t labels[400] = {
        STATUS(200), STATUS(201), STATUS(204), STATUS(304), STATUS(400), STATUS(401), STATUS(403),
        STATUS(404), STATUS(405), STATUS(408), STATUS(409), STATUS(410), STATUS(413), STATUS(417),
        STATUS(429), STATUS(431), STATUS(500), STATUS(501), STATUS(503), STATUS(505), STATUS(507),
    };
#undef STATUS
    if (!stats->status)
        return METRIC_STATUS_NONE;
    return stats->status >= 200 && stats->status < 600 ? labels[stats->status - 200] : METRIC_STATUS_OTHER;
}

static unsigned request_count_operation_of(const struct request_stats *stats)
{
    static const uint8_t operations[ROUTE_COUNT][HTTP_OTHER + 1] = {
#define ON(method, scope, handler, operation, ids) [HTTP_##method] = METRIC_OPERATION_##operation,
#define ROUTE(ID, name, paths, methods) [ROUTE_##ID] = {methods},
#include "common/routes.def"
#undef ROUTE
#undef ON
    };
    if (stats->live)
        return stats->live;
    return stats->routed ? operations[stats->route][stats->method] : METRIC_OPERATION_OTHER;
}

void request_count(struct metrics *metrics, const struct request_stats *stats)
{
    unsigned at =
        (request_count_route_of(stats) * METRIC_METHOD_COUNT + request_count_method_of(stats)) * METRIC_STATUS_COUNT;
    metrics_add(metrics, METRIC_REQUESTS + at + request_count_status_of(stats), 1);
    if (stats->status)
        metrics_observe_us(metrics, METRIC_REQUEST_US + request_count_operation_of(stats) * METRICS_HISTOGRAM,
                           stats->answered_us - stats->began_us);
}
