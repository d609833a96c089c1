/* Requests that wait for something other than a shard's answer: the callback's decision, keys to verify their token, or
 * how much their project uses. A request waits with its head alone until it is known to be allowed. */
#ifndef ROUTER_CONN_HOLD_H
#define ROUTER_CONN_HOLD_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"

struct request;
struct hold;
struct http_head;

/* Those that wait for one thing, in their order; zeroed at the start. */
struct hold_list {
    struct hold *first, *last;
};

/* What a request goes on with. */
typedef void hold_go(struct request *request, const struct http_head *head, struct slice bytes, struct slice body);

/* The client's request, whose head is `bytes`, waits at the end of the list and goes on with `go`. If that takes too
 * long, or if bodies hold too much memory already, it is answered 503. */
void hold_request(struct hold_list *list, struct request *request, struct slice bytes, struct slice body, hold_go *go);

/* The client of the first. */
struct request *hold_client(const struct hold_list *list);

/* What the first waits for has come nearer, and may take as long again. */
void hold_longer(const struct hold_list *list);

/* All of them go on. */
void hold_resume(struct hold_list *list);

#endif
