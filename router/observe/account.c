#include "router/observe/account.h"

#include "common/clock.h"
#include "common/metrics.h"
#include "router/observe/request_count.h"
#include "router/observe/request_log.h"
#include "router/observe/timing.h"
#include "router/router.h"

void account_begin(struct request *req)
{
    req->account = (struct account){.began_us = clock_monotonic_us(), .method = HTTP_OTHER};
}

void account_method(struct request *req, enum http_method method)
{
    req->account.method = method;
}

void account_route(struct request *req, enum route_kind route)
{
    req->account.route = route;
    req->account.routed = true;
}

void account_live(struct request *req, bool sse)
{
    req->account.live = sse ? METRIC_OPERATION_SSE : METRIC_OPERATION_LONG_POLL;
}

void account_answered(struct request *req, int status)
{
    struct account *account = &req->account;
    if (!account->began_us)
        account_begin(req);
    account->status = (uint16_t)status;
    account->answered_us = clock_monotonic_us();
    request_count(req->router->metrics, account);
}

void account_refused(struct request *req, enum error error)
{
    req->account.error = error;
}

void account_waits(struct request *req)
{
    if (!req->account.waits_us)
        req->account.waits_us = clock_monotonic_us();
}

void account_end(struct request *req)
{
    if (!req->account.began_us)
        return;
    if (!req->account.status)
        request_count(req->router->metrics, &req->account);
    request_log_end(req);
    account_forget(req);
}

void account_forget(struct request *req)
{
    request_log_drop(req);
    timing_drop(req);
    req->account.began_us = 0;
}

void account_resume(struct request *req, uint64_t began_us, int status)
{
    req->account = (struct account){
        .began_us = began_us,
        .answered_us = status ? began_us : 0,
        .waits_us = began_us,
        .method = HTTP_GET,
        .route = ROUTE_STREAM,
        .routed = true,
        .status = (uint16_t)status,
    };
}
