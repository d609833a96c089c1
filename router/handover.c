/* Connections in an upgrade: how they move from one router to the next.
 *
 *      the router that leaves                                   the router that takes over
 *
 *   SERVING                                                   SERVING (its listener accepts already)
 *      | handover_begin: a socket to the successor               | handover_accept
 *      v                                                         |
 *   LEAVING -- each turn: connections that nothing is owed to    |
 *      |       (idle, or a live read that rests) ------------->  handover_receive: connection_new, put back what was
 *      |       as a frame and a descriptor                       |  received, reader_resume at the same position
 *      |                                                         |
 *      | none are left, and all frames have left                 | the link is at its end: all of them are here
 *      v                                                         v
 *   DONE                                                      SERVING
 *
 * Happy path: a connection is handed over when its answer is out; until then the leaving router serves it. A live read
 * goes with its position, cursor and grant, so its client notices nothing, and no byte is sent twice: what was queued
 * for the client has to be written first (connection->out is empty).
 *
 * Failure modes:
 *   - The successor dies, or router.handover_timeout passes: DRAINING. Connections that are left end one after the
 *     other over DRAIN_MS, live reads with a last control event, so that their clients do not come back all at once.
 *   - A descriptor cannot be sent or received (the process has too many): the sender tries in the next turn; the
 *     receiver has lost that client, which reconnects.
 *   - The supervisor stops both: the successor stops what it has just taken over as well.
 *   - Keys change while a live read is on its way: the successor looks at its grant again before it goes on. */
#include "router/handover.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "router/live/reader.h"
#include "router/observe/request_log.h"
#include "router/router.h"

#define ON_THEIR_WAY ((size_t)64 << 10) /* bytes of frames: each has a descriptor that is open twice meanwhile */
#define RECEIVE ((size_t)64 << 10)      /* the same, a turn */
#define DRAIN_MS 5000u                  /* the ends of the remaining readers are spread over this time */

void handover_init(struct router *r)
{
    r->handover.successor.fd = r->handover.predecessor.fd = -1;
}

/* ---- the router that leaves ---- */

void handover_begin(struct router *r, int fd)
{
    struct handover *h = &r->handover;
    listener_close(r);
    link_open(&h->successor, r->base, fd, 0);
    h->leaving = true;
    h->draining = false;
    h->until_ms = r->now_ms + r->cfg->router_handover_timeout;
    log_info("handing over %zu clients", r->connections.count);
}

static void handover_begin_drain(struct router *r, const char *why)
{
    struct handover *h = &r->handover;
    if (r->connections.count)
        log_warn("%s: disconnecting %zu clients", why, r->connections.count);
    link_close(&h->successor);
    h->draining = true;
    h->until_ms = r->now_ms + DRAIN_MS;
}

static uint32_t handover_cors_flags(enum request_cors cors)
{
    static const uint32_t flags[] = {[CORS_ANY] = WIRE_HANDED_CORS_ANY,
                                     [CORS_ORIGIN] = WIRE_HANDED_CORS_ORIGIN,
                                     [CORS_VARY] = WIRE_HANDED_CORS_VARY};
    return flags[cors];
}

static uint32_t handover_grant_flags(const struct grant *grant)
{
    return (grant->checked ? WIRE_HANDED_CHECKED : 0) | (grant->anonymous ? WIRE_HANDED_ANONYMOUS : 0) |
           (grant->shared ? WIRE_HANDED_PROJECT_PUBLIC : 0);
}

