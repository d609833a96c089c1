/* The bytes of a connection. All that is received and sent passes here: TLS is a second file with these functions. */
#ifndef ROUTER_CONN_SOCKET_H
#define ROUTER_CONN_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "common/attr.h"

struct socket {
    int fd; /* does not block */
};

/* As recv(): how many bytes came; 0: no more will; -1: errno says why not, EAGAIN if none are there. */
ssize_t socket_receive(const struct socket *socket, char *at, size_t len) MUSTUSE;

/* As sendmsg(): how many bytes of these pieces went. more: others follow at once. */
ssize_t socket_send(const struct socket *socket, struct iovec *pieces, size_t count, bool more) MUSTUSE;

/* As sendfile(): how many bytes of this piece of a file went. 0: the file is shorter. */
ssize_t socket_send_file(const struct socket *socket, int file, uint64_t at, size_t len) MUSTUSE;

/* Nothing more is sent; the client sees the end, and may still send. */
void socket_end(const struct socket *socket);

void socket_close(struct socket *socket);

#endif
