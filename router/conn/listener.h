/* The listening socket: takes connections in bounded batches, up to limits.max_connections; fewer where the process may
 * not have as many descriptors, some of which it needs for other things. */
#ifndef ROUTER_CONN_LISTENER_H
#define ROUTER_CONN_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

struct event;
struct router;

struct listener {
    struct event *event; /* NULL: closed */
    int fd;
    bool resting; /* the process was out of descriptors */
    size_t room;  /* connections that its descriptors are enough for */
};

/* How many descriptors there may be is looked at once. */
void listener_init(struct router *router);

/* Takes fd over; an earlier one is closed. */
void listener_open(struct router *router, int fd);
void listener_open_metrics(struct router *router, int fd); /* the same for the one where only metrics are */
void listener_close(struct router *router);                /* both */

/* Every tick: a listener that rested tries again. */
void listener_tick(struct router *router);

#endif
