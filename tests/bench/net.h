/* Non-blocking connections to one address, on one edge-triggered epoll. */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/attr.h"
#include "common/buf.h"

struct net {
    int epoll;
    struct sockaddr_storage address;
    socklen_t address_len;
    char *scratch; /* what was read last; slices of conn_read() point into it */
};

struct conn {
    int fd;         /* -1: closed */
    unsigned index; /* the caller's number of it */
    bool readable;  /* there may be more to read */
    bool ending;    /* the peer has closed: read until the end shows */
    struct buf out;
    struct buf partial; /* read, but not yet of use: comes again in front of the next bytes */
};

/* Resolves host and port; what cannot be resolved ends the program. */
void net_init(struct net *net, const char *host, const char *port);
void net_clear(struct net *net);

/* The connections that can be read, at most max, after waiting at most `wait_ns`. Writes what was left over on those
 * that can be written. */
unsigned net_wait(struct net *net, struct conn **ready, unsigned max, uint64_t wait_ns);

/* Connects; c->index is the caller's. False: errno is set. */
bool conn_open(struct net *net, struct conn *c) MUSTUSE;
void conn_close(struct conn *c);

/* Writes what is in c->out as far as the socket takes it; the rest goes when net_wait() finds it writable. An error
 * shows at the next read. */
void conn_flush(struct conn *c);

enum conn_read { CONN_DATA, CONN_DRAINED, CONN_DEAD };

/* The next bytes, valid until the next call for any connection. DRAINED: wait for net_wait() to return it again. */
enum conn_read conn_read(struct net *net, struct conn *c, struct slice *in) MUSTUSE;

/* Keeps bytes of the last conn_read() for the next one. */
void conn_keep(struct conn *c, struct slice rest);

#endif
