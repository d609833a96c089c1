#include "router/observe/account.h"

#include "common/clock.h"
#include "common/metrics.h"
#include "router/observe/request_count.h"
#include "router/observe/request_log.h"
#include "router/observe/timing.h"
#include "router/router.h"

void account_begin(struct client *c)
{
    c->account = (struct account){.began_us = clock_monotonic_us(), .method = HTTP_OTHER};
}

void account_method(struct client *c, enum http_method method)
{
    c->account.method = method;
}

void account_route(struct client *c, enum route_kind route)
{
    c->account.route = route;
    c->account.routed = true;
}

void account_live(struct client *c, bool sse)
{
    c->account.live = sse ? METRIC_OPERATION_SSE : METRIC_OPERATION_LONG_POLL;
}

void account_answered(struct client *c, int status)
{
    struct account *account = &c->account;
    if (!account->began_us)
        account_begin(c);
    account->status = (uint16_t)status;
    account->answered_us = clock_monotonic_us();
    request_count(c->router->metrics, account);
}

void account_refused(struct client *c, enum error error)
{
    c->account.error = error;
}

void account_waits(struct client *c)
{
    if (!c->account.waits_us)
        c->account.waits_us = clock_monotonic_us();
}

void account_end(struct client *c)
{
    if (!c->account.began_us)
        return;
    if (!c->account.status)
        request_count(c->router->metrics, &c->account);
    request_log_end(c);
    account_forget(c);
}

void account_forget(struct client *c)
{
    request_log_drop(c);
    timing_drop(c);
    c->account.began_us = 0;
}

void account_resume(struct client *c, uint64_t began_us, int status)
{
    c->account = (struct account){
        .began_us = began_us,
        .answered_us = status ? began_us : 0,
        .waits_us = began_us,
        .method = HTTP_GET,
        .route = ROUTE_STREAM,
        .routed = true,
        .status = (uint16_t)status,
    };
}
