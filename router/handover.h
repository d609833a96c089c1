/* An upgrade, as the routers see it: the one that leaves hands its clients over to the one that takes its place, each
 * as soon as nothing is owed to it: idle ones at once, live readers at the tail with their position, all others when
 * their answer is out. Nobody is disconnected, and no byte is sent twice.
 *
 * If the successor dies, or some client cannot be handed over in router.handover_timeout, those that are left are let
 * go one after the other, live readers with a last control event: they reconnect, but not all at once. */
#ifndef ROUTER_HANDOVER_H
#define ROUTER_HANDOVER_H

#include "common/link.h"

struct router;

struct handover {
    struct link successor, predecessor; /* down: there is none */
    bool leaving;                       /* clients go to the successor, */
    bool draining;                      /* or are let go */
    uint64_t until_ms;                  /* when that is over; monotonic */
    size_t count;                       /* clients that were handed over */
};

void handover_init(struct router *router);

/* From now on clients go to the process behind this socket; or come from it. The fd is taken over. */
void handover_begin(struct router *router, int fd);
void handover_accept(struct router *router, int fd);

/* Clients are on their way, from here or to here. */
bool handover_under_way(const struct router *router) MUSTUSE;

/* The steps of a turn: clients come; and, after everything that could be written was, they go. */
void handover_receive(struct router *router);
void handover_send(struct router *router);

/* Every tick: time passes for those that are left. */
void handover_tick(struct router *router);

#endif
