#include "router/dispatch.h"

#include "router/answer.h"
#include "router/route.h"
#include "router/router.h"
#include "router/verbs.h"

#define STREAM_METHODS "GET, HEAD, POST, PUT, DELETE, OPTIONS"
#define HEALTH_METHODS "GET, HEAD, OPTIONS"

static verb *const verbs[] = {
    [HTTP_GET] = verb_read,      [HTTP_HEAD] = verb_head, [HTTP_POST] = verb_append, [HTTP_PUT] = verb_create,
    [HTTP_DELETE] = verb_delete, [HTTP_OPTIONS] = NULL,   [HTTP_OTHER] = NULL,
};

static void answer_preflight(struct client *c)
{
    struct buf *head = answer_begin(c, 204);
    response_add(head, "Access-Control-Allow-Methods", SLICE("GET, POST, PUT, DELETE, HEAD, OPTIONS"));
    response_add(head, "Access-Control-Allow-Headers",
                 SLICE("Content-Type, Stream-Seq, Stream-TTL, Stream-Expires-At, Stream-Closed, Stream-Forked-From, "
                       "Stream-Fork-Offset, Stream-Fork-Sub-Offset, If-None-Match, Producer-Id, Producer-Epoch, "
                       "Producer-Seq, Last-Event-ID, Authorization"));
    response_add(head, "Access-Control-Max-Age", SLICE("86400"));
    answer_end_bare(c);
}

static void answer_health(struct client *c)
{
    const struct slice body = SLICE("ok");
    struct buf *head = answer_begin(c, 200);
    response_add(head, "Content-Type", SLICE("text/plain"));
    response_add(head, "Cache-Control", SLICE("no-store"));
    answer_end(c, &body, 1);
}

static void answer_not_allowed(struct client *c, struct slice methods)
{
    struct buf *head = answer_error_begin(c, ERR_METHOD_NOT_ALLOWED);
    response_add(head, "Allow", methods);
    answer_error_end(c, ERR_METHOD_NOT_ALLOWED, error_text(ERR_METHOD_NOT_ALLOWED));
}

void dispatch(struct client *c, const struct http_head *head, struct slice body)
{
    char room[ROUTE_NAME_MAX];
    struct route route;
    if (head->method == HTTP_OPTIONS) {
        answer_preflight(c);
        return;
    }
    enum error error = route_parse(head->path, c->router->cfg->limits_max_path, room, &route);
    if (error != ERR_NONE)
        answer_error(c, error);
    else if (route.kind == ROUTE_HEALTH && (head->method == HTTP_GET || head->method == HTTP_HEAD))
        answer_health(c);
    else if (route.kind == ROUTE_HEALTH)
        answer_not_allowed(c, SLICE(HEALTH_METHODS));
    else if (!verbs[head->method])
        answer_not_allowed(c, SLICE(STREAM_METHODS));
    else
        verbs[head->method](c, head, route.name, body);
}
