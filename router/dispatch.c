#include "router/dispatch.h"

#include "router/auth/cors.h"
#include "router/conn/answer.h"
#include "router/conn/request_reader.h"
#include "router/handlers/handlers.h"
#include "router/handlers/named.h"
#include "router/handlers/rules.h"
#include "router/http/route.h"
#include "router/observe/timing.h"
#include "router/router.h"

struct access {
    enum route_kind route;
    enum http_method method;
    enum scope scope;
    verb *verb;
};

static const struct access dispatch_table[] = {
#define ACCESS(route, method, scope, verb) {ROUTE_##route, HTTP_##method, SCOPE_##scope, verb},
#include "router/auth/access.def"
#undef ACCESS
};

static const char *const dispatch_method_names[] = {
    [HTTP_GET] = "GET",       [HTTP_HEAD] = "HEAD",       [HTTP_POST] = "POST",   [HTTP_PUT] = "PUT",
    [HTTP_DELETE] = "DELETE", [HTTP_OPTIONS] = "OPTIONS", [HTTP_OTHER] = "other",
};

static const struct access *dispatch_find(enum route_kind route, enum http_method method)
{
    for (size_t i = 0; i < sizeof dispatch_table / sizeof dispatch_table[0]; i++)
        if (dispatch_table[i].route == route && dispatch_table[i].method == method)
            return &dispatch_table[i];
    return NULL;
}

static void dispatch_answer_not_allowed(struct client *c, enum route_kind route)
{
    char methods[80] = "";
    struct detail detail;
    for (size_t i = 0; i < sizeof dispatch_table / sizeof dispatch_table[0]; i++)
        if (dispatch_table[i].route == route)
            strcat(strcat(methods, dispatch_method_names[dispatch_table[i].method]), ", ");
    strcat(methods, "OPTIONS");
    struct buf *head = answer_error_begin(c, ERR_METHOD_NOT_ALLOWED);
    response_add(head, "Allow", slice_str(methods));
    answer_error_end(c, detail_say(&detail, ERR_METHOD_NOT_ALLOWED, "this path allows %s", methods), detail.text);
}

/* Streams may be public, nothing else is. */
static bool dispatch_needs_token(const struct client *c, const struct access *access)
{
    return access->scope != SCOPE_NONE && access->route != ROUTE_STREAM && c->router->auth.registry && !c->grant.key;
}

