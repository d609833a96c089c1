/* The life of a question to a shard.
 *
 *     shard_request_new() --> APART --send()--> WAITS --pump()--> SENT --answer--> finish(): answered(), then its slot
 *                               |                 ^  |              |                        is free
 *                               | too much waits  |  | its wait     |
 *                               v                 |  v has passed   |
 *                           forgotten             |  SHARD_         |
 *                                                 |  UNAVAILABLE    |
 *                                                 +-- the shard died: it was not sent, or may be repeated
 *                                                                   |
 *                                       otherwise its outcome is unknown, and it fails
 *
 * A slot is used again with another id (the high half counts), so an answer that comes late finds nothing. A client
 * that goes away abandons its request; an answer on its way is then dropped, but the request stays in its list, for
 * reads_out and held count it until then. */
#include "router/shards/shard_request.h"

#include <stdlib.h>

#include "common/mem.h"
#include "router/router.h"
#include "router/shards/shards.h"

#define READS_AT_ONCE 64 /* to one shard: bounds what their answers hold */
#define FRAME_KEEP 1024  /* a request's buffer that is kept for the next one */

/* ---- slots ---- */

static struct shard_request *shard_request_slot_new(struct shards *shards)
{
    struct shard_request *q = shards->unused;
    if (q) {
        shards->unused = q->owner;
        q->owner = NULL;
        return q;
    }
    if (shards->slot_count % 256 == 0)
        shards->slots = xrealloc(shards->slots, (shards->slot_count + 256) * sizeof *shards->slots);
    q = xcalloc(1, sizeof *q);
    q->id = shards->slot_count;
    list_init(&q->link);
    shards->slots[shards->slot_count++] = q;
    return q;
}

/* The slot's next id differs in its high half. */
static void shard_request_slot_free(struct shards *shards, struct shard_request *q)
{
    struct buf frame = q->frame;
    free(q->text);
    if (frame.cap > FRAME_KEEP)
        buf_clear(&frame);
    buf_reset(&frame);
    *q = (struct shard_request){.id = q->id + ((uint64_t)1 << 32), .frame = frame, .owner = shards->unused};
    list_init(&q->link);
    shards->unused = q;
}

struct shard_request *shard_request_find(const struct shards *shards, unsigned shard, uint64_t id)
{
    uint32_t slot = (uint32_t)id;
    struct shard_request *q = slot < shards->slot_count ? shards->slots[slot] : NULL;
    return q && q->id == id && q->shard == shard && q->place == SHARD_REQUEST_SENT ? q : NULL;
}

struct shard_request *shard_request_new(struct shards *shards, unsigned shard, shard_answered *answered, void *owner)
{
    struct shard_request *q = shard_request_slot_new(shards);
    q->shard = shard;
    q->answered = answered;
    q->owner = owner;
    q->timed = shards->router->cfg->log_timing == LOG_TIMING_ON;
    return q;
}

static void shard_request_forget(struct shards *shards, struct shard_request *q)
{
    deadline_clear(&q->wait);
    shard_request_slot_free(shards, q);
}

/* ---- sending ---- */

static void shard_request_transmit(struct shard_peer *peer, struct shard_request *q)
{
    size_t before = buf_len(&peer->link.out);
    list_remove(&q->link);
    if (q->timed)
        wire_put_time(&peer->link.out, &(struct wire_time){.id = q->id});
    buf_add_slice(&peer->link.out, buf_slice(&q->frame));
    peer->put += buf_len(&peer->link.out) - before;
    q->end = peer->put;
    q->place = SHARD_REQUEST_SENT;
    list_add_last(&peer->sent, &q->link);
    q->parked = false;
    peer->reads_out += q->is_read;
}

void shard_requests_pump(struct shard_peer *peer)
{
    if (!link_up(&peer->link))
        return;
    while (!list_empty(&peer->queue))
        shard_request_transmit(peer, LIST_OWNER(peer->queue.next, struct shard_request, link));
    while (!list_empty(&peer->reads) && peer->reads_out < READS_AT_ONCE)
        shard_request_transmit(peer, LIST_OWNER(peer->reads.next, struct shard_request, link));
}

static void shard_request_arm_wait(struct shards *shards, struct shard_request *q)
{
    struct router *r = shards->router;
    if (!q->patient && !deadline_armed(&q->wait))
        deadline_set(&r->deadlines, DEADLINE_SHARD_WAIT, &q->wait, r->now_ms + r->cfg->router_shard_wait);
}

