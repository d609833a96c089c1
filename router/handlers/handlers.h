/* The verbs on a stream. Each checks its headers, puts a frame to the stream's shard, and renders the answer that comes
 * back: verb_*.c. Everything given is borrowed for the call. */
#ifndef ROUTER_HANDLERS_HANDLERS_H
#define ROUTER_HANDLERS_HANDLERS_H

#include "router/conn/client.h"
#include "router/http/http.h"

struct config;

typedef void verb(struct client *client, const struct http_head *head, struct slice name, struct slice body);

verb verb_root;
verb verb_health;
verb verb_metrics;
verb verb_config_get; /* of a project: name is its own */
verb verb_config_put;
verb verb_usage;
verb verb_list;
verb verb_show; /* a stream of these */

verb verb_subscribe; /* of an estuary to the stream that is named */
verb verb_subscribe_many;
verb verb_unsubscribe;
/* Adds what the body of any of these names (router/handlers/named.h); nothing if it is malformed. name: of its path. */
void verb_subscribe_names(struct slice name, struct slice body, const struct config *cfg, struct buf *names);
verb verb_estuary;
verb verb_estuary_touch;
verb verb_estuary_delete;

verb verb_create; /* PUT */
verb verb_append; /* POST */
verb verb_read;   /* GET */
verb verb_head;
verb verb_delete;

#endif
