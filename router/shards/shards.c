#include "router/shards/shards.h"

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "router/live/live.h"
#include "router/router.h"

#define READS_AT_ONCE 64                /* to one shard: bounds what their answers hold */
#define RECEIVE_LIMIT ((size_t)4 << 20) /* from one shard in one turn */
#define FRAME_KEEP 1024                 /* a request's buffer that is kept for the next one */

void shards_init(struct shards *shards, struct router *router)
{
    const char *why = "";
    shards->router = router;
    switch (layout_load(router->cfg->server_data_dir, &shards->layout, &why)) {
    case LAYOUT_LOADED:
        break;
    case LAYOUT_ABSENT:
        fatal_never_restart("%s/layout is missing", router->cfg->server_data_dir);
    case LAYOUT_DAMAGED:
        fatal_never_restart("%s/layout: %s", router->cfg->server_data_dir, why);
    }
    shards->peers = xcalloc(LAYOUT_SHARDS_MAX, sizeof *shards->peers);
    for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++)
        shards->peers[i].link.fd = -1;
}

unsigned shards_of(const struct shards *shards, struct slice name)
{
    return shards->layout.owner[layout_slot(name)];
}

/* ---- lists ---- */

static void shards_list_append(struct shard_request_list *list, struct shard_request *q)
{
    q->list = list;
    q->next = NULL;
    q->prev = list->last;
    if (q->prev)
        q->prev->next = q;
    else
        list->first = q;
    list->last = q;
}

static void shards_list_prepend(struct shard_request_list *list, struct shard_request *q)
{
    q->list = list;
    q->prev = NULL;
    q->next = list->first;
    if (q->next)
        q->next->prev = q;
    else
        list->last = q;
    list->first = q;
}

static void shards_list_remove(struct shard_request *q)
{
    if (q->prev)
        q->prev->next = q->next;
    else
        q->list->first = q->next;
    if (q->next)
        q->next->prev = q->prev;
    else
        q->list->last = q->prev;
    q->list = NULL;
    q->prev = q->next = NULL;
}

static struct shard_request_list *shards_waiting_list(struct shard_peer *peer, const struct shard_request *q)
{
    return q->is_read ? &peer->reads : &peer->queue;
}

/* ---- requests ---- */

static struct shard_request *shards_slot_new(struct shards *shards)
{
    struct shard_request *q = shards->unused;
    if (q) {
        shards->unused = q->next;
        q->next = NULL;
        return q;
    }
    if (shards->slot_count % 256 == 0)
        shards->slots = xrealloc(shards->slots, (shards->slot_count + 256) * sizeof *shards->slots);
    q = xcalloc(1, sizeof *q);
    q->id = shards->slot_count;
    shards->slots[shards->slot_count++] = q;
    return q;
}

/* The slot's next id differs in its high half. */
static void shards_slot_free(struct shards *shards, struct shard_request *q)
{
    struct buf frame = q->frame;
    if (frame.cap > FRAME_KEEP)
        buf_clear(&frame);
    buf_reset(&frame);
    *q = (struct shard_request){.id = q->id + ((uint64_t)1 << 32), .frame = frame, .next = shards->unused};
    shards->unused = q;
}

static struct shard_request *shards_find(const struct shards *shards, unsigned shard, uint64_t id)
{
    uint32_t slot = (uint32_t)id;
    struct shard_request *q = slot < shards->slot_count ? shards->slots[slot] : NULL;
    return q && q->id == id && q->list == &shards->peers[shard].sent ? q : NULL;
}

struct shard_request *shard_request_new(struct shards *shards, unsigned shard, shard_answered *answered, void *owner)
{
    struct shard_request *q = shards_slot_new(shards);
    q->shard = shard;
    q->answered = answered;
    q->owner = owner;
    q->timed = shards->router->timing;
    return q;
}

static void shards_transmit(struct shard_peer *peer, struct shard_request *q)
{
    size_t before = buf_len(&peer->link.out);
    shards_list_remove(q);
    if (q->timed)
        wire_put_time(&peer->link.out, &(struct wire_time){.id = q->id});
    buf_add_slice(&peer->link.out, buf_slice(&q->frame));
    peer->put += buf_len(&peer->link.out) - before;
    q->end = peer->put;
    shards_list_append(&peer->sent, q);
    q->parked = false;
    peer->reads_out += q->is_read;
}