static bool shard_request_too_much(const struct shards *shards, const struct shard_peer *peer,
                                   const struct shard_request *q)
{
    return !q->patient && peer->held && peer->held + buf_len(&q->frame) > shards->router->cfg->router_queue_memory;
}

/* Reads wait by themselves: their answers may be large, and others go before them. */
static void shard_request_queue(struct shard_peer *peer, struct shard_request *q, bool first)
{
    struct list *waiting = q->is_read ? &peer->reads : &peer->queue;
    q->place = SHARD_REQUEST_WAITS;
    if (first)
        list_add_first(waiting, &q->link);
    else
        list_add_last(waiting, &q->link);
}

bool shard_request_send(struct shards *shards, struct shard_request *q)
{
    struct shard_peer *peer = &shards->peers[q->shard];
    if (shard_request_too_much(shards, peer, q)) {
        shard_request_forget(shards, q);
        return false;
    }
    peer->held += buf_len(&q->frame);
    shard_request_queue(peer, q, q->patient);
    if (link_up(&peer->link))
        shard_requests_pump(peer);
    else
        shard_request_arm_wait(shards, q);
    return true;
}

bool shard_request_has_left(const struct shards *shards, const struct shard_request *q)
{
    const struct shard_peer *peer = &shards->peers[q->shard];
    return q->place == SHARD_REQUEST_SENT && q->end <= peer->put - buf_len(&peer->link.out);
}

/* ---- the end ---- */

void shard_request_finish(struct shards *shards, struct shard_request *q, const struct answer *answer)
{
    struct shard_peer *peer = &shards->peers[q->shard];
    if (q->place == SHARD_REQUEST_SENT)
        peer->reads_out -= q->is_read && !q->parked;
    list_remove(&q->link);
    q->place = SHARD_REQUEST_APART;
    peer->held -= buf_len(&q->frame);
    if (q->answered)
        q->answered(q, answer);
    shard_request_forget(shards, q);
    shard_requests_pump(peer);
}

static void shard_request_fail(struct shards *shards, struct shard_request *q, const char *text)
{
    const struct answer answer = {.error = ERR_SHARD_UNAVAILABLE, .text = text};
    shard_request_finish(shards, q, &answer);
}

void shard_request_abandon(struct shards *shards, struct shard_request *q)
{
    q->request = NULL;
    if (!q->always)
        q->answered = NULL;
    if (q->place == SHARD_REQUEST_WAITS)
        shard_request_fail(shards, q, error_text(ERR_SHARD_UNAVAILABLE));
}

void shard_request_expired(struct shards *shards, struct deadline *wait)
{
    struct shard_request *q = (struct shard_request *)((char *)wait - offsetof(struct shard_request, wait));
    shard_request_fail(shards, q, error_text(ERR_SHARD_UNAVAILABLE));
}

void shard_request_park(struct shards *shards, struct shard_request *q)
{
    struct shard_peer *peer = &shards->peers[q->shard];
    if (!q->is_read || q->parked)
        return;
    q->parked = true;
    peer->reads_out--;
    shard_requests_pump(peer);
}

/* ---- the death of a shard ---- */

static void shard_requests_arm_waits(struct shards *shards, const struct list *waiting)
{
    LIST_EACH(link, waiting)
    shard_request_arm_wait(shards, LIST_OWNER(link, struct shard_request, link));
}

void shard_requests_lost(struct shards *shards, struct shard_peer *peer, uint64_t sent, struct list *lost)
{
    /* From the last back, so that they stand in their order, before those that came after them. */
    while (!list_empty(&peer->sent)) {
        struct shard_request *q = LIST_OWNER(peer->sent.prev, struct shard_request, link);
        list_remove(&q->link);
        q->repeated |= q->end <= sent;
        q->place = SHARD_REQUEST_APART;
        if (q->repeatable || q->end > sent)
            shard_request_queue(peer, q, true);
        else
            list_add_first(lost, &q->link);
    }
    peer->reads_out = 0;
    shard_requests_arm_waits(shards, &peer->queue);
    shard_requests_arm_waits(shards, &peer->reads);
}

void shard_requests_fail(struct shards *shards, struct list *lost, const char *text)
{
    while (!list_empty(lost))
        shard_request_fail(shards, LIST_OWNER(lost->next, struct shard_request, link), text);
}
