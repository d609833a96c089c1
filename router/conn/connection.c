/* A client's socket: when it is read and written, its timers, its states, its end.
 *
 * Happy path: the socket is readable, and the protocol takes what came; a request begins to be worked on (WAITING), an
 * answer is queued (connection_send), the turn writes it (connections_flush), and the connection waits for the next.
 *
 * Failure modes:
 *   - The client takes nothing: the socket is full, limits.write_timeout ends the connection. Meanwhile nothing more is
 *     read of it than CONNECTION_OUTPUT_PAUSE and READ_AHEAD allow.
 *   - The client sends nothing: limits.idle_timeout between requests, head_timeout and body_timeout within one.
 *   - The client is gone: everything that works for it is dropped at once (dead), the memory is freed at the end of the
 *     turn (clear), because lists of the turn may still name the connection.
 *   - A request is refused before it was read to its end: LINGERING drops what still comes, so that the client sees the
 *     answer instead of a reset.
 *
 * Nothing here knows HTTP: that is the protocol's matter (struct protocol). */
#include "router/conn/connection.h"

#include <stdlib.h>

#include "common/address.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "router/router.h"

#define LINGER_MS 2000
/* A client with more than this to write is served after the others, so much of it a turn: a turn stays short however
 * many are catching up. */
#define BULK ((size_t)64 << 10)
#define BULK_A_TURN ((size_t)128 << 10)
#define READ_AHEAD ROUTER_SCRATCH /* held of what comes behind a request under way */

/* ---- the socket ---- */

/* Puts the connection on the list that the turn's end writes: many pieces of one turn become one send(). */
static void connection_mark_dirty(struct connection *c)
{
    if (c->dirty || c->state == CONNECTION_DEAD)
        return;
    c->dirty = true;
    c->dirty_next = c->router->connections.dirty;
    c->router->connections.dirty = c;
}

/* Puts the connection on the list of those with unparsed input, which connections_resume() goes through. Parsing from
 * here would recurse: an answer, the next request, its answer, and so on. */
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
        c->router->connections.protocol->readable(c);
}

static bool connection_wants_input(const struct connection *c)
{
    if (c->eof)
        return false;
    switch (c->state) {
    case CONNECTION_HEAD:
        return c->out.bytes < CONNECTION_OUTPUT_PAUSE;
    case CONNECTION_BODY:
        return !c->body_paused;
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
    /* Each change is a system call, so nothing is done while the same events are wanted. */
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

void connection_pause_body(struct connection *c, bool paused)
{
    if (c->body_paused == paused)
        return;
    c->body_paused = paused;
    connection_watch(c);
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

/* Takes the connection off everything that could call it, and closes the socket. The memory is freed at the end of the
 * turn, because lists of this turn may still name the connection. */
static void connection_bury(struct connection *c)
{
    struct router *r = c->router;
    r->connections.protocol->dead(c);
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
    } /* otherwise ready_next is in use: connections_resume() moves it to the grave */
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

/* ---- the steps of a turn ---- */

void connections_resume(struct router *router)
{
    struct connection *c;
    while ((c = router->connections.ready)) {
        router->connections.ready = c->ready_next;
        c->ready = false;
        if (c->state != CONNECTION_DEAD) {
            router->connections.protocol->resume(c);
        } else {
            c->ready_next = router->connections.grave;
            router->connections.grave = c;
        }
    }
}

/* Everything is written: a connection that was to end ends, one whose input waited for the client is parsed on. */
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
        /* Any progress restarts the clock: slow clients live, those that take nothing do not. */
        if (written || !deadline_armed(&c->stall))
            deadline_set(&r->deadlines, DEADLINE_WRITE, &c->stall, r->now_ms + r->cfg->limits_write_timeout);
        break;
    case OUTPUT_EMPTY:
        deadline_clear(&c->stall);
        connection_drained(c);
        break;
    }
    r->connections.protocol->drained(c);
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
        if (c->dirty) { /* still on the list of bulk, which would follow a freed pointer */
            c->ready_next = listed;
            listed = c;
            continue;
        }
        router->connections.protocol->clear(c);
        buf_clear(&c->in);
        output_clear(&c->out, &router->outputs);
        free(c);
    }
    router->connections.grave = listed;
}

/* ---- time and the end ---- */

void connection_timer_expired(struct connection *c, enum deadline_class class)
{
    if (class == DEADLINE_IDLE || class == DEADLINE_LINGER)
        connection_close(c);
    else
        c->router->connections.protocol->expired(c, class);
}

/* True: it is about to end. */
static bool connection_let_go(struct connection *c)
{
    if (c->state != CONNECTION_HEAD)
        return c->router->connections.protocol->stop(c);
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
