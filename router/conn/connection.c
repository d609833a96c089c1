#include "router/conn/connection.h"

#include <stdlib.h>

#include "common/address.h"
#include "common/clock.h"
#include "common/detail.h"
#include "common/log.h"
#include "common/mem.h"
#include "router/conn/answer.h"
#include "router/conn/request_reader.h"
#include "router/router.h"

#define LINGER_MS 2000
/* A client with more than this to write is served after the others, so much of it a turn: a turn stays short however
 * many are catching up. */
#define BULK ((size_t)64 << 10)
#define BULK_A_TURN ((size_t)128 << 10)
#define READ_AHEAD ROUTER_SCRATCH /* held of what comes behind a request under way */

/* ---- the socket ---- */

static void connection_mark_dirty(struct connection *c)
{
    if (c->dirty || c->state == CONNECTION_DEAD)
        return;
    c->dirty = true;
    c->dirty_next = c->router->connections.dirty;
    c->router->connections.dirty = c;
}

static void connection_mark_ready(struct connection *c)
{
    if (c->ready || c->state == CONNECTION_DEAD)
        return;
    c->ready = true;
    c->ready_next = c->router->connections.ready;
    c->router->connections.ready = c;
}

static void connection_on_event(evutil_socket_t fd, short what, void *arg)
{
    struct connection *c = arg;
    (void)fd;
    c->router->now_ms = clock_monotonic_ms();
    if (what & EV_WRITE) {
        c->blocked = false;
        connection_mark_dirty(c);
    }
    if (what & EV_READ)
        request_reader_readable(c);
}

static bool connection_wants_input(const struct connection *c)
{
    if (c->eof)
        return false;
    switch (c->state) {
    case CONNECTION_HEAD:
        return c->out.bytes < CONNECTION_OUTPUT_PAUSE;
    case CONNECTION_BODY:
    case CONNECTION_LINGERING:
        return true;
    case CONNECTION_WAITING:
        return buf_len(&c->in) < READ_AHEAD;
    case CONNECTION_ENDING:
    case CONNECTION_DEAD:
        return false;
    }
    return false;
}

void connection_watch(struct connection *c)
{
    short want = (short)((connection_wants_input(c) ? EV_READ : 0) | (c->blocked ? EV_WRITE : 0));
    if (want == c->watched || c->state == CONNECTION_DEAD)
        return;
    if (c->watched)
        event_del(&c->event);
    c->watched = want;
    if (!want)
        return;
    event_assign(&c->event, c->router->base, c->socket.fd, (short)(want | EV_PERSIST), connection_on_event, c);
    if (event_add(&c->event, NULL) != 0)
        fatalx("cannot watch a client's socket");
}

void connection_send(struct connection *c, struct block *block, size_t start, size_t len)
{
    output_add(&c->out, &c->router->outputs, block, start, len);
    if (!c->blocked)
        connection_mark_dirty(c);
}

/* ---- life and state ---- */

struct connection *connection_new(struct router *router, int fd)
{
    struct connection *c = xcalloc(1, sizeof *c);
    c->router = router;
    c->socket.fd = fd;
    c->request.router = router;
    c->request.connection = c;
    c->next = router->connections.first;
    if (c->next)
        c->next->prev = c;
    router->connections.first = c;
    router->connections.count++;
    event_assign(&c->event, router->base, fd, EV_READ | EV_PERSIST, connection_on_event, c);
    connection_set_state(c, CONNECTION_HEAD);
    return c;
}

bool connection_address(const struct connection *c, struct sockaddr_storage *address)
{
    return address_peer(c->socket.fd, address);
}

void connection_put_back(struct connection *c, struct slice input)
{
    buf_add_slice(&c->in, input);
    if (input.len)
        connection_mark_ready(c);
}

