/* Each route, method and status is counted as itself, wherever it stands in its list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/metrics.h"
#include "router/observe/request_count.h"
#include "router/observe/request_stats.h"

static int setup(void **state)
{
    struct metrics *metrics = aligned_alloc(4096, sizeof *metrics);
    assert_non_null(metrics);
    memset(metrics, 0, sizeof *metrics);
    *state = metrics;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static uint64_t requests(const struct metrics *metrics, unsigned route, unsigned method, unsigned status)
{
    return metrics_get(metrics,
                       METRIC_REQUESTS + (route * METRIC_METHOD_COUNT + method) * METRIC_STATUS_COUNT + status);
}

/* How many requests an operation's histogram has. */
static uint64_t timed(const struct metrics *metrics, unsigned operation)
{
    uint64_t count = 0;
    for (unsigned i = 0; i <= METRICS_BOUNDS; i++)
        count += metrics_get(metrics, METRIC_REQUEST_US + operation * METRICS_HISTOGRAM + i);
    return count;
}

static struct request_stats answered(enum route_kind route, enum http_method method)
{
    return (struct request_stats){
        .began_us = 1, .answered_us = 11, .method = method, .route = route, .routed = true, .status = 200};
}

/* Once for each method of each route. */
static void every_route(void **state)
{
    struct metrics *metrics = *state;
    struct request_stats stats;
#define ON(method, scope, handler, operation, ids)                                                                     \
    stats = answered(route, HTTP_##method);                                                                            \
    before = timed(metrics, METRIC_OPERATION_##operation);                                                             \
    request_count(metrics, &stats);                                                                                    \
    assert_int_equal(requests(metrics, label, METRIC_METHOD_##method, METRIC_STATUS_200), 1);                          \
    assert_int_equal(timed(metrics, METRIC_OPERATION_##operation), before + 1);
#define ROUTE(ID, name, paths, methods)                                                                                \
    {                                                                                                                  \
        const enum route_kind route = ROUTE_##ID;                                                                      \
        const unsigned label = METRIC_ROUTE_##ID;                                                                      \
        uint64_t before;                                                                                               \
        methods                                                                                                        \
    }
#include "common/routes.def"
#undef ROUTE
#undef ON
}

/* A method that a route does not have, and a path that is none: "other" is timed, also of estuaries. */
static void what_no_route_takes(void **state)
{
    struct metrics *metrics = *state;
    struct request_stats put = answered(ROUTE_ESTUARY, HTTP_PUT);
    struct request_stats lost = {.began_us = 1, .answered_us = 2, .method = HTTP_GET, .status = 404};
    put.status = 405;
    request_count(metrics, &put);
    request_count(metrics, &lost);
    assert_int_equal(requests(metrics, METRIC_ROUTE_ESTUARY, METRIC_METHOD_PUT, METRIC_STATUS_405), 1);
    assert_int_equal(requests(metrics, METRIC_ROUTE_OTHER, METRIC_METHOD_GET, METRIC_STATUS_404), 1);
    assert_int_equal(timed(metrics, METRIC_OPERATION_OTHER), 2);
}

/* A client that is gone before its answer has no status and no time; an unusual status is "other". */
static void statuses(void **state)
{
    struct metrics *metrics = *state;
    struct request_stats gone = answered(ROUTE_STREAM, HTTP_GET), odd = answered(ROUTE_STREAM, HTTP_GET);
    gone.status = 0;
    odd.status = 299;
    request_count(metrics, &gone);
    request_count(metrics, &odd);
    assert_int_equal(requests(metrics, METRIC_ROUTE_STREAM, METRIC_METHOD_GET, METRIC_STATUS_NONE), 1);
    assert_int_equal(requests(metrics, METRIC_ROUTE_STREAM, METRIC_METHOD_GET, METRIC_STATUS_OTHER), 1);
    assert_int_equal(timed(metrics, METRIC_OPERATION_READ), 1);
}

static void live_reads(void **state)
{
    struct metrics *metrics = *state;
    struct request_stats poll = answered(ROUTE_STREAM, HTTP_GET);
    poll.live = METRIC_OPERATION_LONG_POLL;
    request_count(metrics, &poll);
    assert_int_equal(timed(metrics, METRIC_OPERATION_LONG_POLL), 1);
    assert_int_equal(timed(metrics, METRIC_OPERATION_READ), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_route, setup, teardown),
        cmocka_unit_test_setup_teardown(what_no_route_takes, setup, teardown),
        cmocka_unit_test_setup_teardown(statuses, setup, teardown),
        cmocka_unit_test_setup_teardown(live_reads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
