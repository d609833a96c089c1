#include "router/observe/request_count.h"

#include "common/metrics.h"
#include "router/observe/account.h"

/* The tables below are indexed by routes and methods, never compared: a route is counted as itself wherever it stands
 * in routes.def. */
static unsigned request_count_route_of(const struct account *account)
{
    static const uint8_t labels[ROUTE_COUNT] = {
#define ROUTE(ID, name, paths, methods) [ROUTE_##ID] = METRIC_ROUTE_##ID,
#include "common/routes.def"
#undef ROUTE
    };
    return account->routed ? labels[account->route] : METRIC_ROUTE_OTHER;
}

static unsigned request_count_method_of(const struct account *account)
{
    static const uint8_t labels[] = {
#define METHOD(ID) [HTTP_##ID] = METRIC_METHOD_##ID,
#include "common/http_methods.def"
#undef METHOD
        [HTTP_OTHER] = METRIC_METHOD_OTHER,
    };
    return labels[account->method];
}

static unsigned request_count_status_of(const struct account *account)
{
#define STATUS(number) [(number)-200] = METRIC_STATUS_##number
    static const uint8_t labels[400] = {
        STATUS(200), STATUS(201), STATUS(204), STATUS(304), STATUS(400), STATUS(401), STATUS(403),
        STATUS(404), STATUS(405), STATUS(408), STATUS(409), STATUS(410), STATUS(413), STATUS(417),
        STATUS(429), STATUS(431), STATUS(500), STATUS(501), STATUS(503), STATUS(505), STATUS(507),
    };
#undef STATUS
    if (!account->status)
        return METRIC_STATUS_NONE;
    return account->status >= 200 && account->status < 600 ? labels[account->status - 200] : METRIC_STATUS_OTHER;
}

static unsigned request_count_operation_of(const struct account *account)
{
    static const uint8_t operations[ROUTE_COUNT][HTTP_OTHER + 1] = {
#define ON(method, scope, handler, operation, ids) [HTTP_##method] = METRIC_OPERATION_##operation,
#define ROUTE(ID, name, paths, methods) [ROUTE_##ID] = {methods},
#include "common/routes.def"
#undef ROUTE
#undef ON
    };
    if (account->live)
        return account->live;
    return account->routed ? operations[account->route][account->method] : METRIC_OPERATION_OTHER;
}

void request_count(struct metrics *metrics, const struct account *account)
{
    unsigned at = (request_count_route_of(account) * METRIC_METHOD_COUNT + request_count_method_of(account)) *
                  METRIC_STATUS_COUNT;
    metrics_add(metrics, METRIC_REQUESTS + at + request_count_status_of(account), 1);
    if (account->status)
        metrics_observe_us(metrics, METRIC_REQUEST_US + request_count_operation_of(account) * METRICS_HISTOGRAM,
                           account->answered_us - account->began_us);
}
