/* One handler for each method of each route. Each checks its headers, sends a frame to the stream's shard, and writes
 * the answer when the shard has answered. All arguments are borrowed for the call. */
#ifndef ROUTER_HANDLERS_HANDLERS_H
#define ROUTER_HANDLERS_HANDLERS_H

#include "router/conn/connection.h"
#include "router/http/http.h"

struct config;
struct route;

typedef void request_handler(struct request *request, const struct http_head *head, struct slice name,
                             struct slice body);

/* One for each method of a route: handle_read, handle_append, … */
#define ON(method, scope, handler, operation, ids) request_handler handle_##handler;
#define ROUTE(ID, name, paths, methods) methods
#include "common/routes.def"
#undef ROUTE
#undef ON

/* Adds what the body of a request names beside its path (router/auth/named.h); nothing if it is malformed. */
void handle_names_in_body(const struct route *route, struct slice body, const struct config *cfg, struct buf *names);

#endif