/* Sends what may go now. */
static void shards_pump(struct shard_peer *peer)
{
    if (!link_up(&peer->link))
        return;
    while (peer->queue.first)
        shards_transmit(peer, peer->queue.first);
    while (peer->reads.first && peer->reads_out < READS_AT_ONCE)
        shards_transmit(peer, peer->reads.first);
}

static void shards_arm_wait(struct shards *shards, struct shard_request *q)
{
    struct router *r = shards->router;
    if (!q->patient && !deadline_armed(&q->wait))
        deadline_set(&r->deadlines, DEADLINE_SHARD_WAIT, &q->wait, r->now_ms + r->cfg->router_shard_wait);
}

static void shards_forget(struct shards *shards, struct shard_request *q)
{
    deadline_clear(&q->wait);
    shards_slot_free(shards, q);
}

static bool shards_too_much(const struct shards *shards, const struct shard_peer *peer, const struct shard_request *q)
{
    return !q->patient && peer->held && peer->held + buf_len(&q->frame) > shards->router->cfg->router_queue_memory;
}

bool shard_request_send(struct shards *shards, struct shard_request *q)
{
    struct shard_peer *peer = &shards->peers[q->shard];
    if (shards_too_much(shards, peer, q)) {
        shards_forget(shards, q);
        return false;
    }
    peer->held += buf_len(&q->frame);
    if (q->patient)
        shards_list_prepend(shards_waiting_list(peer, q), q);
    else
        shards_list_append(shards_waiting_list(peer, q), q);
    if (link_up(&peer->link))
        shards_pump(peer);
    else
        shards_arm_wait(shards, q);
    return true;
}

static void shards_finish(struct shards *shards, struct shard_request *q, const struct answer *answer)
{
    struct shard_peer *peer = &shards->peers[q->shard];
    if (q->list == &peer->sent)
        peer->reads_out -= q->is_read && !q->parked;
    shards_list_remove(q);
    peer->held -= buf_len(&q->frame);
    if (q->answered)
        q->answered(q, answer);
    shards_forget(shards, q);
    shards_pump(peer);
}

static void shards_fail(struct shards *shards, struct shard_request *q, enum error error, const char *text)
{
    const struct answer answer = {.error = error, .text = text};
    shards_finish(shards, q, &answer);
}

bool shard_request_has_left(const struct shards *shards, const struct shard_request *q)
{
    const struct shard_peer *peer = &shards->peers[q->shard];
    return q->list == &peer->sent && q->end <= peer->put - buf_len(&peer->link.out);
}

void shard_request_abandon(struct shards *shards, struct shard_request *q)
{
    struct shard_peer *peer = &shards->peers[q->shard];
    q->request = NULL;
    if (!q->always)
        q->answered = NULL;
    if (q->list == &peer->queue || q->list == &peer->reads)
        shards_fail(shards, q, ERR_SHARD_UNAVAILABLE, error_text(ERR_SHARD_UNAVAILABLE));
}

void shard_request_expired(struct shards *shards, struct deadline *wait)
{
    struct shard_request *q = (struct shard_request *)((char *)wait - offsetof(struct shard_request, wait));
    shards_fail(shards, q, ERR_SHARD_UNAVAILABLE, error_text(ERR_SHARD_UNAVAILABLE));
}

void shards_unwatch(struct shards *shards, unsigned shard, struct slice name, uint64_t watch)
{
    struct shard_peer *peer = &shards->peers[shard];
    size_t before = buf_len(&peer->link.out);
    if (!link_up(&peer->link))
        return;
    wire_put_unwatch(&peer->link.out, &(struct wire_unwatch){.name = name, .watch = watch});
    peer->put += buf_len(&peer->link.out) - before;
}

void shards_tell(struct shards *shards, unsigned shard, const struct wire_watch_usage *m)
{
    struct shard_peer *peer = &shards->peers[shard];
    size_t before = buf_len(&peer->link.out);
    if (!link_up(&peer->link))
        return;
    wire_put_watch_usage(&peer->link.out, m);
    peer->put += buf_len(&peer->link.out) - before;
}

