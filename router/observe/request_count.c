#include "router/observe/request_count.h"

#include "common/metrics.h"
#include "router/observe/account.h"

static unsigned request_count_route_of(const struct account *account)
{
    static const uint8_t labels[] = {
        [ROUTE_ROOT] = METRIC_ROUTE_ROOT,
        [ROUTE_HEALTH] = METRIC_ROUTE_HEALTH,
        [ROUTE_METRICS] = METRIC_ROUTE_METRICS,
        [ROUTE_STREAM] = METRIC_ROUTE_STREAM,
        [ROUTE_CONFIG] = METRIC_ROUTE_CONFIG,
        [ROUTE_USAGE] = METRIC_ROUTE_USAGE,
        [ROUTE_STREAMS] = METRIC_ROUTE_STREAMS,
        [ROUTE_SHOW] = METRIC_ROUTE_SHOW,
        [ROUTE_SUBSCRIPTION] = METRIC_ROUTE_SUBSCRIPTION,
        [ROUTE_SUBSCRIPTIONS] = METRIC_ROUTE_SUBSCRIPTIONS,
        [ROUTE_ESTUARY] = METRIC_ROUTE_ESTUARY,
        [ROUTE_ESTUARY_TOUCH] = METRIC_ROUTE_ESTUARY_TOUCH,
    };
    return account->routed ? labels[account->route] : METRIC_ROUTE_OTHER;
}

static unsigned request_count_method_of(const struct account *account)
{
    static const uint8_t labels[] = {
        [HTTP_GET] = METRIC_METHOD_GET,       [HTTP_HEAD] = METRIC_METHOD_HEAD,
        [HTTP_POST] = METRIC_METHOD_POST,     [HTTP_PUT] = METRIC_METHOD_PUT,
        [HTTP_DELETE] = METRIC_METHOD_DELETE, [HTTP_OPTIONS] = METRIC_METHOD_OPTIONS,
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
    static const uint8_t of_stream[] = {
        [HTTP_GET] = METRIC_OPERATION_READ,      [HTTP_HEAD] = METRIC_OPERATION_HEAD,
        [HTTP_POST] = METRIC_OPERATION_APPEND,   [HTTP_PUT] = METRIC_OPERATION_CREATE,
        [HTTP_DELETE] = METRIC_OPERATION_DELETE, [HTTP_OPTIONS] = METRIC_OPERATION_OTHER,
        [HTTP_OTHER] = METRIC_OPERATION_OTHER,
    };
    unsigned route = request_count_route_of(account);
    if (account->live)
        return account->live;
    if (route == METRIC_ROUTE_STREAM)
        return of_stream[account->method];
    return route >= METRIC_ROUTE_SUBSCRIPTION ? METRIC_OPERATION_ESTUARY : METRIC_OPERATION_OTHER;
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