/* key: room for the reader key, which *m points to. */
static void handover_describe_reader(const struct connection *c, struct wire_handed *m,
                                     char key[2 * READER_KEY_BYTES + 1])
{
    const struct reader *reader = reader_of(&c->request);
    m->flags |= WIRE_HANDED_READER | (reader->sse ? WIRE_HANDED_SSE : 0) |
                (c->request.chunked ? WIRE_HANDED_CHUNKED : 0) | (c->request.http10 ? WIRE_HANDED_HTTP10 : 0) |
                (c->request.keep_alive ? WIRE_HANDED_KEEP_ALIVE : 0) |
                (c->request.shared_answer ? WIRE_HANDED_SHARED : 0) | (reader->asked_now ? WIRE_HANDED_NOW : 0) |
                (reader->asked_earliest ? WIRE_HANDED_EARLIEST : 0) |
                (reader->asked_from != WIRE_FROM_OFFSET ? WIRE_HANDED_SOUGHT : 0) |
                handover_cors_flags(c->request.cors) | handover_grant_flags(&c->request.grant);
    m->began_us = c->request.stats.began_us;
    m->request_id = request_log_id(&c->request);
    m->name = slice_of(reader->entry->name, reader->entry->name_len);
    m->position = reader_position(reader);
    m->limit = reader->limit;
    m->cursor = reader->cursor;
    m->uid = reader->uid;
    m->ends_ms = reader->ends_ms;
    m->origin = c->request.origin ? slice_str(c->request.origin) : SLICE("");
    m->reader_key = grant_reader_key(&c->request.grant, key);
    m->expires_s = c->request.grant.expires_s;
    m->key = c->request.grant.key;
    m->project = c->request.grant.project;
}

/* Whether the connection can move: no answer is owed to its client, and a frame can describe its state. */
static bool handover_may_go(const struct connection *c)
{
    if (c->out.bytes || c->eof || c->refused)
        return false;
    const struct reader *reader = reader_of(&c->request);
    return c->state == CONNECTION_HEAD || (reader && reader_rests(reader));
}

static void handover_hand_over(struct router *r, struct connection *c)
{
    struct link *link = &r->handover.successor;
    struct wire_handed m = {.input = buf_slice(&c->in)};
    char key[2 * READER_KEY_BYTES + 1];
    if (c->only_metrics) { /* a scraper connects again */
        connection_close(c);
        return;
    }
    if (reader_of(&c->request))
        handover_describe_reader(c, &m, key);
    if (!link_enclose(link, c->socket.fd))
        return; /* no descriptor is free: the next turn tries again */
    wire_put_handed(&link->out, &m);
    r->handover.count++;
    request_stats_forget(&c->request);
    connection_close(c);
    fault_point("router.handed");
}

bool handover_under_way(const struct router *r)
{
    return r->handover.predecessor.fd >= 0 || buf_len(&r->handover.successor.out);
}

void handover_send(struct router *r)
{
    struct handover *h = &r->handover;
    if (!h->leaving)
        return;
    if (!h->draining) {
        for (struct connection *c = r->connections.first, *next; c && buf_len(&h->successor.out) < ON_THEIR_WAY;
             c = next) {
            next = c->next;
            if (handover_may_go(c))
                handover_hand_over(r, c);
        }
        link_flush(&h->successor);
        if (link_receive(&h->successor, RECEIVE) || h->successor.dead)
            handover_begin_drain(r, "the router that takes over is gone");
    }
    if (!r->connections.count && !buf_len(&h->successor.out) && !r->stopping) {
        log_info("handed over %zu clients", h->count);
        role_done(r->role);
    }
}

/* ---- draining ---- */

void handover_tick(struct router *r)
{
    struct handover *h = &r->handover;
    if (!h->leaving)
        return;
    if (!h->draining && r->now_ms >= h->until_ms)
        handover_begin_drain(r, "they could not be handed over in router.handover_timeout");
    if (!h->draining)
        return;
    uint64_t left = h->until_ms > r->now_ms ? h->until_ms - r->now_ms : 0;
    size_t most = left ? (size_t)(r->connections.count * ROUTER_TICK_MS / left) + 1 : SIZE_MAX;
    connections_let_go(r, most);
}

/* ---- the router that takes over ---- */

