/* Requests that wait, whole, for something that is no shard's answer: somebody else's word on whether they may, keys to
 * verify their token with, or how much their project uses. */
#ifndef ROUTER_HOLD_H
#define ROUTER_HOLD_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"

struct client;
struct hold;
struct http_head;

/* Those that wait for one thing, in their order; zeroed at the start. */
struct hold_list {
    struct hold *first, *last;
};

/* What a request goes on with. */
typedef void hold_go(struct client *client, const struct http_head *head, struct slice bytes, struct slice body);

/* Its request, whose head is `bytes`, waits at the end of the list; if nothing comes of that for too long, or if bodies
 * hold too much memory already, it is answered 503. */
void hold_request(struct hold_list *list, struct client *client, struct slice bytes, struct slice body);

/* The client of the first. */
struct client *hold_client(const struct hold_list *list);

/* All of them go on. */
void hold_resume(struct hold_list *list, hold_go *go);

/* The client is gone. */
void hold_drop(struct client *client);

/* It has waited for too long. */
void hold_expired(struct client *client);

#endif
