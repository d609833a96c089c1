#include "supervisor/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"

#define BACKLOG 4096

union endpoint {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t resolve(const struct address *address, union endpoint *endpoint)
{
    const struct addrinfo hints = {.ai_family = address->v6 ? AF_INET6 : AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    int error = getaddrinfo(address->host, address->port, &hints, &found);
    if (error || found->ai_addrlen > sizeof *endpoint)
        fatal_never_restart("[router] listen: cannot resolve %s: %s", address->host, gai_strerror(error));
    socklen_t len = found->ai_addrlen;
    memcpy(endpoint, found->ai_addr, len);
    freeaddrinfo(found);
    return len;
}

static void set_option(int fd, int level, int option)
{
    const int on = 1;
    if (setsockopt(fd, level, option, &on, sizeof on) != 0)
        fatal("cannot set an option of the listening socket");
}

static int bind_one(const union endpoint *endpoint, socklen_t len, bool share, const struct address *address)
{
    int fd = socket(endpoint->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fatal("cannot make a listening socket");
    set_option(fd, SOL_SOCKET, SO_REUSEADDR);
    if (share)
        set_option(fd, SOL_SOCKET, SO_REUSEPORT);
    if (endpoint->any.sa_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (bind(fd, &endpoint->any, len) != 0)
        fatal("cannot listen on %s:%s", address->host, address->port);
    return fd;
}

static void learn_port(struct listeners *listeners, union endpoint *endpoint, socklen_t len)
{
    if (getsockname(listeners->fd[0], &endpoint->any, &len) != 0)
        fatal("cannot read the port of the listening socket");
    in_port_t port = endpoint->any.sa_family == AF_INET6 ? endpoint->v6.sin6_port : endpoint->v4.sin_port;
    snprintf(listeners->address.port, sizeof listeners->address.port, "%u", (unsigned)ntohs(port));
}

void listeners_open(struct listeners *listeners, const char *listen_on, unsigned count)
{
    union endpoint endpoint;
    *listeners = (struct listeners){0};
    if (!address_parse(listen_on, &listeners->address))
        fatal_never_restart("[router] listen: %s is not host:port", listen_on);
    socklen_t len = resolve(&listeners->address, &endpoint);
    /* SO_REUSEPORT would share the port with another streamd of the same user, silently; without it bind() tells. */
    close(bind_one(&endpoint, len, false, &listeners->address));
    for (; listeners->count < count; listeners->count++) {
        int fd = bind_one(&endpoint, len, true, &listeners->address);
        listeners->fd[listeners->count] = fd;
        if (listeners->count == 0)
            learn_port(listeners, &endpoint, len);
        if (listen(fd, BACKLOG) != 0)
            fatal("cannot listen on %s:%s", listeners->address.host, listeners->address.port);
    }
}

void listeners_adopt(struct listeners *listeners, const int *fds, unsigned count)
{
    struct address *address = &listeners->address;
    union endpoint endpoint;
    socklen_t len = sizeof endpoint;
    *listeners = (struct listeners){0};
    for (; listeners->count < count; listeners->count++)
        listeners->fd[listeners->count] = fds[listeners->count];
    if (getsockname(fds[0], &endpoint.any, &len) != 0 ||
        getnameinfo(&endpoint.any, len, address->host, sizeof address->host, address->port, sizeof address->port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        fatal("cannot read the address of the listening socket");
    address->v6 = endpoint.any.sa_family == AF_INET6;
}

void listeners_close(struct listeners *listeners)
{
    while (listeners->count > 0)
        close(listeners->fd[--listeners->count]);
}
