/* Where a request's token is: its Authorization header, else ?token=, else a cookie. */
#ifndef ROUTER_AUTH_BEARER_H
#define ROUTER_AUTH_BEARER_H

#include "common/attr.h"
#include "common/buf.h"
#include "router/http/http.h"

enum bearer { BEARER_ABSENT, BEARER_SCHEME, BEARER_HEADER, BEARER_QUERY, BEARER_COOKIE };

/* cookie: the name of the one that may hold it, or "". *token is a piece of the head or of the room, which the caller
 * clears. It may be empty, or anything. An Authorization header of another scheme is not for us: a front may have its
 * own. SCHEME: there is nothing but such a header. */
enum bearer bearer_token(const struct http_head *head, struct slice cookie, struct buf *room,
                         struct slice *token) MUSTUSE;

#endif
