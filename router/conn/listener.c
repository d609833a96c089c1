/* Failure modes: over limits.max_connections a client gets 503 and is closed, up to REFUSED_AT_ONCE of them; more
 * are closed without a word. Without free descriptors the listener rests until the next tick: the connections wait in
 * the kernel's queue. Those who scrape metrics on their own address do not count, and are not kept out by the others.
 */
#include "router/conn/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "router/conn/answer.h"
#include "router/router.h"

#define ACCEPTS_A_TURN 64
#define METRICS_CONNECTIONS 64 /* of their own */
#define REFUSED_AT_ONCE 64     /* connections over the limit that are told so; more are just closed */
/* Descriptors that clients do not get, but half of all at the most: for those who are refused or scrape, sockets to
 * shards, which come and go, and files of pages. Without one for a socket that the supervisor sends, the process could
 * not go on. */
#define KEPT 256u

void listener_init(struct router *r)
{
    struct rlimit limit;
    r->listener.room = SIZE_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return;
    r->listener.room = limit.rlim_cur - (limit.rlim_cur / 2 < KEPT ? limit.rlim_cur / 2 : KEPT);
    if (r->listener.room < r->cfg->limits_max_connections)
        log_info("limits.max_connections is %llu, but %llu files may be open: %zu connections at the most",
                 (unsigned long long)r->cfg->limits_max_connections, (unsigned long long)limit.rlim_cur,
                 r->listener.room);
}

/* Connections that there may be. */
static size_t listener_room(const struct router *r)
{
    return r->listener.room < r->cfg->limits_max_connections ? r->listener.room : r->cfg->limits_max_connections;
}

static size_t listener_others(const struct connections *all)
{
    return all->count - all->refused - all->scraping;
}

static void listener_admit(struct router *r, int fd)
{
    static const int on = 1;
    metrics_add(r->metrics, METRIC_ACCEPTED, 1);
    bool full = listener_others(&r->connections) >= listener_room(r);
    if (full)
        metrics_add(r->metrics, METRIC_CONNECTIONS_REFUSED, 1);
    if (full && r->connections.refused >= REFUSED_AT_ONCE) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct connection *c = connection_new(r, fd);
    if (!full)
        return;
    c->refused = true;
    r->connections.refused++;
    answer_refuse(&c->request, ERR_TOO_MANY_CONNECTIONS, NULL);
}

/* True: the process is out of descriptors, and the listener does not try again at once. */
static bool listener_rests(struct listener *listener)
{
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
        return false;
    log_warn_errno("cannot accept connections for now");
    event_del(listener->event);
    listener->resting = true;
    return true;
}

static void listener_on_connection(evutil_socket_t fd, short what, void *arg)
{
    struct router *r = arg;
    (void)what;
    r->now_ms = clock_monotonic_ms();
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0) {
            listener_admit(r, client);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK || listener_rests(&r->listener))
            return;
        /* Otherwise that one connection was gone before we came to it. */
    }
}

/* Connections of metrics.listen have a bound of their own, METRICS_CONNECTIONS: a full server can still be observed. */
static void listener_on_metrics_connection(evutil_socket_t fd, short what, void *arg)
{
    struct router *r = arg;
    (void)what;
    r->now_ms = clock_monotonic_ms();
    int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) {
        (void)listener_rests(&r->metrics_listener);
    } else if (r->connections.scraping < METRICS_CONNECTIONS) {
        connection_new(r, client)->only_metrics = true;
        r->connections.scraping++;
    } else {
        close(client);
    }
}

static void listener_close_one(struct listener *listener)
{
    if (!listener->event)
        return;
    event_free(listener->event);
    close(listener->fd);
    *listener = (struct listener){.room = listener->room};
}

void listener_close(struct router *r)
{
    listener_close_one(&r->listener);
    listener_close_one(&r->metrics_listener);
}

static void listener_open_one(struct router *r, struct listener *listener, int fd, event_callback_fn callback)
{
    listener_close_one(listener);
    evutil_make_socket_nonblocking(fd);
    listener->fd = fd;
    listener->event = event_new(r->base, fd, EV_READ | EV_PERSIST, callback, r);
    if (!listener->event || event_add(listener->event, NULL) != 0)
        fatalx("cannot watch the listening socket");
}

void listener_open(struct router *r, int fd)
{
    listener_open_one(r, &r->listener, fd, listener_on_connection);
}

void listener_open_metrics(struct router *r, int fd)
{
    listener_open_one(r, &r->metrics_listener, fd, listener_on_metrics_connection);
}

static void listener_try_again(struct listener *listener)
{
    if (!listener->resting)
        return;
    listener->resting = false;
    if (event_add(listener->event, NULL) != 0)
        fatalx("cannot watch the listening socket");
}

void listener_tick(struct router *r)
{
    metrics_set(r->metrics, METRIC_CONNECTIONS_LIMIT, listener_room(r));
    listener_try_again(&r->listener);
    listener_try_again(&r->metrics_listener);
}
