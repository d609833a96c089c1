/* Pins, on both sides: what holds a source for its forks, and how that ends. The protocol is in shard/handlers/fork.h.
 *
 * A pin in the source's shard is one of
 *
 *     unconfirmed --PROBED(exists)--> confirmed --UNPIN--> dropped
 *          |                                                  ^
 *          +-----------------PROBED(no such fork)-------------+
 *
 * It is made for a fork that may never come to be, because that fork's shard died; so the source's shard asks after
 * pins that stay unconfirmed. In the fork's shard the end of the fork leaves a row in the unpin queue, in the same
 * transaction, and UNPIN is sent until UNPINNED says that the source's shard has committed the drop. */
#include "shard/handlers/pin.h"

#include "common/fault.h"
#include "common/media_type.h"
#include "shard/handlers/handlers.h"
#include "shard/segments/cold.h"
#include "shard/streams/page.h"
#include "shard/streams/reply.h"
#include "shard/store/store.h"
#include "shard/store/store_fork.h"

#define PROBE_AFTER_MS 5000
#define PROBES_AT_ONCE 100

/* ---- the source's side ---- */

/* Where the fork begins: position plus sub-offset, which stays within the append it points into. Where that append is
 * inherited, its holder has yet to be asked where it ends. */
static enum error pin_resolve(struct shard *shard, const struct stream *source, const struct wire_pin *m,
                              struct wire_pinned *answer, struct detail *detail)
{
    uint64_t anchor = m->has_position ? m->position : source->tail, end;
    const struct ancestor *ancestor = lineage_find(&source->lineage, anchor);
    answer->holder = STORE_NONE;
    if (anchor < source->row.earliest)
        return ERR_OFFSET_GONE;
    if (anchor > source->tail)
        return reply_say_tail(detail, ERR_FORK_OFFSET_BEYOND_TAIL, source->tail);
    if (m->sub > source->tail - anchor)
        return ERR_INVALID_FORK_SUB_OFFSET;
    answer->position = anchor + m->sub;
    if (!m->sub)
        return ERR_NONE;
    if (ancestor) {
        answer->holder = ancestor->uid;
        return answer->position > ancestor->end ? ERR_INVALID_FORK_SUB_OFFSET : ERR_NONE;
    }
    enum error error = page_append_end(&shard->streams, source, anchor, &end);
    return error == ERR_NONE && answer->position > end ? ERR_INVALID_FORK_SUB_OFFSET : error;
}

static enum error pin_source(struct shard *shard, const struct wire_pin *m, struct wire_pinned *answer,
                             struct buf *lineage, struct detail *detail)
{
    enum error error = ERR_NONE;
    struct stream *source = streams_live(&shard->streams, m->source, shard->now_ms, &error);
    if (!source)
        return reply_say_source(detail, error, m->source);
    if (m->content_type.len && !media_type_same(m->content_type, source->row.content_type))
        return reply_say_types(detail, source->row.content_type, "fork of it", m->content_type);
    if (!disk_takes(&shard->disk, 0))
        return ERR_INSUFFICIENT_STORAGE;
    answer->earliest = source->row.earliest;
    error = pin_resolve(shard, source, m, answer, detail);
    if (error != ERR_NONE)
        return error;
    if (!lineage_of_fork(&source->lineage, source->row.uid, source->row.base, answer->position,
                         shard->cfg->limits_fork_depth, lineage))
        return ERR_FORK_TOO_DEEP;
    store_begin(shard->store);
    store_pin_insert(shard->store, source->row.uid, m->pin, m->fork, shard->now_ms);
    answer->uid = source->row.uid;
    answer->content_type = source->row.content_type;
    answer->has_ttl = source->row.ttl_s != STORE_NONE;
    answer->ttl_s = source->row.ttl_s;
    answer->expires_ms = source->row.expires_ms;
    answer->expires_text = source->row.expires_text;
    answer->lineage = buf_slice(lineage);
    return ERR_NONE;
}