/* Where metrics have a place of their own, there is nothing else. */
static enum error dispatch_parse(const struct client *c, const struct http_head *head, char room[ROUTE_NAME_MAX],
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
static bool dispatch_is_preflight(const struct client *c, const struct http_head *head)
{
    return head->method == HTTP_OPTIONS && !c->only_metrics;
}

/* May it do what it names beside its path? body NULL: that is not there yet, and only the head counts. */
static enum error dispatch_check_named(struct client *c, const struct http_head *head, const struct route *route,
                                       const struct slice *body, struct detail *detail)
{
    struct buf names = {0};
    if (!c->router->auth.registry && !c->router->callbacks.on)
        return ERR_NONE;
    named_in_head(head, route->kind, c->router->cfg, &names);
    if (body && !c->router->callbacks.on) /* which was asked about them */
        named_in_body(route, *body, c->router->cfg, &names);
    enum error error = auth_check_named(c, head, route->name, buf_slice(&names), detail);
    buf_clear(&names);
    return error;
}

/* What the request is about, and whether it may. *access NULL: the route has no such method. */
static enum error dispatch_check_access(struct client *c, const struct http_head *head, const struct slice *body,
                                        char room[ROUTE_NAME_MAX], struct route *route, const struct access **access,
                                        struct detail *detail)
{
    struct router *r = c->router;
    *route = (struct route){0};
    *access = NULL;
    auth_turn(&r->auth);
    enum error error = dispatch_parse(c, head, room, route, detail);
    cors_decide(c, head, error == ERR_NONE ? route->name : (struct slice){0});
    if (error != ERR_NONE || dispatch_is_preflight(c, head))
        return dispatch_is_preflight(c, head) ? ERR_NONE : error;
    account_route(c, route->kind);
    *access = dispatch_find(route->kind, head->method);
    if (!*access)
        return ERR_NONE;
    error = auth_check(c, head, route->name, (*access)->scope, detail);
    if (error == ERR_NONE && dispatch_needs_token(c, *access))
        error = ERR_UNAUTHORIZED;
    if (error == ERR_NONE)
        error = dispatch_check_named(c, head, route, body, detail);
    return error != ERR_NONE ? error : rules_request(head, route->kind == ROUTE_CONFIG, detail);
}

/* What is asked about when the head is there. */
static void dispatch_name_head(const struct client *c, const struct http_head *head, const struct route *route,
                               struct buf *names)
{
    named_add(names, NAMED_PATH, route->name);
    named_in_head(head, route->kind, c->router->cfg, names);
}

bool dispatch_admit(struct client *c, const struct http_head *head, struct slice bytes)
{
    struct router *r = c->router;
    char room[ROUTE_NAME_MAX];
    struct route route;
    c->decision = (struct decision){.scope = SCOPE_MANAGE, .asked_ms = r->now_ms};
    auth_turn(&r->auth);
    if ((!r->auth.registry && !r->callbacks.on) || dispatch_parse(c, head, room, &route, NULL) != ERR_NONE)
        return true;
    const struct access *access = dispatch_find(route.kind, head->method);
    if (!access || access->scope == SCOPE_NONE)
        return true;
    struct hold_list *list = auth_wait(c, head, route.name);
    if (list)
        hold_request(list, c, bytes, (struct slice){0}, request_reader_again);
    if (list || !r->callbacks.on)
        return !list;
    struct buf names = {0};
    dispatch_name_head(c, head, &route, &names);
    return callback_ask(c, head, bytes, (struct slice){0}, &names, request_reader_admitted);
}

enum error dispatch_check(struct client *c, const struct http_head *head, bool *wanted, struct detail *detail)
{
    char room[ROUTE_NAME_MAX];
    struct route route;
    const struct access *access;
    enum error error = dispatch_check_access(c, head, NULL, room, &route, &access, detail);
    *wanted = access && access->scope >= SCOPE_WRITE;
    return error;
}

/* True: the request waits, or was gone on with: for what its project uses, or for those that its body names. */
static bool dispatch_waits(struct client *c, const struct http_head *head, struct slice bytes, struct slice body,
                           const struct route *route)
{
    struct buf names = {0};
    struct hold_list *list = NULL;
    if (route->kind == ROUTE_STREAM)
        list = quota_wait(c, route->name);
    if (route->kind == ROUTE_USAGE)
        list = tally_wait(c, route->name);
    if (list) {
        hold_request(list, c, bytes, body, dispatch_request);
        return true;
    }
    if (!c->router->callbacks.on)
        return false;
    if (c->router->now_ms - c->decision.asked_ms > c->router->cfg->auth_callback_recheck)
        dispatch_name_head(c, head, route, &names); /* the body took long: that may have changed */
    named_in_body(route, body, c->router->cfg, &names);
    if (!buf_len(&names))
        return false;
    if (callback_ask(c, head, bytes, body, &names, dispatch_decided))
        dispatch_decided(c, head, bytes, body);
    return true;
}

static void dispatch_answer(struct client *c, const struct http_head *head, struct slice bytes, struct slice body,
                            bool decided)
{
    char room[ROUTE_NAME_MAX];
    struct route route;
    const struct access *access;
    struct detail detail = {0};
    enum error error = dispatch_check_access(c, head, &body, room, &route, &access, &detail);
    if (!decided && error == ERR_NONE && access && access->scope != SCOPE_NONE &&
        dispatch_waits(c, head, bytes, body, &route))
        return;
    c->exchange.slash = route.name.len && route.name.data[route.name.len - 1] == '/';
    timing_mark(c, TIMING_ALLOWED);
    if (dispatch_is_preflight(c, head))
        cors_preflight(c, head);
    else if (error != ERR_NONE)
        answer_error_text(c, error, detail.text);
    else if (!access)
        dispatch_answer_not_allowed(c, route.kind);
    else
        access->verb(c, head, route.name, body);
}

void dispatch_decided(struct client *c, const struct http_head *head, struct slice bytes, struct slice body)
{
    dispatch_answer(c, head, bytes, body, true);
}

void dispatch_request(struct client *c, const struct http_head *head, struct slice bytes, struct slice body)
{
    timing_mark(c, TIMING_WHOLE);
    dispatch_answer(c, head, bytes, body, false);
}

const char *dispatch_method_name(enum http_method method)
{
    return dispatch_method_names[method];
}
