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

/* What a method of a route needs and does. verb NULL: the route has no such method. */
struct access {
    enum scope scope;
    verb *verb;
};

static const struct access dispatch_table[ROUTE_COUNT][HTTP_OTHER + 1] = {
#define ON(method, scope, handler, operation, ids) [HTTP_##method] = {SCOPE_##scope, handle_##handler},
#define ROUTE(ID, name, paths, methods) [ROUTE_##ID] = {methods},
#include "common/routes.def"
#undef ROUTE
#undef ON
};

/* NULL: the route has no such method. */
static const struct access *dispatch_find(enum route_kind route, enum http_method method)
{
    const struct access *access = &dispatch_table[route][method];
    return access->verb ? access : NULL;
}

static void dispatch_answer_not_allowed(struct request *req, enum route_kind route)
{
    char methods[80] = "";
    struct detail detail;
    for (enum http_method method = 0; method < HTTP_OTHER; method++)
        if (dispatch_find(route, method))
            strcat(strcat(methods, http_method_name(method)), ", ");
    strcat(methods, "OPTIONS");
    struct buf *head = answer_error_begin(req, ERR_METHOD_NOT_ALLOWED);
    response_add(head, "Allow", slice_str(methods));
    answer_error_end(req, detail_say(&detail, ERR_METHOD_NOT_ALLOWED, "this path allows %s", methods), detail.text);
}

/* Streams may be public, nothing else is. */
static bool dispatch_needs_token(const struct request *req, enum route_kind route, const struct access *access)
{
    return access->scope != SCOPE_NONE && route != ROUTE_STREAM && req->router->auth.registry && !req->grant.key;
}

/* Where metrics have a place of their own, there is nothing else. */
static enum error dispatch_parse(const struct request *req, const struct http_head *head, char room[ROUTE_NAME_MAX],
                                 struct route *route, struct detail *detail)
{
    enum error error = route_parse(head->path, head->method, req->router->cfg->limits_max_path, room, route, detail);
    bool here = !req->connection->only_metrics ||
                (error == ERR_NONE && (route->kind == ROUTE_METRICS || route->kind == ROUTE_HEALTH));
    if (!here)
        error = detail_say(detail, ERR_NOT_FOUND, "at this address only /metrics and /health are answered");
    return error;
}

/* Answered whatever it is about; but there is nothing to ask for where metrics have a place of their own. */
static bool dispatch_is_preflight(const struct request *req, const struct http_head *head)
{
    return head->method == HTTP_OPTIONS && !req->connection->only_metrics;
}

/* May it do what it names beside its path? body NULL: that is not there yet, and only the head counts. */
static enum error dispatch_check_named(struct request *req, const struct http_head *head, const struct route *route,
                                       const struct slice *body, struct detail *detail)
{
    struct buf names = {0};
    if (!req->router->auth.registry && !req->router->callbacks.on)
        return ERR_NONE;
    named_in_head(head, route->kind, req->router->cfg, &names);
    if (body && !req->router->callbacks.on) /* which was asked about them */
        named_in_body(route, *body, req->router->cfg, &names);
    enum error error = auth_check_named(req, head, route->name, buf_slice(&names), detail);
    buf_clear(&names);
    return error;
}

/* What the request is about, and whether it may. *access NULL: the route has no such method. */
static enum error dispatch_check_access(struct request *req, const struct http_head *head, const struct slice *body,
                                        char room[ROUTE_NAME_MAX], struct route *route, const struct access **access,
                                        struct detail *detail)
{
    struct router *r = req->router;
    *route = (struct route){0};
    *access = NULL;
    auth_turn(&r->auth);
    enum error error = dispatch_parse(req, head, room, route, detail);
    cors_decide(req, head, error == ERR_NONE ? route->name : (struct slice){0});
    if (error != ERR_NONE || dispatch_is_preflight(req, head))
        return dispatch_is_preflight(req, head) ? ERR_NONE : error;
    account_route(req, route->kind);
    *access = dispatch_find(route->kind, head->method);
    if (!*access)
        return ERR_NONE;
    error = auth_check(req, head, route->name, (*access)->scope, detail);
    if (error == ERR_NONE && dispatch_needs_token(req, route->kind, *access))
        error = ERR_UNAUTHORIZED;
    if (error == ERR_NONE)
        error = dispatch_check_named(req, head, route, body, detail);
    return error != ERR_NONE ? error : rules_request(head, route->kind == ROUTE_CONFIG, detail);
}