/* ---- frames from shards ---- */

static enum error shards_error_of(uint8_t error)
{
    return error < ERR_COUNT ? (enum error)error : ERR_INTERNAL;
}

static struct answer shards_answer_of(uint8_t error, struct slice text, struct detail *detail)
{
    size_t len = text.len < sizeof detail->text ? text.len : sizeof detail->text - 1;
    if (len)
        memcpy(detail->text, text.data, len);
    detail->text[len] = '\0';
    return (struct answer){.error = shards_error_of(error), .text = detail->text};
}

static bool shards_on_stream(struct shards *shards, unsigned shard, struct slice body)
{
    struct wire_stream m;
    if (!wire_get_stream(body, &m))
        return false;
    struct detail detail;
    struct answer answer = shards_answer_of(m.error, m.text, &detail);
    struct answer_file file = {.fd = -1, .at = m.file_at, .len = m.file_bytes};
    if (m.flags & WIRE_STREAM_FILE) {
        file.fd = link_take_fd(&shards->peers[shard].link);
        if (file.fd >= 0)
            answer.file = &file;
        else
            answer.error = ERR_OVERLOADED;
    }
    struct shard_request *q = shards_find(shards, shard, m.id);
    answer.stream = &m;
    if (q)
        shards_finish(shards, q, &answer);
    if (file.fd >= 0)
        close(file.fd);
    return true;
}

static bool shards_on_appended(struct shards *shards, unsigned shard, struct slice body)
{
    struct wire_appended m;
    if (!wire_get_appended(body, &m))
        return false;
    struct shard_request *q = shards_find(shards, shard, m.id);
    struct detail detail;
    struct answer answer = shards_answer_of(m.error, m.text, &detail);
    answer.appended = &m;
    if (q)
        shards_finish(shards, q, &answer);
    return true;
}

static bool shards_on_estuary_state(struct shards *shards, unsigned shard, struct slice body)
{
    struct wire_estuary_state m;
    if (!wire_get_estuary_state(body, &m))
        return false;
    struct shard_request *q = shards_find(shards, shard, m.id);
    struct detail detail;
    struct slice first = slice_of(m.texts.data, m.texts.len ? strnlen(m.texts.data, m.texts.len) : 0);
    struct answer answer = shards_answer_of(m.error, first, &detail);
    answer.estuary = &m;
    if (q)
        shards_finish(shards, q, &answer);
    return true;
}

static bool shards_on_listed(struct shards *shards, unsigned shard, struct slice body)
{
    struct wire_listed m;
    if (!wire_get_listed(body, &m))
        return false;
    struct shard_request *q = shards_find(shards, shard, m.id);
    const struct answer answer = {.error = shards_error_of(m.error), .listed = &m};
    if (q)
        shards_finish(shards, q, &answer);
    return true;
}

static bool shards_on_shown(struct shards *shards, unsigned shard, struct slice body)
{
    struct wire_shown m;
    if (!wire_get_shown(body, &m))
        return false;
    struct shard_request *q = shards_find(shards, shard, m.id);
    const struct answer answer = {.error = shards_error_of(m.error), .shown = &m};
    if (q)
        shards_finish(shards, q, &answer);
    return true;
}

static bool shards_on_parked(struct shards *shards, unsigned shard, struct slice body)
{
    struct wire_parked m;
    if (!wire_get_parked(body, &m))
        return false;
    struct shard_request *q = shards_find(shards, shard, m.id);
    if (q && q->is_read && !q->parked) {
        q->parked = true;
        shards->peers[shard].reads_out--;
        shards_pump(&shards->peers[shard]);
    }
    return true;
}

static bool shards_on_timed(struct shards *shards, unsigned shard, struct slice body)
{
    struct wire_timed m;
    if (!wire_get_timed(body, &m))
        return false;
    struct shard_request *q = shards_find(shards, shard, m.id);
    if (q) {
        q->taken_us = m.taken_us;
        q->done_us = m.done_us;
    }
    return true;
}

static bool shards_on_event(struct shards *shards, unsigned shard, struct slice body)
{
    struct wire_event m;
    (void)shard;
    if (!wire_get_event(body, &m))
        return false;
    live_event(&shards->router->live, &m);
    return true;
}

