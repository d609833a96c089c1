/* Where a request's token is: its Authorization header, else ?token=, else a cookie. */
#ifndef ROUTER_BEARER_H
#define ROUTER_BEARER_H

#include "common/attr.h"
#include "common/token.h"
#include "router/http.h"

enum bearer {
    BEARER_ABSENT,
    BEARER_FOUND, /* in the room, with a NUL behind it */
    BEARER_BAD    /* what is in its place can be none */
};

/* cookie: the name of the one that may hold it, or "". */
enum bearer bearer_token(const struct http_head *head, struct slice cookie, char room[TOKEN_MAX + 1]) MUSTUSE;

#endif
