/* A project's own origins replace cors.origins. Three questions are answered from the list:
 *
 *     cors_decide()   may a script of this origin read the answer? Asked for each request, whatever becomes of it
 *     cors_trusts()   does a cookie count that a browser has sent by itself? A page may make a request whose answer it
 *                     cannot read, so "*" is no trust here, and a request that changes something needs a listed origin
 *     cors_holds()    is the origin of a live read's or incremental append's page listed still? */
#include "router/auth/cors.h"

#include <stdlib.h>

#include "common/mem.h"
#include "common/origin.h"
#include "common/tchar.h"
#include "common/words.h"
#include "router/conn/answer.h"
#include "router/conn/cors_headers.h"
#include "router/router.h"

static bool cors_listed(const struct router *r, const struct texts *own, struct slice origin)
{
    return own && own->count ? texts_have(own, origin) : words_have(r->cfg->cors_origins, origin);
}

static bool cors_changes(enum http_method method)
{
    return method == HTTP_POST || method == HTTP_PUT || method == HTTP_DELETE;
}

static const struct texts *cors_origins_of(const struct request *req, struct slice resource)
{
    const struct project *project = projects_find(&req->router->auth.projects, project_of(resource));
    return project ? &project->origins : NULL;
}

void cors_decide(struct request *req, const struct http_head *head, struct slice resource)
{
    const struct texts *own = cors_origins_of(req, resource);
    struct slice origin = head->headers[HTTP_ORIGIN_HEADER];
    if (!origin.data && cors_changes(head->method)) {
        cors_headers_set(req, CORS_NONE); /* no script asks, and no cache keeps the answer for others */
    } else if (cors_listed(req->router, own, SLICE("*"))) {
        cors_headers_set(req, CORS_ANY);
    } else if (origin.data && cors_listed(req->router, own, origin)) {
        cors_headers_set(req, CORS_ORIGIN);
        req->origin = xslicedup(origin);
    } else {
        cors_headers_set(req, CORS_VARY);
    }
}

#define ALLOWED                                                                                                        \
    "Content-Type, Stream-Seq, Stream-Append, Stream-TTL, Stream-Expires-At, Stream-Closed, Stream-Forked-From, "      \
    "Stream-Retention-Seconds, Stream-Retention-Bytes, Stream-Fork-Offset, Stream-Fork-Sub-Offset, If-Match, "         \
    "If-None-Match, Stream-Expected-Offset, Stream-Incarnation, Producer-Id, Producer-Epoch, Producer-Seq, "           \
    "Last-Event-ID, Authorization, X-Request-Id"

/* Names of headers and what parts them, and nothing that could end the line. */
static bool cors_is_names(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!tchar_is(text.data[i]) && !memchr(", \t", text.data[i], 3))
            return false;
    return text.len > 0;
}

/* An allowed origin may send any header: tracers and proxies have their own. */
void cors_preflight(struct request *req, const struct http_head *head)
{
    struct slice asked = head->headers[HTTP_REQUEST_HEADERS_HEADER];
    struct buf *answer = answer_begin(req, 204), allowed = {0};
    buf_add_text(&allowed, ALLOWED);
    if (cors_is_names(asked)) {
        buf_add_text(&allowed, ", ");
        buf_add_slice(&allowed, asked);
    }
    response_add(answer, "Access-Control-Allow-Methods", SLICE("GET, POST, PUT, DELETE, HEAD, OPTIONS"));
    response_add(answer, "Access-Control-Allow-Headers", buf_slice(&allowed));
    response_add(answer, "Vary", SLICE("Access-Control-Request-Headers"));
    response_add(answer, "Access-Control-Max-Age", SLICE("86400"));
    answer_end_bare(req);
    buf_clear(&allowed);
}

bool cors_holds(const struct request *req, struct slice resource)
{
    return req->cors != CORS_ORIGIN || cors_listed(req->router, cors_origins_of(req, resource), slice_str(req->origin));
}

bool cors_trusts(const struct request *req, const struct http_head *head, struct slice resource)
{
    struct slice origin = head->headers[HTTP_ORIGIN_HEADER], site = head->headers[HTTP_FETCH_SITE_HEADER];
    if (origin.data ? origin_valid(origin) && cors_listed(req->router, cors_origins_of(req, resource), origin)
                    : !cors_changes(head->method))
        return true;
    if (site.data)
        return slice_equal(site, SLICE("same-origin")) || slice_equal(site, SLICE("none"));
    return !origin.data || origin_is_host(origin, head->headers[HTTP_HOST_HEADER]);
}
