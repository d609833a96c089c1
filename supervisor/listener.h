/* The listening sockets: one for each router, all on the same address, held open by the supervisor so that connections
 * wait in the kernel while a router is restarted. */
#ifndef SUPERVISOR_LISTENER_H
#define SUPERVISOR_LISTENER_H

#include "common/address.h"

#define LISTENERS_MAX 64

struct listeners {
    int fd[LISTENERS_MAX];
    unsigned count;
    struct address address; /* with the real port */
};

/* Binds `count` sockets to `listen` (host:port; port 0: one free port for all). Ends the process with
 * EXIT_NEVER_RESTART if the host is unknown, with status 1 if the address is in use or cannot be bound. */
void listeners_open(struct listeners *listeners, const char *listen, unsigned count);

/* The same with sockets that are there already. */
void listeners_adopt(struct listeners *listeners, const int *fds, unsigned count);

void listeners_close(struct listeners *listeners);

#endif