/* Takes the connection apart as far as others hold on to it; the memory goes at the end of the turn. */
static void connection_bury(struct connection *c)
{
    struct router *r = c->router;
    request_stats_end(&c->request);
    request_drop_job(&c->request);
    deadline_clear(&c->stall);
    if (c->watched)
        event_del(&c->event);
    socket_close(&c->socket);
    if (c->prev)
        c->prev->next = c->next;
    else
        r->connections.first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    r->connections.count--;
    r->connections.refused -= c->refused;
    r->connections.scraping -= c->only_metrics;
    if (!c->ready) {
        c->ready_next = r->connections.grave;
        r->connections.grave = c;
    } /* else connections_resume() meets it and buries it */
}

void connection_arm(struct connection *c, enum deadline_class class, uint64_t after)
{
    c->timer_class = class;
    deadline_set(&c->router->deadlines, class, &c->timer, c->router->now_ms + after);
}

void connection_set_state(struct connection *c, enum connection_state state)
{
    struct router *r = c->router;
    if (c->state == CONNECTION_DEAD)
        return;
    deadline_clear(&c->timer);
    c->state = state;
    switch (state) {
    case CONNECTION_HEAD:
        connection_arm(c, DEADLINE_IDLE, r->cfg->limits_idle_timeout);
        break;
    case CONNECTION_BODY:
        connection_arm(c, DEADLINE_BODY, r->cfg->limits_body_timeout);
        break;
    case CONNECTION_LINGERING:
        socket_end(&c->socket);
        connection_arm(c, DEADLINE_LINGER, LINGER_MS);
        break;
    case CONNECTION_WAITING:
        break;
    case CONNECTION_ENDING:
        connection_mark_dirty(c); /* the flush sees that nothing is left to write */
        break;
    case CONNECTION_DEAD:
        connection_bury(c);
        return;
    }
    connection_watch(c);
}

void connection_close(struct connection *c)
{
    connection_set_state(c, CONNECTION_DEAD);
}

void connection_answered(struct connection *c)
{
    bool more = buf_len(&c->in) > 0;
    if (c->state == CONNECTION_DEAD)
        return;
    if (more && !c->request.keep_alive)
        c->linger = true; /* closing with unread bytes would take the answer back */
    if (!c->request.keep_alive || c->router->stopping || c->router->handover.draining || (c->eof && !more)) {
        connection_set_state(c, CONNECTION_ENDING);
        return;
    }
    connection_set_state(c, CONNECTION_HEAD);
    if (more)
        connection_mark_ready(c);
}

void connection_refuse(struct connection *c, enum error error, const char *text)
{
    request_drop_job(&c->request);
    c->request.keep_alive = false;
    c->linger = true;
    answer_error_text(&c->request, error, text);
}

/* ---- the steps of a turn ---- */

void connections_resume(struct router *router)
{
    struct connection *c;
    while ((c = router->connections.ready)) {
        router->connections.ready = c->ready_next;
        c->ready = false;
        if (c->state != CONNECTION_DEAD) {
            request_reader_resume(c);
        } else {
            c->ready_next = router->connections.grave;
            router->connections.grave = c;
        }
    }
}

/* Everything is written: what was waiting for that goes on. */
static void connection_drained(struct connection *c)
{
    if (c->state == CONNECTION_ENDING)
        connection_set_state(c, c->linger && !c->eof ? CONNECTION_LINGERING : CONNECTION_DEAD);
    else if (c->state == CONNECTION_HEAD && buf_len(&c->in) > 0)
        connection_mark_ready(c);
}

static void connection_add_bulk(struct connections *all, struct connection *c)
{
    c->dirty = true;
    c->dirty_next = NULL;
    *(all->bulk ? &all->bulk_last->dirty_next : &all->bulk) = c;
    all->bulk_last = c;
}

