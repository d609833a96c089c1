#include "router/account.h"

#include "common/clock.h"
#include "router/client.h"

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

void account_answered(struct client *c, int status)
{
    c->account.status = status;
    c->account.answered_us = clock_monotonic_us();
}

void account_end(struct client *c)
{
    c->account.began_us = 0;
}

void account_forget(struct client *c)
{
    c->account.began_us = 0;
}

void account_resume(struct client *c, uint64_t began_us)
{
    c->account = (struct account){
        .began_us = began_us, .answered_us = began_us, .method = HTTP_GET, .route = ROUTE_STREAM, .routed = true};
}
