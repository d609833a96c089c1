/* The verbs on a stream. Each checks its headers, puts a frame to the stream's shard, and renders the answer that comes
 * back: the files of this folder.c. Everything given is borrowed for the call. */
#ifndef ROUTER_HANDLERS_HANDLERS_H
#define ROUTER_HANDLERS_HANDLERS_H

#include "router/conn/connection.h"
#include "router/http/http.h"

struct config;

typedef void verb(struct request *request, const struct http_head *head, struct slice name, struct slice body);

verb handle_root;
verb handle_health;
verb handle_metrics;
verb handle_config_get; /* of a project: name is its own */
verb handle_config_put;
verb handle_usage;
verb handle_list;
verb handle_show; /* a stream of these */

verb handle_subscribe; /* of an estuary to the stream that is named */
verb handle_subscribe_many;
verb handle_unsubscribe;
/* Adds what the body of any of these names (router/handlers/named.h); nothing if it is malformed. name: of its path. */
void handle_subscribe_names(struct slice name, struct slice body, const struct config *cfg, struct buf *names);
verb handle_estuary;
verb handle_estuary_touch;
verb handle_estuary_delete;

verb handle_create; /* PUT */
verb handle_append; /* POST */
verb handle_read;   /* GET */
verb handle_head;
verb handle_delete;

#endif
