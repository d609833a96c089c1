#include "tests/bench/net.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "tests/bench/clock.h"

#define SCRATCH ((size_t)256 * 1024)
#define WAIT_MAX 256

void net_init(struct net *net, const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int error = getaddrinfo(host, port, &hints, &found);
    if (error)
        fatalx("%s port %s: %s", host, port, gai_strerror(error));
    memcpy(&net->address, found->ai_addr, found->ai_addrlen);
    net->address_len = found->ai_addrlen;
    freeaddrinfo(found);
    net->scratch = xmalloc(SCRATCH);
    net->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (net->epoll < 0)
        fatal("epoll_create1");
}

void net_clear(struct net *net)
{
    close(net->epoll);
    free(net->scratch);
}

unsigned net_wait(struct net *net, struct conn **ready, unsigned max, uint64_t wait_ns)
{
    struct epoll_event events[WAIT_MAX];
    struct timespec span = clock_span(wait_ns);
    int n = epoll_pwait2(net->epoll, events, (int)(max < WAIT_MAX ? max : WAIT_MAX), &span, NULL);
    if (n < 0 && errno != EINTR)
        fatal("epoll_pwait2");
    unsigned count = 0;
    for (int i = 0; i < n; i++) {
        struct conn *c = events[i].data.ptr;
        if (events[i].events & EPOLLOUT)
            conn_flush(c);
        if (!(events[i].events & ~(uint32_t)EPOLLOUT))
            continue;
        c->readable = true;
        c->ending |= (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        ready[count++] = c;
    }
    return count;
}

/* Connecting may block (it is loopback or a near machine); everything after it does not. */
bool conn_open(struct net *net, struct conn *c)
{
    int one = 1;
    c->readable = c->ending = false;
    buf_reset(&c->out);
    buf_reset(&c->partial);
    c->fd = socket(net->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return false;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = c}};
    struct timeval bound = {.tv_sec = 5};
    if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0 &&
        setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof bound) == 0 &&
        connect(c->fd, (const struct sockaddr *)&net->address, net->address_len) == 0 &&
        epoll_ctl(net->epoll, EPOLL_CTL_ADD, c->fd, &event) == 0)
        return true;
    int error = errno;
    conn_close(c);
    errno = error;
    return false;
}

void conn_close(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    buf_clear(&c->out);
    buf_clear(&c->partial);
}

void conn_flush(struct conn *c)
{
    while (c->fd >= 0 && buf_len(&c->out)) {
        struct slice rest = buf_slice(&c->out);
        ssize_t n = send(c->fd, rest.data, rest.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return;
        buf_consume(&c->out, (size_t)n);
    }
}

enum conn_read conn_read(struct net *net, struct conn *c, struct slice *in)
{
    if (!c->readable)
        return CONN_DRAINED;
    struct slice kept = buf_slice(&c->partial);
    if (kept.len >= SCRATCH / 2)
        fatalx("an answer's head or line is longer than %zu bytes", kept.len);
    if (kept.len)
        memcpy(net->scratch, kept.data, kept.len);
    ssize_t n = recv(c->fd, net->scratch + kept.len, SCRATCH - kept.len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        c->readable = errno == EINTR;
        return errno == EINTR ? conn_read(net, c, in) : CONN_DRAINED;
    }
    if (n <= 0)
        return CONN_DEAD;
    buf_reset(&c->partial);
    /* A short read has emptied the socket, which spares the read that would say so. */
    if (kept.len + (size_t)n < SCRATCH && !c->ending)
        c->readable = false;
    *in = slice_of(net->scratch, kept.len + (size_t)n);
    return CONN_DATA;
}

void conn_keep(struct conn *c, struct slice rest)
{
    buf_add_slice(&c->partial, rest);
}