void on_pin(struct shard *shard, unsigned from, const struct wire_pin *m)
{
    struct wire_pinned answer = {.id = m->id};
    struct buf lineage = {0};
    struct detail detail = {0};
    answer.error = (uint8_t)pin_source(shard, m, &answer, &lineage, &detail);
    answer.text = slice_str(detail.text);
    struct buf *later = answer.error == ERR_SEGMENT_UNAVAILABLE ? cold_wait_shard(shard, from) : NULL;
    if (later) {
        wire_put_pin(later, m);
        return;
    }
    if (answer.error == ERR_NONE)
        fault_point("shard.pin-before-commit");
    struct buf *out = peers_out(&shard->peers, from);
    if (out)
        wire_put_pinned(out, &answer);
    buf_clear(&lineage);
}

void on_boundary(struct shard *shard, unsigned from, const struct wire_boundary *m)
{
    struct wire_bounded answer = {.id = m->id};
    const struct stream *stream = streams_by_uid(&shard->streams, m->uid);
    enum error error =
        stream ? page_append_end(&shard->streams, stream, m->position, &answer.end) : ERR_FORK_SOURCE_NOT_FOUND;
    struct buf *later = error == ERR_SEGMENT_UNAVAILABLE ? cold_wait_shard(shard, from) : NULL;
    struct buf *out = peers_out(&shard->peers, from);
    answer.error = (uint8_t)error;
    if (later)
        wire_put_boundary(later, m);
    else if (out)
        wire_put_bounded(out, &answer);
}

static void pin_drop(struct shard *shard, uint64_t source_uid, uint64_t pin)
{
    store_begin(shard->store);
    store_pin_delete(shard->store, source_uid, pin);
    struct stream *source = streams_by_uid(&shard->streams, source_uid);
    if (source)
        streams_released(&shard->streams, source);
}

void on_unpin(struct shard *shard, unsigned from, const struct wire_unpin *m)
{
    struct wire_unpinned answer = {.fork_uid = m->fork_uid};
    struct buf *out = peers_out(&shard->peers, from);
    pin_drop(shard, m->source_uid, m->pin);
    if (out)
        wire_put_unpinned(out, &answer);
}

void on_probed(struct shard *shard, unsigned from, const struct wire_probed *m)
{
    (void)from;
    if (!m->exists) {
        pin_drop(shard, m->source_uid, m->pin);
        return;
    }
    store_begin(shard->store);
    store_pin_confirm(shard->store, m->source_uid, m->pin);
}

static void pin_send_probe(void *ctx, uint64_t source_uid, uint64_t pin, struct slice fork)
{
    struct shard *shard = ctx;
    struct wire_probe probe = {.source_uid = source_uid, .pin = pin, .fork = fork};
    struct buf *out = peers_out(&shard->peers, peers_owner_of_name(&shard->peers, fork));
    if (out)
        wire_put_probe(out, &probe);
}

/* ---- the fork's side ---- */

static void pin_send_unpin(void *ctx, uint64_t fork_uid, uint64_t source_uid, uint64_t pin)
{
    struct shard *shard = ctx;
    struct wire_unpin unpin = {.fork_uid = fork_uid, .source_uid = source_uid, .pin = pin};
    struct buf *out = peers_out(&shard->peers, peers_owner_of_uid(&shard->peers, source_uid));
    if (out)
        wire_put_unpin(out, &unpin);
}

void pin_release(struct shard *shard, uint64_t fork_uid, uint64_t source_uid, uint64_t pin)
{
    store_unpin_insert(shard->store, fork_uid, source_uid, pin);
    pin_send_unpin(shard, fork_uid, source_uid, pin);
}

void on_unpinned(struct shard *shard, unsigned from, const struct wire_unpinned *m)
{
    (void)from;
    store_begin(shard->store);
    store_unpin_delete(shard->store, m->fork_uid);
}

void pin_upkeep(struct shard *shard)
{
    store_unpin_queue(shard->store, pin_send_unpin, shard);
    if (shard->now_ms > PROBE_AFTER_MS)
        store_pins_unconfirmed(shard->store, shard->now_ms - PROBE_AFTER_MS, shard->now_ms, PROBES_AT_ONCE,
                               pin_send_probe, shard);
}
