/* Each router has a socket of its own on the same address (SO_REUSEPORT): the kernel shares connections out, and a
 * router that restarts finds the connections that came meanwhile in its socket's queue.
 *
 * A closed socket takes the connections in its queue along. So sockets outlive processes: routers get copies, an
 * upgrade inherits them, and systemd's store keeps them while streamd itself is dead.
 *
 * listeners_open() looks for sockets in this order:
 *
 *     1. sockets of a socket unit (LISTEN_FDS, all other names)   used as they are, or streamd does not start
 *     2. sockets in systemd's store, named "streamd-NAME"         used if they have the wanted address
 *     3. new sockets, until there is one for each router          without stored ones every bind() must succeed
 *
 * Failure modes: a socket of a unit that does not listen, or more of them than routers, stops the start for good
 * (the administrator must change something). An address that somebody has is asked for again for a second. A stored
 * socket that does not fit is shut down and closed. If a socket beside stored ones cannot be bound, routers share a
 * socket. */
#include "supervisor/sockets/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "supervisor/sockets/notify.h"
#include "supervisor/sockets/passed.h"

#define BACKLOG 4096
#define NAME_ROOM 64
#define WHY_ROOM 128
#define WAIT_MS 1000 /* for an address that somebody else has */
#define STEP_MS 20

