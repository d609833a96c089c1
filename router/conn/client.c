#include "router/conn/client.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/detail.h"
#include "common/log.h"
#include "common/mem.h"
#include "router/conn/answer.h"
#include "router/conn/request_reader.h"
#include "router/handlers/listing.h"
#include "router/live/collapse.h"
#include "router/live/reader.h"
#include "router/router.h"

#define LINGER_MS 2000
/* A client with more than this to write is served after the others, so much of it a turn: a turn stays short however
 * many are catching up. */
#define BULK ((size_t)64 << 10)
#define BULK_A_TURN ((size_t)128 << 10)
#define READ_AHEAD ROUTER_SCRATCH /* held of what comes behind a request under way */

/* ---- the socket ---- */

static void client_mark_dirty(struct client *c)
{
    if (c->dirty || c->state == CLIENT_DEAD)
        return;
    c->dirty = true;
    c->dirty_next = c->router->clients.dirty;
    c->router->clients.dirty = c;
}

static void client_mark_ready(struct client *c)
{
    if (c->ready || c->state == CLIENT_DEAD)
        return;
    c->ready = true;
    c->ready_next = c->router->clients.ready;
    c->router->clients.ready = c;
}

static void client_on_event(evutil_socket_t fd, short what, void *arg)
{
    struct client *c = arg;
    (void)fd;
    router_clock(c->router);
    if (what & EV_WRITE) {
        c->blocked = false;
        client_mark_dirty(c);
    }
    if (what & EV_READ)
        request_reader_readable(c);
}

static bool client_wants_input(const struct client *c)
{
    if (c->eof)
        return false;
    switch (c->state) {
    case CLIENT_HEAD:
        return c->out.bytes < CLIENT_OUTPUT_PAUSE;
    case CLIENT_BODY:
    case CLIENT_LINGERING:
        return true;
    case CLIENT_WAITING:
    case CLIENT_LIVE:
        return buf_len(&c->in) < READ_AHEAD;
    case CLIENT_ENDING:
    case CLIENT_DEAD:
        return false;
    }
    return false;
}

void client_watch(struct client *c)
{
    short want = (short)((client_wants_input(c) ? EV_READ : 0) | (c->blocked ? EV_WRITE : 0));
    int fd = event_get_fd(&c->event);
    if (want == c->watched || c->state == CLIENT_DEAD)
        return;
    if (c->watched)
        event_del(&c->event);
    c->watched = want;
    if (!want)
        return;
    event_assign(&c->event, c->router->base, fd, (short)(want | EV_PERSIST), client_on_event, c);
    if (event_add(&c->event, NULL) != 0)
        fatalx("cannot watch a client's socket");
}

void client_send(struct client *c, struct block *block, size_t start, size_t len)
{
    output_add(&c->out, &c->router->outputs, block, start, len);
    c->account.bytes += len;
    if (!c->blocked)
        client_mark_dirty(c);
}

/* ---- life and state ---- */

struct client *client_new(struct router *router, int fd)
{
    struct client *c = xcalloc(1, sizeof *c);
    c->router = router;
    c->next = router->clients.first;
    if (c->next)
        c->next->prev = c;
    router->clients.first = c;
    router->clients.count++;
    event_assign(&c->event, router->base, fd, EV_READ | EV_PERSIST, client_on_event, c);
    client_set_state(c, CLIENT_HEAD);
    return c;
}

/* What came by IPv4 to a socket of IPv6, as systemd makes them, is an address of IPv4. */
static void client_unmap(struct sockaddr_storage *address)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    if (address->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        return;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = v6->sin6_port};
    memcpy(&v4.sin_addr, v6->sin6_addr.s6_addr + 12, sizeof v4.sin_addr);
    *address = (struct sockaddr_storage){0};
    memcpy(address, &v4, sizeof v4);
}

bool client_address(const struct client *c, struct sockaddr_storage *address)
{
    socklen_t len = sizeof *address;
    *address = (struct sockaddr_storage){0};
    if (getpeername(event_get_fd(&c->event), (struct sockaddr *)address, &len) != 0)
        return false;
    client_unmap(address);
    return true;
}

void client_put_back(struct client *c, struct slice input)
{
    buf_add_slice(&c->in, input);
    if (input.len)
        client_mark_ready(c);
}