/* Writes `most` bytes or what the socket takes; returns how many went. */
static size_t connection_flush(struct connection *c, size_t most)
{
    struct router *r = c->router;
    size_t written;
    enum output_result result = output_write(&c->out, &r->outputs, &c->socket, most, &written);
    metrics_add(r->metrics, METRIC_SENT, written);
    switch (result) {
    case OUTPUT_BROKEN:
        connection_close(c);
        return written;
    case OUTPUT_PARTLY:
        deadline_clear(&c->stall);
        connection_add_bulk(&r->connections, c);
        break;
    case OUTPUT_BLOCKED:
        c->blocked = true;
        if (written || !deadline_armed(&c->stall))
            deadline_set(&r->deadlines, DEADLINE_WRITE, &c->stall, r->now_ms + r->cfg->limits_write_timeout);
        break;
    case OUTPUT_EMPTY:
        deadline_clear(&c->stall);
        connection_drained(c);
        break;
    }
    if (c->request.ops && c->request.ops->drained)
        c->request.ops->drained(&c->request);
    connection_watch(c);
    return written;
}

void connection_push(struct connection *c)
{
    if (!c->blocked && c->state != CONNECTION_DEAD)
        (void)connection_flush(c, SIZE_MAX);
}

void connections_flush(struct router *router)
{
    struct connection *c;
    while ((c = router->connections.dirty)) {
        router->connections.dirty = c->dirty_next;
        c->dirty = false;
        if (c->state == CONNECTION_DEAD)
            continue;
        if (c->out.bytes > BULK)
            connection_add_bulk(&router->connections, c);
        else
            (void)connection_flush(c, SIZE_MAX);
    }
}

void connections_flush_bulk(struct router *router)
{
    struct connection *c;
    size_t left = BULK_A_TURN;
    while (left && (c = router->connections.bulk)) {
        router->connections.bulk = c->dirty_next;
        c->dirty = false;
        size_t written = c->state == CONNECTION_DEAD ? 0 : connection_flush(c, left);
        left -= written < left ? written : left;
    }
}

void connections_sweep(struct router *router)
{
    struct connection *c, *listed = NULL;
    while ((c = router->connections.grave)) {
        router->connections.grave = c->ready_next;
        if (c->dirty) { /* until the list of bulk lets it go */
            c->ready_next = listed;
            listed = c;
            continue;
        }
        request_clear(&c->request);
        buf_clear(&c->in);
        output_clear(&c->out, &router->outputs);
        free(c);
    }
    router->connections.grave = listed;
}

/* ---- time and the end ---- */

/* `what` is the part of the request that took longer than the key `limit` allows, which is `ms`. */
static void connection_refuse_slow(struct connection *c, const char *what, const char *limit, uint64_t ms)
{
    struct detail detail;
    connection_refuse(c,
                      detail_say(&detail, ERR_REQUEST_TIMEOUT, "%s took longer than %s, %llu ms", what, limit,
                                 (unsigned long long)ms),
                      detail.text);
}

void connection_timer_expired(struct connection *c, enum deadline_class class)
{
    switch (class) {
    case DEADLINE_HEAD:
        request_stats_begin(&c->request);
        connection_refuse_slow(c, "the request head", "limits.head_timeout", c->router->cfg->limits_head_timeout);
        return;
    case DEADLINE_BODY:
        connection_refuse_slow(c, "a piece of the body", "limits.body_timeout", c->router->cfg->limits_body_timeout);
        return;
    case DEADLINE_LONG_POLL:
    case DEADLINE_SSE_LIFETIME:
    case DEADLINE_SUSPENDED:
        c->request.ops->expired(&c->request);
        return;
    case DEADLINE_IDLE:
    case DEADLINE_LINGER:
        connection_close(c);
        return;
    default:
        fatalx("a client's timer is of class %d", (int)class);
    }
}

/* True: it is about to end. */
static bool connection_let_go(struct connection *c)
{
    const struct job_ops *ops = c->request.ops;
    if (ops && ops->stop)
        return ops->stop(&c->request);
    if (c->state != CONNECTION_HEAD)
        return false;
    connection_set_state(c, c->out.bytes ? CONNECTION_ENDING : CONNECTION_DEAD);
    return true;
}

void connections_let_go(struct router *router, size_t most)
{
    for (struct connection *c = router->connections.first, *next; c && most; c = next) {
        next = c->next;
        most -= connection_let_go(c);
    }
}

void connections_stop(struct router *router)
{
    connections_let_go(router, SIZE_MAX);
}
