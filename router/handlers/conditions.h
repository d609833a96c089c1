/* The conditions that requests come with: which a request may have, and what they say. A condition that is ignored does
 * what the client wanted to prevent, so one that is not understood is refused. Pure. */
#ifndef ROUTER_HANDLERS_CONDITIONS_H
#define ROUTER_HANDLERS_CONDITIONS_H

#include "common/detail.h"
#include "common/wire.h"
#include "router/http/http.h"
#include "router/http/route.h"

/* ERR_NONE: each condition of the request is one that this route looks at for this method. */
enum error conditions_understood(const struct http_head *head, enum route_kind kind, struct detail *detail) MUSTUSE;

/* Fills in what the conditions of a stream's request say: Stream-Incarnation; If-Match of POST, PUT and DELETE;
 * If-None-Match of PUT; Stream-Expected-Offset. Whether they hold is for the shard to say. */
enum error conditions_take(const struct http_head *head, struct wire_condition *condition,
                           struct detail *detail) MUSTUSE;

/* The value of Stream-Expected-Offset alone. */
enum error conditions_expect(struct slice value, struct wire_condition *condition, struct detail *detail) MUSTUSE;

#endif
