/* From a whole request to the verb that handles it. */
#ifndef ROUTER_DISPATCH_H
#define ROUTER_DISPATCH_H

#include "router/client.h"
#include "router/http.h"

/* Answers the request, or leaves the client WAITING or LIVE. head and body are borrowed for the call. */
void dispatch(struct client *client, const struct http_head *head, struct slice body);

#endif