void handover_accept(struct router *r, int fd)
{
    link_open(&r->handover.predecessor, r->base, fd, 0);
}

static enum request_cors handover_cors_of(uint32_t flags)
{
    return flags & WIRE_HANDED_CORS_ANY      ? CORS_ANY
           : flags & WIRE_HANDED_CORS_ORIGIN ? CORS_ORIGIN
           : flags & WIRE_HANDED_CORS_VARY   ? CORS_VARY
                                             : CORS_NONE;
}

static void handover_restore_grant(struct grant *grant, const struct wire_handed *m)
{
    *grant = (struct grant){
        .checked = m->flags & WIRE_HANDED_CHECKED,
        .anonymous = m->flags & WIRE_HANDED_ANONYMOUS,
        .shared = m->flags & WIRE_HANDED_PROJECT_PUBLIC,
        .expires_s = m->expires_s,
        .key = m->key,
        .project = m->project,
    };
    grant_take_reader_key(grant, m->reader_key);
}

static void handover_take_reader(struct connection *c, const struct wire_handed *m)
{
    const struct reader state = {
        .sse = m->flags & WIRE_HANDED_SSE,
        .started = m->flags & WIRE_HANDED_SSE,
        .answered_once = true,
        .asked_now = m->flags & WIRE_HANDED_NOW,
        .asked_earliest = m->flags & WIRE_HANDED_EARLIEST,
        .asked_from = m->flags & WIRE_HANDED_SOUGHT ? WIRE_FROM_TAIL : WIRE_FROM_OFFSET,
        .uid = m->uid,
        .position = m->position,
        .limit = reader_limit(m->limit),
        .cursor = m->cursor,
        .ends_ms = m->ends_ms,
    };
    c->request.chunked = m->flags & WIRE_HANDED_CHUNKED;
    c->request.http10 = m->flags & WIRE_HANDED_HTTP10;
    c->request.keep_alive = m->flags & WIRE_HANDED_KEEP_ALIVE;
    c->request.shared_answer = m->flags & WIRE_HANDED_SHARED;
    c->request.cors = handover_cors_of(m->flags);
    c->request.origin = c->request.cors == CORS_ORIGIN ? xslicedup(m->origin) : NULL;
    handover_restore_grant(&c->request.grant, m);
    request_stats_resume(&c->request, m->began_us, m->flags & WIRE_HANDED_SSE ? 200 : 0);
    request_log_resume(&c->request, m->name, m->request_id);
    reader_resume(&c->request, m->name, &state);
    request_recheck(&c->request); /* keys may have been removed while the reader was on its way */
}

static void handover_take_connection(struct router *r, const struct wire_handed *m)
{
    int fd = link_take_fd(&r->handover.predecessor);
    if (fd < 0) {
        log_warn("a client that was handed over is lost: no descriptor was free");
        return;
    }
    struct connection *c = connection_new(r, fd);
    r->handover.count++;
    connection_put_back(c, m->input);
    if (m->flags & WIRE_HANDED_READER)
        handover_take_reader(c, m);
    fault_point("router.taken");
}

void handover_receive(struct router *r)
{
    struct link *link = &r->handover.predecessor;
    enum wire_type type;
    struct slice body;
    size_t cursor = 0;
    if (link->fd < 0)
        return;
    if (link_receive(link, RECEIVE)) {
        while (link_next(link, &cursor, &type, &body)) {
            struct wire_handed m;
            if (type == WIRE_HANDED && wire_get_handed(body, &m))
                handover_take_connection(r, &m);
            else
                log_error("unexpected or malformed %s from a predecessor", wire_name(type));
        }
        link_release(link, cursor);
        if (r->stopping) /* this process has ended its connections already; the new ones follow */
            connections_stop(r);
    }
    if (!link->dead)
        return;
    log_info("took over %zu clients", r->handover.count);
    r->handover.count = 0;
    link_close(link);
}
