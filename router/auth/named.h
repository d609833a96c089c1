/* What a request names beside its path: the source of a fork, an estuary, a list of streams. Each is authorised as if a
 * request of its own were for it, in every mode. */
#ifndef ROUTER_AUTH_NAMED_H
#define ROUTER_AUTH_NAMED_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/token.h"
#include "router/http/http.h"
#include "router/http/route.h"

struct config;

enum named {
    NAMED_PATH,    /* the request's own path */
    NAMED_SOURCE,  /* Stream-Forked-From */
    NAMED_ESTUARY, /* "estuaryId" of a subscription */
    NAMED_STREAM,  /* one of its "streams" */
    NAMED_APPEND   /* a stream of a batch */
};

/* The request that such a name stands for: a GET of a fork's source, a POST to an estuary or to a stream of a batch, a
 * subscription of one stream. NAMED_PATH has none of these. */
enum http_method named_method(enum named kind);
const char *named_prefix(enum named kind); /* of its path: "/v1/stream/" */
enum scope named_scope(enum named kind);

/* The error's text where what the request names is refused, and not its path. */
const char *named_refusal(enum named kind);

/* A list of names: each its kind, "{project}/{stream}" or "{project}", and a NUL. */
void named_add(struct buf *names, enum named kind, struct slice name);

/* Takes the first off the list; false: there is none. */
bool named_next(struct slice *names, enum named *kind, struct slice *name) MUSTUSE;

/* Adds what the head names. A malformed request names nothing: its handler refuses it. What a body names, its handler
 * knows (handle_names_in_body()). */
void named_in_head(const struct http_head *head, enum route_kind route, const struct config *cfg, struct buf *names);

#endif
