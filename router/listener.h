/* The listening socket: takes connections in bounded batches, up to limits.max_connections. */
#ifndef ROUTER_LISTENER_H
#define ROUTER_LISTENER_H

#include <stdbool.h>

struct event;
struct router;

struct listener {
    struct event *event; /* NULL: closed */
    int fd;
    bool resting; /* the process was out of descriptors */
};

/* Takes fd over; an earlier one is closed. */
void listener_open(struct router *router, int fd);
void listener_open_metrics(struct router *router, int fd); /* the same for the one where only metrics are */
void listener_close(struct router *router);                /* both */

/* Every tick: a listener that rested tries again. */
void listener_tick(struct router *router);

#endif