static bool shards_on_usage(struct shards *shards, unsigned shard, struct slice body)
{
    struct wire_usage m;
    if (!wire_get_usage(body, &m))
        return false;
    tallies_heard(&shards->router->tallies, shard, &m);
    return true;
}

static bool shards_on_frame(struct shards *shards, unsigned shard, enum wire_type type, struct slice body)
{
    switch (type) {
    case WIRE_STREAM:
        return shards_on_stream(shards, shard, body);
    case WIRE_APPENDED:
        return shards_on_appended(shards, shard, body);
    case WIRE_ESTUARY_STATE:
        return shards_on_estuary_state(shards, shard, body);
    case WIRE_LISTED:
        return shards_on_listed(shards, shard, body);
    case WIRE_SHOWN:
        return shards_on_shown(shards, shard, body);
    case WIRE_PARKED:
        return shards_on_parked(shards, shard, body);
    case WIRE_TIMED:
        return shards_on_timed(shards, shard, body);
    case WIRE_EVENT:
        return shards_on_event(shards, shard, body);
    case WIRE_USAGE:
        return shards_on_usage(shards, shard, body);
    default:
        return false;
    }
}

static void shards_take_frames(struct shards *shards, unsigned shard)
{
    struct link *link = &shards->peers[shard].link;
    size_t cursor = 0;
    enum wire_type type;
    struct slice body;
    while (link_next(link, &cursor, &type, &body)) {
        if (shards_on_frame(shards, shard, type, body))
            continue;
        log_error("shard %u sent a broken %s", shard, wire_name(type));
        link->dead = true;
        break;
    }
    link_release(link, cursor);
}

/* ---- life and death of a shard ---- */

static void shards_wait_all(struct shards *shards, const struct shard_request_list *list)
{
    for (struct shard_request *q = list->first; q; q = q->next)
        shards_arm_wait(shards, q);
}

static void shards_peer_down(struct shards *shards, unsigned shard)
{
    struct shard_peer *peer = &shards->peers[shard];
    struct shard_request_list lost = {0};
    struct shard_request *q;
    uint64_t left = peer->put - buf_len(&peer->link.out);
    log_info("shard %u is down", shard);
    link_close(&peer->link);
    peer->put = 0;
    peer->reads_out = 0;
    /* From the last back, so that they stand in their order, before those that came after them. */
    while ((q = peer->sent.last)) {
        shards_list_remove(q);
        q->repeated |= q->end <= left;
        shards_list_prepend(q->repeatable || q->end > left ? shards_waiting_list(peer, q) : &lost, q);
    }
    shards_wait_all(shards, &peer->queue);
    shards_wait_all(shards, &peer->reads);
    live_shard_down(&shards->router->live, shard);
    while ((q = lost.first))
        shards_fail(shards, q, ERR_SHARD_UNAVAILABLE,
                    "the shard died with this request; whether it took effect is unknown");
}

void shards_receive(struct shards *shards)
{
    for (unsigned i = 0; i < shards->count; i++) {
        struct link *link = &shards->peers[i].link;
        if (link_receive(link, RECEIVE_LIMIT))
            shards_take_frames(shards, i);
        if (link->fd >= 0 && link->dead)
            shards_peer_down(shards, i);
    }
}

void shards_flush(struct shards *shards)
{
    for (unsigned i = 0; i < shards->count; i++)
        if (buf_len(&shards->peers[i].link.out) > 0)
            link_flush(&shards->peers[i].link);
}

void shards_peer(struct shards *shards, unsigned shard, int fd)
{
    if (shard >= LAYOUT_SHARDS_MAX)
        fatalx("there is no shard %u", shard);
    struct shard_peer *peer = &shards->peers[shard];
    if (peer->link.fd >= 0) {
        /* What the old one still said counts. */
        peer->link.readable_now = true;
        if (link_receive(&peer->link, SIZE_MAX))
            shards_take_frames(shards, shard);
        shards_peer_down(shards, shard);
    }
    if (shards->count <= shard)
        shards->count = shard + 1;
    link_open(&peer->link, shards->router->base, fd, shard);
    live_shard_up(&shards->router->live, shard);
    tallies_shard_up(&shards->router->tallies, shard);
    shards_pump(peer);
}
