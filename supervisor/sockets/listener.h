/* The listening sockets: one for each router, all on the same address, held open by the supervisor so that connections
 * wait in the kernel while a router is restarted; and by systemd, so that they wait while the supervisor is. */
#ifndef SUPERVISOR_SOCKETS_LISTENER_H
#define SUPERVISOR_SOCKETS_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/address.h"
#include "common/attr.h"

#define LISTENERS_MAX 64

struct notify;
struct passed;

struct listeners {
    const char *name; /* of this group; in systemd's store its sockets are "streamd-NAME" */
    int fd[LISTENERS_MAX];
    unsigned count;
    unsigned stored;        /* so many of the first are in the store already */
    bool store_has_others;  /* there are sockets in the store that are no longer used */
    bool of_socket_unit;    /* which keeps them itself */
    struct address address; /* with the real port */
    bool has_metrics;       /* one more, where nothing but metrics is: */
    int metrics;
};

/* Makes up to `count` sockets; in this order they are
 *   - what a socket unit has passed, whatever its address; there may be fewer of them than `count`, but not more;
 *   - what the store had, as far as it is of `listen` (host:port; port 0: of any port), and new ones for the rest;
 *   - new ones, bound to `listen` (port 0: one free port for all).
 * Sockets of the store that are no longer used are closed, even if connections wait there. Ends the process with
 * EXIT_NEVER_RESTART if the host is unknown or something else than listening sockets of one address was passed, with
 * status 1 if the address is in use or cannot be bound. */
void listeners_open(struct listeners *listeners, const char *name, const char *listen, unsigned count,
                    struct passed *passed);

/* And the one for metrics. "": none. */
void listeners_open_metrics(struct listeners *listeners, const char *listen);

/* Adds sockets that others have bound, and takes them over; the address is theirs from now on. False, and why, if they
 * are not all listening TCP sockets of one address: then nothing has changed. */
bool listeners_adopt(struct listeners *listeners, const int *fds, unsigned count, char *why, size_t size) MUSTUSE;

/* Puts the sockets into systemd's store, where they outlive this process, and removes from it those that are no longer
 * used. */
void listeners_store(const struct listeners *listeners, const struct notify *notify);

/* The socket of the router `index`; several share one if there are not enough. It stays the group's. */
int listeners_fd(const struct listeners *listeners, unsigned index) MUSTUSE;

void listeners_close(struct listeners *listeners);

#endif
