/* Requests that wait for something other than a shard's answer: the callback's decision, keys to verify their token, or
 * how much their project uses. A suspended request remembers how to go on, and has been parsed and routed already. */
#ifndef ROUTER_CONN_SUSPEND_H
#define ROUTER_CONN_SUSPEND_H

struct request;
struct suspended;

/* Those that wait for one thing, in their order; zeroed at the start. */
struct suspended_list {
    struct suspended *first, *last;
};

/* How a request goes on. */
typedef void suspend_resume(struct request *request);

/* The request waits at the end of the list, with its head and what there is of its body. If that takes too long, or if
 * bodies fill the memory that is for them, it is answered 503: look at request->incoming no more. */
void suspend_request(struct suspended_list *list, struct request *request, suspend_resume *resume);

/* The first. */
struct request *suspended_first(const struct suspended_list *list);

/* What the first waits for has come nearer, and may take as long again. */
void suspended_longer(const struct suspended_list *list);

/* All of them go on. */
void suspended_resume(struct suspended_list *list);

#endif