union endpoint {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t listener_resolve(const char *key, const struct address *address, union endpoint *endpoint)
{
    const struct addrinfo hints = {.ai_family = address->v6 ? AF_INET6 : AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    int error = getaddrinfo(address->host, address->port, &hints, &found);
    if (error || found->ai_addrlen > sizeof *endpoint)
        fatal_never_restart("%s: cannot resolve %s: %s", key, address->host, gai_strerror(error));
    socklen_t len = found->ai_addrlen;
    memcpy(endpoint, found->ai_addr, len);
    freeaddrinfo(found);
    return len;
}

static in_port_t listener_port_of(const union endpoint *endpoint)
{
    return endpoint->any.sa_family == AF_INET6 ? endpoint->v6.sin6_port : endpoint->v4.sin_port;
}

static bool listener_same_host(const union endpoint *a, const union endpoint *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0 &&
           a->v6.sin6_scope_id == b->v6.sin6_scope_id;
}

static void listener_write_port(const union endpoint *endpoint, struct address *address)
{
    snprintf(address->port, sizeof address->port, "%u", (unsigned)ntohs(listener_port_of(endpoint)));
}

static void listener_endpoint_of(int fd, union endpoint *endpoint)
{
    socklen_t len = sizeof *endpoint;
    if (getsockname(fd, &endpoint->any, &len) != 0)
        fatal("cannot read the address of the listening socket");
}

/* ---- new ones ---- */

static void listener_set_option(int fd, int level, int option)
{
    const int on = 1;
    if (setsockopt(fd, level, option, &on, sizeof on) != 0)
        fatal("cannot set an option of the listening socket");
}

/* -1: the address cannot be had, errno says why. */
static int listener_bind_one(const union endpoint *endpoint, socklen_t len, bool share)
{
    int fd = socket(endpoint->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fatal("cannot make a listening socket");
    listener_set_option(fd, SOL_SOCKET, SO_REUSEADDR);
    if (share)
        listener_set_option(fd, SOL_SOCKET, SO_REUSEPORT);
    /* [::] must not take the IPv4 port too (ipv6(7)): an IPv4 listener of another program would collide with it. */
    if (endpoint->any.sa_family == AF_INET6)
        listener_set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (bind(fd, &endpoint->any, len) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* The last process of an earlier server holds the address a moment longer than the data folder's lock, if the kernel
 * closes its files in this order. */
static int listener_bind_alone(const union endpoint *endpoint, socklen_t len)
{
    int fd;
    for (int waited = 0; (fd = listener_bind_one(endpoint, len, false)) < 0 && errno == EADDRINUSE && waited < WAIT_MS;
         waited += STEP_MS)
        usleep(STEP_MS * 1000);
    return fd;
}

static bool listener_add_one(struct listeners *listeners, const union endpoint *endpoint, socklen_t len)
{
    int fd = listener_bind_one(endpoint, len, true);
    if (fd < 0)
        return false;
    if (listen(fd, BACKLOG) != 0)
        fatal("cannot listen on %s:%s", listeners->address.host, listeners->address.port);
    listeners->fd[listeners->count++] = fd;
    return true;
}

/* The endpoint gets the port that it really is. */
static void listener_bind_all(struct listeners *listeners, union endpoint *endpoint, socklen_t len, unsigned count)
{
    const struct address *address = &listeners->address;
    /* SO_REUSEPORT would share the port with another streamd of the same user, silently; without it bind() tells. */
    int trial = listener_bind_alone(endpoint, len);
    if (trial < 0)
        fatal("cannot listen on %s:%s", address->host, address->port);
    close(trial);
    while (listeners->count < count) {
        if (!listener_add_one(listeners, endpoint, len))
            fatal("cannot listen on %s:%s", address->host, address->port);
        /* With port 0 the first bind() chooses the port, and the sockets after it must bind to that one. */
        listener_endpoint_of(listeners->fd[0], endpoint);
    }
}

/* ---- those that others have bound ---- */

static int listener_option_of(int fd, int option)
{
    int value;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

/* Returns NULL if the descriptor is a listening TCP socket, otherwise the end of the sentence "descriptor N ...". */
static const char *listener_wrong_with(int fd)
{
    int domain = listener_option_of(fd, SO_DOMAIN);
    if (domain < 0)
        return "is not a socket";
    if ((domain != AF_INET && domain != AF_INET6) || listener_option_of(fd, SO_TYPE) != SOCK_STREAM)
        return "is not a TCP socket";
    return listener_option_of(fd, SO_ACCEPTCONN) == 1 ? NULL : "does not listen (a socket unit needs Accept=no)";
}

/* SO_COOKIE is the kernel's number of a socket; descriptors that are copies of each other share it. */
static uint64_t listener_cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;
    (void)getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
    return cookie;
}

/* Whether fd is the same socket as one of these, under another number. */
static bool listener_have(const struct listeners *listeners, int fd)
{
    for (unsigned i = 0; i < listeners->count; i++)
        if (listener_cookie_of(listeners->fd[i]) == listener_cookie_of(fd))
            return true;
    return false;
}

static void listener_describe(const union endpoint *endpoint, struct address *address)
{
    bool v6 = endpoint->any.sa_family == AF_INET6;
    const void *host = v6 ? (const void *)&endpoint->v6.sin6_addr : (const void *)&endpoint->v4.sin_addr;
    *address = (struct address){.v6 = v6};
    inet_ntop(endpoint->any.sa_family, host, address->host, sizeof address->host);
    listener_write_port(endpoint, address);
}

/* Sockets that come from elsewhere may have been left in any mode. */
static void listener_take_over(struct listeners *listeners, int fd)
{
    if (listener_have(listeners, fd)) {
        close(fd);
        return;
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        fatal("cannot prepare a listening socket");
    listeners->fd[listeners->count++] = fd;
}

bool listeners_adopt(struct listeners *listeners, const int *fds, unsigned count, char *why, size_t size)
{
    union endpoint first, endpoint;
    snprintf(why, size, "there are more than %d of them", LISTENERS_MAX);
    if (count == 0 || count > LISTENERS_MAX - listeners->count)
        return false;
    for (unsigned i = 0; i < count; i++) {
        const char *wrong = listener_wrong_with(fds[i]);
        snprintf(why, size, "descriptor %d %s", fds[i], wrong ? wrong : "has another address than those before it");
        if (wrong)
            return false;
        listener_endpoint_of(fds[i], &endpoint);
        if (i == 0)
            listener_endpoint_of(listeners->count ? listeners->fd[0] : fds[0], &first);
        if (!listener_same_host(&first, &endpoint) || listener_port_of(&first) != listener_port_of(&endpoint))
            return false;
    }
    for (unsigned i = 0; i < count; i++)
        listener_take_over(listeners, fds[i]);
    listener_describe(&first, &listeners->address);
    return true;
}

/* An administrator wants the sockets of a socket unit: they are used, or streamd does not start. */
static bool listener_open_passed(struct listeners *listeners, unsigned count, struct passed *passed)
{
    int fds[PASSED_MAX];
    char why[WHY_ROOM];
    unsigned given = passed_claim(passed, NULL, fds, PASSED_MAX);
    if (!given)
        return false;
    if (!listeners_adopt(listeners, fds, given, why, sizeof why))
        fatal_never_restart("the sockets that were passed cannot be listened on: %s", why);
    /* A router listens on one. Connections to a socket that no router has would never be accepted. */
    if (listeners->count > count)
        fatal_never_restart("%u sockets were passed, one for each router is the most, and router.workers is %u",
                            listeners->count, count);
    log_info("listening on %u socket%s that %s passed; router.listen is ignored", listeners->count,
             listeners->count == 1 ? "" : "s", listeners->count == 1 ? "was" : "were");
    listeners->of_socket_unit = true;
    return true;
}

/* The sockets in the store are our own, of an earlier process; the configuration may have changed since. */
static bool listener_of_use(const struct listeners *listeners, int fd, const union endpoint *wanted, unsigned count)
{
    union endpoint endpoint;
    if (listener_wrong_with(fd) || listeners->count == count || listener_have(listeners, fd))
        return false;
    listener_endpoint_of(fd, &endpoint);
    return listener_same_host(&endpoint, wanted) &&
           (!listener_port_of(wanted) || listener_port_of(&endpoint) == listener_port_of(wanted));
}

/* Closing alone would leave the port in use until systemd closes the socket too. */
static void listener_drop(struct listeners *listeners, int fd)
{
    listeners->store_has_others = true;
    if (!listener_have(listeners, fd))
        shutdown(fd, SHUT_RDWR);
    close(fd);
}

static void listener_open_stored(struct listeners *listeners, union endpoint *wanted, unsigned count, const int *fds,
                                 unsigned stored)
{
    char why[WHY_ROOM];
    for (unsigned i = 0; i < stored; i++) {
        if (!listener_of_use(listeners, fds[i], wanted, count) ||
            !listeners_adopt(listeners, &fds[i], 1, why, sizeof why)) {
            listener_drop(listeners, fds[i]);
            continue;
        }
        listener_endpoint_of(fds[i], wanted); /* those after it must have the same port */
    }
    listeners->stored = listeners->count;
    if (listeners->count)
        log_info("listening on %u socket%s of an earlier process", listeners->count, listeners->count == 1 ? "" : "s");
}

/* Routers without a socket of their own share one, if need be. */
static void listener_open_more(struct listeners *listeners, const union endpoint *endpoint, socklen_t len,
                               unsigned count)
{
    while (listeners->count < count)
        if (!listener_add_one(listeners, endpoint, len)) {
            log_warn_errno("cannot listen on %s:%s once more, routers share a socket", listeners->address.host,
                           listeners->address.port);
            return;
        }
}

static void listener_open_own(struct listeners *listeners, const char *listen_on, unsigned count, const int *fds,
                              unsigned stored)
{
    struct address address;
    union endpoint endpoint;
    if (!address_parse(listen_on, &address))
        fatal_never_restart("[router] listen: %s is not host:port", listen_on);
    socklen_t len = listener_resolve("[router] listen", &address, &endpoint);
    listener_open_stored(listeners, &endpoint, count, fds, stored);
    listeners->address = address; /* as it was written */
    if (listeners->count == 0)
        listener_bind_all(listeners, &endpoint, len, count);
    else
        listener_open_more(listeners, &endpoint, len, count);
    listener_write_port(&endpoint, &listeners->address);
}

static void listener_name_in_store(const struct listeners *listeners, char *name)
{
    snprintf(name, NAME_ROOM, "streamd-%s", listeners->name);
}

void listeners_open(struct listeners *listeners, const char *name, const char *listen_on, unsigned count,
                    struct passed *passed)
{
    int fds[PASSED_MAX];
    char stored_name[NAME_ROOM];
    *listeners = (struct listeners){.name = name};
    listener_name_in_store(listeners, stored_name);
    unsigned stored = passed_claim(passed, stored_name, fds, PASSED_MAX);
    if (!listener_open_passed(listeners, count, passed)) {
        listener_open_own(listeners, listen_on, count, fds, stored);
        return;
    }
    for (unsigned i = 0; i < stored; i++)
        listener_drop(listeners, fds[i]);
}

void listeners_open_metrics(struct listeners *listeners, const char *listen_on)
{
    union endpoint endpoint;
    struct address address;
    if (!*listen_on)
        return;
    if (!address_parse(listen_on, &address))
        fatal_never_restart("[metrics] listen: %s is not host:port", listen_on);
    socklen_t len = listener_resolve("[metrics] listen", &address, &endpoint);
    listeners->metrics = listener_bind_alone(&endpoint, len);
    if (listeners->metrics < 0 || listen(listeners->metrics, BACKLOG) != 0)
        fatal("cannot listen on %s:%s", address.host, address.port);
    listeners->has_metrics = true;
    listener_endpoint_of(listeners->metrics, &endpoint);
    listener_write_port(&endpoint, &address);
    log_info(address.v6 ? "metrics: http://[%s]:%s/metrics" : "metrics: http://%s:%s/metrics", address.host,
             address.port);
}

void listeners_store(const struct listeners *listeners, const struct notify *notify)
{
    char name[NAME_ROOM];
    unsigned known = listeners->store_has_others ? 0 : listeners->stored;
    listener_name_in_store(listeners, name);
    if (listeners->store_has_others) /* what has this name goes all at once */
        notify_tell(notify, "FDSTOREREMOVE=1\nFDNAME=%s", name);
    if (listeners->of_socket_unit || known == listeners->count)
        return;
    char text[NAME_ROOM + 32];
    snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%s", name);
    notify_store(notify, text, listeners->fd + known, listeners->count - known);
}

int listeners_fd(const struct listeners *listeners, unsigned index)
{
    return listeners->fd[index % listeners->count];
}

void listeners_close(struct listeners *listeners)
{
    while (listeners->count > 0)
        close(listeners->fd[--listeners->count]);
    if (listeners->has_metrics)
        close(listeners->metrics);
    listeners->has_metrics = false;
}