static void client_end_exchange(struct client *c)
{
    free(c->exchange.origin);
    free(c->exchange.text);
    if (c->exchange.listing)
        c->router->clients.rows_bytes -= buf_len(&c->exchange.listing->rows);
    listing_free(c->exchange.listing);
    c->exchange = (struct exchange){0};
    c->cors = CORS_NONE;
}

/* Takes the connection apart as far as others hold on to it; the memory goes at the end of the turn. */
static void client_bury(struct client *c)
{
    struct router *r = c->router;
    int fd = event_get_fd(&c->event);
    account_end(c);
    if (c->reader)
        reader_free(c->reader);
    if (c->request)
        request_abandon(&r->shards, c->request);
    collapse_drop(c);
    hold_drop(c);
    request_reader_drop(c);
    deadline_clear(&c->stall);
    if (c->watched)
        event_del(&c->event);
    close(fd);
    if (c->prev)
        c->prev->next = c->next;
    else
        r->clients.first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    r->clients.count--;
    r->clients.refused -= c->refused;
    r->clients.scraping -= c->only_metrics;
    if (!c->ready) {
        c->ready_next = r->clients.grave;
        r->clients.grave = c;
    } /* else clients_resume() meets it and buries it */
}

void client_arm(struct client *c, enum deadline_class class, uint64_t after)
{
    c->timer_class = class;
    deadline_set(&c->router->deadlines, class, &c->timer, c->router->now_ms + after);
}

void client_set_state(struct client *c, enum client_state state)
{
    struct router *r = c->router;
    if (c->state == CLIENT_DEAD)
        return;
    deadline_clear(&c->timer);
    c->state = state;
    switch (state) {
    case CLIENT_HEAD:
        client_arm(c, DEADLINE_IDLE, r->cfg->limits_idle_timeout);
        break;
    case CLIENT_BODY:
        client_arm(c, DEADLINE_BODY, r->cfg->limits_body_timeout);
        break;
    case CLIENT_LINGERING:
        shutdown(event_get_fd(&c->event), SHUT_WR);
        client_arm(c, DEADLINE_LINGER, LINGER_MS);
        break;
    case CLIENT_WAITING:
    case CLIENT_LIVE:
        break;
    case CLIENT_ENDING:
        client_mark_dirty(c); /* the flush sees that nothing is left to write */
        break;
    case CLIENT_DEAD:
        client_bury(c);
        return;
    }
    client_watch(c);
}

void client_close(struct client *c)
{
    client_set_state(c, CLIENT_DEAD);
}

void client_done(struct client *c)
{
    bool more = buf_len(&c->in) > 0;
    account_end(c);
    client_end_exchange(c);
    if (c->state == CLIENT_DEAD)
        return;
    if (more && !c->keep_alive)
        c->linger = true; /* closing with unread bytes would take the answer back */
    if (!c->keep_alive || c->router->stopping || c->router->handover.draining || (c->eof && !more)) {
        client_set_state(c, CLIENT_ENDING);
        return;
    }
    client_set_state(c, CLIENT_HEAD);
    if (more)
        client_mark_ready(c);
}

void client_refuse(struct client *c, enum error error, const char *text)
{
    request_reader_drop(c);
    c->keep_alive = false;
    c->linger = true;
    answer_error_text(c, error, text);
}

/* ---- the steps of a turn ---- */

void clients_resume(struct router *router)
{
    struct client *c;
    while ((c = router->clients.ready)) {
        router->clients.ready = c->ready_next;
        c->ready = false;
        if (c->state != CLIENT_DEAD) {
            request_reader_resume(c);
        } else {
            c->ready_next = router->clients.grave;
            router->clients.grave = c;
        }
    }
}

/* Everything is written: what was waiting for that goes on. */
static void client_drained(struct client *c)
{
    if (c->state == CLIENT_ENDING)
        client_set_state(c, c->linger && !c->eof ? CLIENT_LINGERING : CLIENT_DEAD);
    else if (c->state == CLIENT_HEAD && buf_len(&c->in) > 0)
        client_mark_ready(c);
}

static void client_add_bulk(struct clients *clients, struct client *c)
{
    c->dirty = true;
    c->dirty_next = NULL;
    *(clients->bulk ? &clients->bulk_last->dirty_next : &clients->bulk) = c;
    clients->bulk_last = c;
}

