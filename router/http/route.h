/* Paths: which resource a request is about, and the name of a stream. */
#ifndef ROUTER_HTTP_ROUTE_H
#define ROUTER_HTTP_ROUTE_H

#include "common/attr.h"
#include "common/detail.h"
#include "common/slice.h"
#include "router/http/http.h"

#define ROUTE_PATH_MAX 8192 /* the largest limits.max_path */
#define ROUTE_NAME_MAX (ROUTE_PATH_MAX + 16)

enum route_kind {
    ROUTE_ROOT,
    ROUTE_HEALTH,
    ROUTE_METRICS,
    ROUTE_STREAM,
    ROUTE_CONFIG,
    ROUTE_USAGE,
    ROUTE_STREAMS,
    ROUTE_SHOW,
    ROUTE_SUBSCRIPTION,
    ROUTE_SUBSCRIPTIONS,
    ROUTE_ESTUARY,
    ROUTE_ESTUARY_TOUCH
};

struct route {
    enum route_kind kind;
    struct slice name; /* "{project}/{stream}", or "{project}" of CONFIG, USAGE, STREAMS, SUBSCRIPTIONS; decoded, in the
                          caller's room; "" of STREAMS of all projects */
};

/* "stream" */
const char *route_name(enum route_kind kind);

/* Takes a percent-encoded path apart: /, /health, /metrics, /v1/config/{project}, /v1/usage/{project},
 * /v1/streams and /v1/streams/{project} (STREAMS), /v1/streams/{project}/{stream} (SHOW),
 * /v1/estuary/subscribe/{project}, the same with /{stream}, /v1/estuary/{project}/{estuary}, the same with /touch,
 * /v1/stream/{project}/{stream} and /v1/stream/{stream}, whose project is _default. Slashes after the project belong to
 * the stream. The method tells /touch, which is posted, from an estuary that is called so, and subscriptions from
 * estuaries of a project called "subscribe". Returns ERR_NONE, or what to refuse the path with, of which *detail says
 * more (NULL: nobody wants to know). */
enum error route_parse(struct slice path, enum http_method method, size_t max_path, char room[ROUTE_NAME_MAX],
                       struct route *route, struct detail *detail) MUSTUSE;

/* False: no client can ask for a stream of this name, because a segment of it is "." or "..", which URLs do not keep
 * (RFC 3986 5.2.4), encoded or not. None is made. */
bool route_reachable(struct slice name) MUSTUSE;

/* Stream-Forked-From: the path of a stream on this server, percent-encoded or not, without a query; or its URL, as
 * Location gives it, if that is of the authority that the request itself is sent to. ERR_NONE or
 * ERR_INVALID_FORK_SOURCE. */
enum error route_parse_fork(const struct http_head *head, size_t max_path, char room[ROUTE_NAME_MAX],
                            struct slice *name) MUSTUSE;

#endif
