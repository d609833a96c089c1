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
#define ROUTE(ID, name, paths, methods) ROUTE_##ID,
#include "common/routes.def"
#undef ROUTE
    ROUTE_COUNT
};

struct route {
    enum route_kind kind;
    struct slice name; /* "{project}/{stream}", or "{project}" of BATCH, CONFIG, USAGE, STREAMS, SUBSCRIPTIONS; decoded,
                          in the caller's room; "" of STREAMS of all projects */
};

/* "stream" */
const char *route_name(enum route_kind kind);

/* The route's paths as routes.def has them: "/v1/config/{project}". NULL: it has no such number of paths. */
const char *route_path(enum route_kind kind, size_t number);

/* Takes a percent-encoded path apart as common/routes.def lists them. {project}/{stream} needs a '/', and what follows
 * further slashes belongs to the stream; {project} alone has none. A path may be one of several routes: the method
 * decides, and then the route with more literal text in its pattern. So POST /v1/estuary/p/e/touch touches an estuary,
 * while GET asks for one that is called e/touch, and GET /v1/estuary/subscribe/e asks for estuary e of a project called
 * "subscribe". Returns ERR_NONE, or what to refuse the path with, of which *detail says more (NULL: nobody wants to
 * know). */
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