/* Writes `most` bytes or what the socket takes; returns how many went. */
static size_t client_flush(struct client *c, size_t most)
{
    struct router *r = c->router;
    size_t written;
    enum output_result result = output_write(&c->out, &r->outputs, event_get_fd(&c->event), most, &written);
    metrics_add(r->metrics, METRIC_SENT, written);
    switch (result) {
    case OUTPUT_BROKEN:
        client_close(c);
        return written;
    case OUTPUT_PARTLY:
        deadline_clear(&c->stall);
        client_add_bulk(&r->clients, c);
        break;
    case OUTPUT_BLOCKED:
        c->blocked = true;
        if (written || !deadline_armed(&c->stall))
            deadline_set(&r->deadlines, DEADLINE_WRITE, &c->stall, r->now_ms + r->cfg->limits_write_timeout);
        break;
    case OUTPUT_EMPTY:
        deadline_clear(&c->stall);
        client_drained(c);
        break;
    }
    if (c->state == CLIENT_LIVE)
        reader_drained(c->reader);
    client_watch(c);
    return written;
}

void client_push(struct client *c)
{
    if (!c->blocked && c->state != CLIENT_DEAD)
        (void)client_flush(c, SIZE_MAX);
}

void clients_flush(struct router *router)
{
    struct client *c;
    while ((c = router->clients.dirty)) {
        router->clients.dirty = c->dirty_next;
        c->dirty = false;
        if (c->state == CLIENT_DEAD)
            continue;
        if (c->out.bytes > BULK)
            client_add_bulk(&router->clients, c);
        else
            (void)client_flush(c, SIZE_MAX);
    }
}

void clients_flush_bulk(struct router *router)
{
    struct client *c;
    size_t left = BULK_A_TURN;
    while (left && (c = router->clients.bulk)) {
        router->clients.bulk = c->dirty_next;
        c->dirty = false;
        size_t written = c->state == CLIENT_DEAD ? 0 : client_flush(c, left);
        left -= written < left ? written : left;
    }
}

void clients_sweep(struct router *router)
{
    struct client *c, *listed = NULL;
    while ((c = router->clients.grave)) {
        router->clients.grave = c->ready_next;
        if (c->dirty) { /* until the list of bulk lets it go */
            c->ready_next = listed;
            listed = c;
            continue;
        }
        client_end_exchange(c);
        buf_clear(&c->in);
        output_clear(&c->out, &router->outputs);
        free(c);
    }
    router->clients.grave = listed;
}

/* ---- time and the end ---- */

/* `what` is the part of the request that took longer than the key `limit` allows, which is `ms`. */
static void client_refuse_slow(struct client *c, const char *what, const char *limit, uint64_t ms)
{
    struct detail detail;
    client_refuse(c,
                  detail_say(&detail, ERR_REQUEST_TIMEOUT, "%s took longer than %s, %llu ms", what, limit,
                             (unsigned long long)ms),
                  detail.text);
}

void client_timer_expired(struct client *c, enum deadline_class class)
{
    switch (class) {
    case DEADLINE_HEAD:
        account_begin(c);
        client_refuse_slow(c, "the request head", "limits.head_timeout", c->router->cfg->limits_head_timeout);
        return;
    case DEADLINE_BODY:
        client_refuse_slow(c, "a piece of the body", "limits.body_timeout", c->router->cfg->limits_body_timeout);
        return;
    case DEADLINE_LONG_POLL:
    case DEADLINE_SSE_LIFETIME:
        reader_end(c->reader);
        return;
    case DEADLINE_IDLE:
    case DEADLINE_LINGER:
        client_close(c);
        return;
    case DEADLINE_HOLD:
        hold_expired(c);
        return;
    default:
        fatalx("a client's timer is of class %d", (int)class);
    }
}

/* True: it is about to end. */
static bool client_let_go(struct client *c)
{
    if (c->state == CLIENT_LIVE)
        return reader_stop(c->reader);
    if (c->state != CLIENT_HEAD)
        return false;
    client_set_state(c, c->out.bytes ? CLIENT_ENDING : CLIENT_DEAD);
    return true;
}

void clients_let_go(struct router *router, size_t most)
{
    for (struct client *c = router->clients.first, *next; c && most; c = next) {
        next = c->next;
        most -= client_let_go(c);
    }
}

void clients_stop(struct router *router)
{
    clients_let_go(router, SIZE_MAX);
}
