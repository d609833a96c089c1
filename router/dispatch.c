/* The way of a request:
 *
 *     dispatch_head     understand (route, CORS, access) -> admit (keys, callback: may suspend) -> decide (grant)
 *     ... the body      request_reader.c
 *     dispatch_whole    names in the body, quotas (may suspend) -> answer: the handler
 *     dispatch_pieces   in place of these two for an incremental append, whose handler takes the body as it arrives
 *
 * Route, access and grant are decided once, and again only if keys have changed or the token has expired while the body
 * came. A refusal waits in incoming->error: a request whose body is there already is answered without ending the
 * connection; any other is refused before its body is read. */
#include "router/dispatch.h"

#include "router/auth/cors.h"
#include "router/auth/named.h"
#include "router/auth/quota.h"
#include "router/conn/answer.h"
#include "router/conn/incoming.h"
#include "router/conn/request_reader.h"
#include "router/handlers/append_incremental.h"
#include "router/handlers/handlers.h"
#include "router/handlers/rules.h"
#include "router/observe/timing.h"
#include "router/router.h"

/* The scope that a method of a route needs, and its handler. handler NULL: the route has no such method. */
struct access {
    enum scope scope;
    request_handler *handler;
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
    return access->handler ? access : NULL;
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

/* ---- the route ---- */

/* A listener for metrics (metrics.listen) answers /metrics and /health only. */
static enum error dispatch_route(const struct request *req, struct incoming *in)
{
    enum error error = route_parse(in->head.path, in->head.method, req->router->cfg->limits_max_path, in->room,
                                   &in->route, &in->detail);
    bool here = !req->connection->only_metrics ||
                (error == ERR_NONE && (in->route.kind == ROUTE_METRICS || in->route.kind == ROUTE_HEALTH));
    if (!here)
        error = detail_say(&in->detail, ERR_NOT_FOUND, "at this address only /metrics and /health are answered");
    return error;
}

/* Whether a scope is needed: /health, / and the like answer everybody. */
static bool dispatch_asks_right(const struct incoming *in)
{
    return in->error == ERR_NONE && in->access && in->access->scope != SCOPE_NONE;
}

static void dispatch_understand(struct request *req, struct incoming *in)
{
    in->error = dispatch_route(req, in);
    cors_decide(req, &in->head, in->error == ERR_NONE ? in->route.name : (struct slice){0});
    /* A preflight is answered whatever its path is, except at metrics.listen, which serves no browsers. */
    in->is_preflight = in->head.method == HTTP_OPTIONS && !req->connection->only_metrics;
    if (in->is_preflight)
        in->error = ERR_NONE;
    if (in->error != ERR_NONE || in->is_preflight)
        return;
    request_stats_route(req, in->route.kind);
    in->access = dispatch_find(in->route.kind, in->head.method);
    in->wants_body = in->access && in->access->scope >= SCOPE_WRITE;
}

/* ---- access ---- */

/* Checks the names beside the path. body NULL: the body is not there yet, and only the head is checked. */
static enum error dispatch_check_named(struct request *req, struct incoming *in, const struct slice *body)
{
    const struct router *r = req->router;
    struct buf names = {0};
    if (!r->auth.projects.registry && !r->callbacks.on)
        return ERR_NONE;
    if (!body)
        named_in_head(&in->head, in->route.kind, r->cfg, &names);
    else if (!r->callbacks.on) /* a callback was asked about them already */
        handle_names_in_body(&in->route, *body, r->cfg, &names);
    enum error error = auth_check_named(req, &in->head, in->route.name, buf_slice(&names), &in->detail);
    buf_clear(&names);
    return error;
}

/* Without a good token only streams can be read: nothing else can be public. */
static bool dispatch_needs_token(const struct request *req, const struct incoming *in)
{
    return in->route.kind != ROUTE_STREAM && req->router->auth.projects.registry && !req->grant.key;
}

/* Decides. Keys and callback have answered, where they are needed: the grant, or the error that refuses. */
static void dispatch_decide(struct request *req, struct incoming *in)
{
    in->decided = req->router->auth.generation;
    if (in->error != ERR_NONE || !in->access)
        return;
    in->error = auth_check(req, &in->head, in->route.name, in->access->scope, &in->detail);
    if (in->error == ERR_NONE && in->access->scope != SCOPE_NONE && dispatch_needs_token(req, in))
        in->error = ERR_UNAUTHORIZED;
    if (in->error == ERR_NONE)
        in->error = dispatch_check_named(req, in, NULL);
    if (in->error == ERR_NONE)
        in->error = rules_request(&in->head, in->route.kind, &in->detail);
    if (in->error == ERR_NONE && in->route.kind == ROUTE_STREAM && in->head.method == HTTP_POST)
        in->error = rules_incremental(&in->head, req->router->cfg->append_chunked == APPEND_CHUNKED_INCREMENTAL,
                                      &in->in_pieces, &in->detail);
}

/* The names that a callback is asked about when the head is there: the path and the source of a fork. */
static void dispatch_name_head(const struct request *req, const struct incoming *in, struct buf *names)
{
    named_add(names, NAMED_PATH, in->route.name);
    named_in_head(&in->head, in->route.kind, req->router->cfg, names);
}

/* The callback has answered. */
static void dispatch_head_answered(struct request *req)
{
    dispatch_decide(req, req->incoming);
    request_reader_decided(req);
}

static void dispatch_keys_came(struct request *req);

/* True: access is decided. False: the request is suspended until keys or the callback have come. */
static bool dispatch_admit(struct request *req)
{
    struct incoming *in = req->incoming;
    struct buf names = {0};
    if (dispatch_asks_right(in)) {
        struct suspended_list *list = auth_wait(req, &in->head, in->route.name);
        if (list) {
            suspend_request(list, req, dispatch_keys_came);
            return false;
        }
        if (req->router->callbacks.on) {
            dispatch_name_head(req, in, &names);
            if (!callback_ask(req, &names, dispatch_head_answered))
                return false;
        }
    }
    dispatch_decide(req, in);
    return true;
}

static void dispatch_keys_came(struct request *req)
{
    auth_turn(&req->router->auth);
    if (dispatch_admit(req))
        request_reader_decided(req);
}

static bool dispatch_head(struct request *req)
{
    struct router *r = req->router;
    req->grant = (struct grant){0};
    req->decision = (struct decision){.scope = SCOPE_MANAGE, .asked_ms = r->now_ms};
    auth_turn(&r->auth);
    dispatch_understand(req, req->incoming);
    return dispatch_admit(req);
}

/* ---- the body is there ---- */

static void dispatch_answer(struct request *req)
{
    struct incoming *in = incoming_take(req);
    req->slash = in->route.name.len && in->route.name.data[in->route.name.len - 1] == '/';
    timing_mark(req, TIMING_ALLOWED);
    if (in->is_preflight)
        cors_preflight(req, &in->head);
    else if (in->error != ERR_NONE)
        answer_error_text(req, in->error, in->detail.text);
    else if (!in->access)
        dispatch_answer_not_allowed(req, in->route.kind);
    else
        in->access->handler(req, &in->head, in->route.name, in->body);
    incoming_free(req, in);
}

/* The callback has answered again: its new answer replaces the first. */
static void dispatch_body_answered(struct request *req)
{
    dispatch_decide(req, req->incoming);
    dispatch_answer(req);
}

/* True: the request is suspended, until the usage of its project is known or the callback has answered for the names in
 * its body. */
static bool dispatch_waits(struct request *req, void (*again)(struct request *req))
{
    struct incoming *in = req->incoming;
    struct buf names = {0};
    struct suspended_list *list = NULL;
    if (in->route.kind == ROUTE_STREAM || in->route.kind == ROUTE_BATCH)
        list = quota_wait(req, in->route.name);
    if (in->route.kind == ROUTE_USAGE)
        list = project_usage_wait(&req->router->usages, in->route.name);
    if (list) {
        suspend_request(list, req, again);
        return true;
    }
    if (!req->router->callbacks.on)
        return false;
    if (req->router->now_ms - req->decision.asked_ms > req->router->cfg->auth_callback_recheck)
        dispatch_name_head(req, in, &names); /* the body took long: the first answer may be out of date */
    handle_names_in_body(&in->route, in->body, req->router->cfg, &names);
    if (!buf_len(&names))
        return false;
    if (callback_ask(req, &names, dispatch_body_answered))
        dispatch_body_answered(req);
    return true;
}

/* Decides again if what was decided may not hold any more. */
static void dispatch_renew(struct request *req, struct incoming *in)
{
    if (!dispatch_asks_right(in))
        return;
    auth_turn(&req->router->auth);
    if (!auth_holds(req, in->decided)) {
        cors_decide(req, &in->head, in->route.name);
        dispatch_decide(req, in);
    }
}

static void dispatch_whole(struct request *req)
{
    struct incoming *in = req->incoming;
    timing_mark(req, TIMING_WHOLE);
    dispatch_renew(req, in);
    if (dispatch_asks_right(in))
        in->error = dispatch_check_named(req, in, &in->body);
    if (!dispatch_asks_right(in) || !dispatch_waits(req, dispatch_whole))
        dispatch_answer(req);
}

/* ---- the body goes to its handler in pieces ---- */

static void dispatch_pieces(struct request *req);

static void dispatch_pieces_again(struct request *req)
{
    dispatch_pieces(req);
    request_reader_begun(req);
}

/* Incremental appends only. */
static void dispatch_pieces(struct request *req)
{
    struct incoming *in = req->incoming;
    struct suspended_list *list = quota_wait(req, in->route.name);
    if (list) {
        suspend_request(list, req, dispatch_pieces_again);
        return;
    }
    dispatch_renew(req, in);
    if (in->error != ERR_NONE)
        answer_refuse(req, in->error, in->detail.text);
    else
        append_incremental_begin(req);
}

const struct dispatcher dispatch = {.head = dispatch_head, .whole = dispatch_whole, .pieces = dispatch_pieces};
