#include "router/dispatch.h"

#include "router/answer.h"
#include "router/cors.h"
#include "router/route.h"
#include "router/router.h"
#include "router/rules.h"
#include "router/timing.h"
#include "router/verbs.h"

struct access {
    enum route_kind route;
    enum http_method method;
    enum scope scope;
    verb *verb;
};

static const struct access table[] = {
#define ACCESS(route, method, scope, verb) {ROUTE_##route, HTTP_##method, SCOPE_##scope, verb},
#include "router/access.def"
#undef ACCESS
};

static const char *const method_names[] = {
    [HTTP_GET] = "GET",       [HTTP_HEAD] = "HEAD",       [HTTP_POST] = "POST",   [HTTP_PUT] = "PUT",
    [HTTP_DELETE] = "DELETE", [HTTP_OPTIONS] = "OPTIONS", [HTTP_OTHER] = "other",
};

static const struct access *find(enum route_kind route, enum http_method method)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].route == route && table[i].method == method)
            return &table[i];
    return NULL;
}

static void answer_not_allowed(struct client *c, enum route_kind route)
{
    char methods[80] = "";
    struct detail detail;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].route == route)
            strcat(strcat(methods, method_names[table[i].method]), ", ");
    strcat(methods, "OPTIONS");
    struct buf *head = answer_error_begin(c, ERR_METHOD_NOT_ALLOWED);
    response_add(head, "Allow", slice_str(methods));
    answer_error_end(c, detail_say(&detail, ERR_METHOD_NOT_ALLOWED, "this path allows %s", methods), detail.text);
}

/* Streams may be public, nothing else is. */
static bool needs_token(const struct client *c, const struct access *access)
{
    return access->scope != SCOPE_NONE && access->route != ROUTE_STREAM && c->router->auth.registry && !c->grant.key;
}

/* Where metrics have a place of their own, there is nothing else. */
static enum error parse(const struct client *c, const struct http_head *head, char room[ROUTE_NAME_MAX],
                        struct route *route, struct detail *detail)
{
    enum error error = route_parse(head->path, head->method, c->router->cfg->limits_max_path, room, route, detail);
    bool here =
        !c->only_metrics || (error == ERR_NONE && (route->kind == ROUTE_METRICS || route->kind == ROUTE_HEALTH));
    if (!here)
        error = detail_say(detail, ERR_NOT_FOUND, "at this address only /metrics and /health are answered");
    return error;
}

/* Answered whatever it is about; but there is nothing to ask for where metrics have a place of their own. */
static bool is_preflight(const struct client *c, const struct http_head *head)
{
    return head->method == HTTP_OPTIONS && !c->only_metrics;
}

/* What the request is about, and whether it may. *access NULL: the route has no such method. */
static enum error check(struct client *c, const struct http_head *head, char room[ROUTE_NAME_MAX], struct route *route,
                        const struct access **access, struct detail *detail)
{
    struct router *r = c->router;
    *route = (struct route){0};
    *access = NULL;
    auth_turn(&r->auth);
    enum error error = parse(c, head, room, route, detail);
    cors_decide(c, head, error == ERR_NONE ? route->name : (struct slice){0});
    if (error != ERR_NONE || is_preflight(c, head))
        return is_preflight(c, head) ? ERR_NONE : error;
    account_route(c, route->kind);
    *access = find(route->kind, head->method);
    if (*access)
        error = auth_check(c, head, route->name, (*access)->scope, detail);
    if (error == ERR_NONE && *access && needs_token(c, *access))
        error = ERR_UNAUTHORIZED;
    if (error == ERR_NONE && *access)
        error = rules_request(head, route->kind == ROUTE_CONFIG, detail);
    return error;
}

/* What the request has to wait for before anybody can say whether it may; NULL: nothing. */
static struct hold_list *wait_for(struct client *c, const struct http_head *head, const struct route *route,
                                  const struct access *access)
{
    if (!access || access->scope == SCOPE_NONE)
        return NULL;
    struct hold_list *list = auth_wait(c, head, route->name);
    if (!list && route->kind == ROUTE_STREAM)
        list = quota_wait(c, route->name);
    if (!list && route->kind == ROUTE_USAGE)
        list = tally_wait(c, route->name);
    return list;
}

/* A callback is asked, and keys are fetched, when all of the request is there. */
enum error dispatch_check(struct client *c, const struct http_head *head, struct detail *detail)
{
    char room[ROUTE_NAME_MAX];
    struct route route;
    const struct access *access;
    c->decision = (struct decision){.scope = SCOPE_MANAGE};
    enum error error = check(c, head, room, &route, &access, detail);
    bool unsure = error == ERR_UNAUTHORIZED || error == ERR_AUTH_UNAVAILABLE;
    return unsure && wait_for(c, head, &route, access) ? ERR_NONE : error;
}

void dispatch_decided(struct client *c, const struct http_head *head, struct slice bytes, struct slice body)
{
    char room[ROUTE_NAME_MAX];
    struct route route;
    const struct access *access;
    struct detail detail = {0};
    enum error error = check(c, head, room, &route, &access, &detail);
    (void)bytes;
    c->exchange.slash = route.name.len && route.name.data[route.name.len - 1] == '/';
    timing_mark(c, TIMING_ALLOWED);
    if (is_preflight(c, head))
        cors_preflight(c);
    else if (error != ERR_NONE)
        answer_error_text(c, error, detail.text);
    else if (!access)
        answer_not_allowed(c, route.kind);
    else
        access->verb(c, head, route.name, body);
}

void dispatch_request(struct client *c, const struct http_head *head, struct slice bytes, struct slice body)
{
    char room[ROUTE_NAME_MAX];
    struct route route;
    const struct access *access = NULL;
    timing_mark(c, TIMING_WHOLE);
    auth_turn(&c->router->auth);
    if ((c->router->callbacks.on || c->router->auth.registry) && parse(c, head, room, &route, NULL) == ERR_NONE)
        access = find(route.kind, head->method);
    struct hold_list *list = wait_for(c, head, &route, access);
    if (list)
        hold_request(list, c, bytes, body);
    else if (access && access->scope != SCOPE_NONE && c->router->callbacks.on)
        callback_ask(c, head, bytes, body, route.name);
    else
        dispatch_decided(c, head, bytes, body);
}

const char *dispatch_method_name(enum http_method method)
{
    return method_names[method];
}