/* What is asked about when the head is there. */
static void dispatch_name_head(const struct request *req, const struct http_head *head, const struct route *route,
                               struct buf *names)
{
    named_add(names, NAMED_PATH, route->name);
    named_in_head(head, route->kind, req->router->cfg, names);
}

bool dispatch_admit(struct request *req, const struct http_head *head, struct slice bytes)
{
    struct router *r = req->router;
    char room[ROUTE_NAME_MAX];
    struct route route;
    req->decision = (struct decision){.scope = SCOPE_MANAGE, .asked_ms = r->now_ms};
    auth_turn(&r->auth);
    if ((!r->auth.registry && !r->callbacks.on) || dispatch_parse(req, head, room, &route, NULL) != ERR_NONE)
        return true;
    const struct access *access = dispatch_find(route.kind, head->method);
    if (!access || access->scope == SCOPE_NONE)
        return true;
    struct hold_list *list = auth_wait(req, head, route.name);
    if (list)
        hold_request(list, req, bytes, (struct slice){0}, request_reader_again);
    if (list || !r->callbacks.on)
        return !list;
    struct buf names = {0};
    dispatch_name_head(req, head, &route, &names);
    return callback_ask(req, head, bytes, (struct slice){0}, &names, request_reader_admitted);
}

enum error dispatch_check(struct request *req, const struct http_head *head, bool *wanted, struct detail *detail)
{
    char room[ROUTE_NAME_MAX];
    struct route route;
    const struct access *access;
    enum error error = dispatch_check_access(req, head, NULL, room, &route, &access, detail);
    *wanted = access && access->scope >= SCOPE_WRITE;
    return error;
}

/* True: the request waits, or was gone on with: for what its project uses, or for those that its body names. */
static bool dispatch_waits(struct request *req, const struct http_head *head, struct slice bytes, struct slice body,
                           const struct route *route)
{
    struct buf names = {0};
    struct hold_list *list = NULL;
    if (route->kind == ROUTE_STREAM)
        list = quota_wait(req, route->name);
    if (route->kind == ROUTE_USAGE)
        list = tally_wait(req, route->name);
    if (list) {
        hold_request(list, req, bytes, body, dispatch_request);
        return true;
    }
    if (!req->router->callbacks.on)
        return false;
    if (req->router->now_ms - req->decision.asked_ms > req->router->cfg->auth_callback_recheck)
        dispatch_name_head(req, head, route, &names); /* the body took long: that may have changed */
    named_in_body(route, body, req->router->cfg, &names);
    if (!buf_len(&names))
        return false;
    if (callback_ask(req, head, bytes, body, &names, dispatch_decided))
        dispatch_decided(req, head, bytes, body);
    return true;
}

static void dispatch_answer(struct request *req, const struct http_head *head, struct slice bytes, struct slice body,
                            bool decided)
{
    char room[ROUTE_NAME_MAX];
    struct route route;
    const struct access *access;
    struct detail detail = {0};
    enum error error = dispatch_check_access(req, head, &body, room, &route, &access, &detail);
    if (!decided && error == ERR_NONE && access && access->scope != SCOPE_NONE &&
        dispatch_waits(req, head, bytes, body, &route))
        return;
    req->exchange.slash = route.name.len && route.name.data[route.name.len - 1] == '/';
    timing_mark(req, TIMING_ALLOWED);
    if (dispatch_is_preflight(req, head))
        cors_preflight(req, head);
    else if (error != ERR_NONE)
        answer_error_text(req, error, detail.text);
    else if (!access)
        dispatch_answer_not_allowed(req, route.kind);
    else
        access->verb(req, head, route.name, body);
}

void dispatch_decided(struct request *req, const struct http_head *head, struct slice bytes, struct slice body)
{
    dispatch_answer(req, head, bytes, body, true);
}

void dispatch_request(struct request *req, const struct http_head *head, struct slice bytes, struct slice body)
{
    timing_mark(req, TIMING_WHOLE);
    dispatch_answer(req, head, bytes, body, false);
}
