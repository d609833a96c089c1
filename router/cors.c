#include "router/cors.h"

#include <stdlib.h>

#include "common/mem.h"
#include "router/answer.h"
#include "router/router.h"

#define EXPOSED                                                                                                        \
    "Stream-Next-Offset, Stream-Cursor, Stream-Up-To-Date, Stream-Closed, Stream-TTL, Stream-Expires-At, "             \
    "Stream-Retention-Seconds, Stream-Retention-Bytes, Stream-Earliest-Offset, "                                       \
    "Stream-Write-Timestamp, Stream-SSE-Data-Encoding, Stream-Reader-Key, ETag, Location, Accept-Encoding, Date, "     \
    "Retry-After, "                                                                                                    \
    "WWW-Authenticate, RateLimit, RateLimit-Policy, Producer-Epoch, Producer-Seq, Producer-Expected-Seq, "             \
    "Producer-Received-Seq, Stream-Fanout-Count, Stream-Fanout-Mode, Stream-Fanout-Successes, "                        \
    "Stream-Fanout-Failures, "                                                                                         \
    "X-Request-Id, Server-Timing"

static bool word_in(const char *words, struct slice word)
{
    while (*words) {
        size_t len = strcspn(words, " ");
        if (slice_equal(slice_of(words, len), word))
            return true;
        words += len + strspn(words + len, " ");
    }
    return false;
}

static bool listed(const struct router *r, const struct texts *own, struct slice origin)
{
    return own && own->count ? texts_have(own, origin) : word_in(r->cfg->cors_origins, origin);
}

static void set(struct client *c, enum client_cors cors)
{
    c->cors = cors;
    free(c->exchange.origin);
    c->exchange.origin = NULL;
}

void cors_unknown(struct client *c)
{
    set(c, listed(c->router, NULL, SLICE("*")) ? CORS_ANY : CORS_VARY);
}

static bool changes(enum http_method method)
{
    return method == HTTP_POST || method == HTTP_PUT || method == HTTP_DELETE;
}

void cors_decide(struct client *c, const struct http_head *head, struct slice resource)
{
    const struct project *project = auth_project(&c->router->auth, project_of(resource));
    const struct texts *own = project ? &project->origins : NULL;
    struct slice origin = head->headers[HTTP_ORIGIN_HEADER];
    if (!origin.data && changes(head->method)) {
        set(c, CORS_NONE); /* nobody asks, and nothing keeps the answer for others */
    } else if (listed(c->router, own, SLICE("*"))) {
        set(c, CORS_ANY);
    } else if (origin.data && listed(c->router, own, origin)) {
        set(c, CORS_ORIGIN);
        c->exchange.origin = xslicedup(origin);
    } else {
        set(c, CORS_VARY);
    }
}

void cors_add(const struct client *c, struct buf *head)
{
    if (c->cors == CORS_NONE)
        return;
    if (c->cors == CORS_ANY)
        response_add(head, "Access-Control-Allow-Origin", SLICE("*"));
    else
        response_add(head, "Vary", SLICE("Origin"));
    if (c->cors == CORS_ORIGIN)
        response_add(head, "Access-Control-Allow-Origin", slice_str(c->exchange.origin));
    if (c->cors != CORS_VARY)
        response_add(head, "Access-Control-Expose-Headers", SLICE(EXPOSED));
}

void cors_preflight(struct client *c)
{
    struct buf *head = answer_begin(c, 204);
    response_add(head, "Access-Control-Allow-Methods", SLICE("GET, POST, PUT, DELETE, HEAD, OPTIONS"));
    response_add(
        head, "Access-Control-Allow-Headers",
        SLICE("Content-Type, Stream-Seq, Stream-TTL, Stream-Expires-At, Stream-Closed, Stream-Forked-From, "
              "Stream-Retention-Seconds, Stream-Retention-Bytes, "
              "Stream-Fork-Offset, Stream-Fork-Sub-Offset, If-Match, If-None-Match, Producer-Id, Producer-Epoch, "
              "Producer-Seq, Last-Event-ID, Authorization, X-Request-Id"));
    response_add(head, "Access-Control-Max-Age", SLICE("86400"));
    answer_end_bare(c);
}
