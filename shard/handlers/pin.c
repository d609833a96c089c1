/* Pins, on both sides: what holds a source for its forks, and how that ends. The protocol is in shard/handlers/fork.h.
 *
 * A pin in the source's shard is one of
 *
 *     unconfirmed --PROBED(exists)--> confirmed --UNPIN--> dropped
 *          |                                                  ^
 *          +-----------------PROBED(no such fork)-------------+
 *
 * A pin is made before its fork, and the fork's shard may die in between. So the source's shard asks after pins that
 * stay unconfirmed. In the fork's shard the end of the fork leaves a row in the unpin queue, in the same
 * transaction, and UNPIN is sent until UNPINNED says that the source's shard has committed the drop. */
#include "shard/handlers/pin.h"

#include <stdlib.h>

#include "common/fault.h"
#include "common/media_type.h"
#include "common/mem.h"
#include "shard/peers/handlers.h"
#include "shard/segments/fetch.h"
#include "shard/shard.h"
#include "shard/streams/page.h"
#include "shard/streams/reply.h"
#include "shard/store/store.h"
#include "shard/store/store_fork.h"

#define PROBE_AFTER_MS 5000
#define PROBES_AT_ONCE 100

/* ---- the source's side ---- */

/* Where the fork begins: position plus sub-offset. Where the append it points into is inherited, its holder has yet to
 * be asked where that ends.
 *
 * Example: position 10 and sub-offset 3 make a fork that begins at 13. That is right if the append that holds position
 * 10 ends at 13 or later; one that ends at 12 refuses it (pin_check_append, or BOUNDARY if another stream has it). */
static enum error pin_resolve(const struct stream *source, const struct wire_pin *m, struct wire_pinned *answer,
                              struct detail *detail)
{
    uint64_t anchor = m->has_position ? m->position : source->tail;
    const struct ancestor *ancestor = lineage_find(&source->lineage, anchor);
    answer->holder = STORE_NONE;
    if (m->has_position && !lives_admit(stream_lives(source), (struct offset){m->life, m->position}))
        return reply_say_foreign(detail, ERR_FORK_OFFSET_BEYOND_TAIL, source, (struct offset){m->life, m->position});
    if (anchor < source->row.earliest)
        return ERR_OFFSET_GONE;
    if (anchor > source->tail)
        return reply_say_tail(detail, ERR_FORK_OFFSET_BEYOND_TAIL, source);
    if (m->sub > source->tail - anchor)
        return ERR_INVALID_FORK_SUB_OFFSET;
    answer->position = anchor + m->sub;
    if (!m->sub || !ancestor)
        return ERR_NONE;
    answer->holder = ancestor->uid;
    return answer->position > ancestor->end ? ERR_INVALID_FORK_SUB_OFFSET : ERR_NONE;
}

/* A sub-offset stays within the append that holds its offset. */
static struct outcome pin_check_append(struct shard *shard, const struct stream *source, uint64_t anchor,
                                       uint64_t position)
{
    uint64_t end;
    struct outcome outcome = page_append_end(&shard->streams, source, anchor, &end);
    return outcome.kind == OUTCOME_DONE && position > end ? outcome_of(ERR_INVALID_FORK_SUB_OFFSET) : outcome;
}

static struct outcome pin_source(struct shard *shard, const struct wire_pin *m, struct wire_pinned *answer,
                                 struct buf *lineage, struct detail *detail)
{
    enum error error = ERR_NONE;
    struct stream *source = streams_live(&shard->streams, m->source, shard->now_ms, &error);
    if (!source)
        return outcome_of(reply_say_source(detail, error, m->source));
    if (m->content_type.len && !media_type_same(m->content_type, source->row.content_type))
        return outcome_of(reply_say_types(detail, source->row.content_type, "fork of it", m->content_type));
    if (!disk_takes(&shard->disk, 0))
        return outcome_of(ERR_INSUFFICIENT_STORAGE);
    answer->earliest = source->row.earliest;
    answer->lives = stream_lives(source);
    struct outcome outcome = outcome_of(pin_resolve(source, m, answer, detail));
    if (outcome.kind == OUTCOME_DONE && m->sub && answer->holder == STORE_NONE)
        outcome = pin_check_append(shard, source, answer->position - m->sub, answer->position);
    if (outcome.kind != OUTCOME_DONE)
        return outcome;
    if (!lineage_of_fork(&source->lineage, source->row.uid, source->row.base, answer->position,
                         shard->cfg->limits_fork_depth, lineage))
        return outcome_of(ERR_FORK_TOO_DEEP);
    /* Last: every check comes before, so a refused fork leaves no pin. A PIN that is repeated after a crash of
     * this shard finds its row, and inserts nothing (SQL_PIN_INSERT). */
    store_pin_insert(shard->store, source->row.uid, m->pin, m->fork, shard->now_ms);
    answer->uid = source->row.uid;
    answer->content_type = source->row.content_type;
    answer->json = source->json;
    answer->has_ttl = source->row.ttl_s != STORE_NONE;
    answer->ttl_s = source->row.ttl_s;
    answer->expires_ms = source->row.expires_ms;
    answer->expires_text = source->row.expires_text;
    answer->lineage = buf_slice(lineage);
    return outcome;
}

/* A PIN or a BOUNDARY that waits for a segment of the source. */
struct suspended_question {
    struct fetch_wait wait;
    unsigned from, generation; /* the shard that asks, and which of its processes */
    struct wire_pin pin;       /* its texts are in `texts` */
    struct wire_boundary boundary;
    char texts[];
};

static bool pin_keep(struct shard *shard, unsigned from, struct suspended_question *kept,
                     void (*resume)(struct fetch_wait *, void *), const struct object *segment)
{
    kept->wait.resume = resume;
    kept->from = from;
    kept->generation = shard->peers.shards[from].generation;
    if (fetch_segment(&shard->streams.segments.fetches, segment, &kept->wait))
        return true;
    free(kept);
    return false;
}

/* False: this shard stops, or the process that asked is gone. Its successor knows nothing of the question. */
static bool pin_is_asked(const struct shard *shard, const struct suspended_question *kept)
{
    return shard && shard->peers.shards[kept->from].generation == kept->generation;
}

static void pin_again(struct fetch_wait *wait, void *ctx)
{
    struct suspended_question *kept = LIST_OWNER(wait, struct suspended_question, wait);
    if (pin_is_asked(ctx, kept))
        on_pin(ctx, kept->from, &kept->pin);
    free(kept);
}

static struct slice pin_keep_text(char **at, struct slice text)
{
    struct slice kept = slice_of(*at, text.len);
    if (text.len)
        memcpy(*at, text.data, text.len);
    *at += text.len;
    return kept;
}

static bool pin_suspend(struct shard *shard, unsigned from, const struct wire_pin *m, const struct object *segment)
{
    struct suspended_question *kept = xcalloc(1, sizeof *kept + m->source.len + m->fork.len + m->content_type.len);
    char *at = kept->texts;
    kept->pin = *m;
    kept->pin.source = pin_keep_text(&at, m->source);
    kept->pin.fork = pin_keep_text(&at, m->fork);
    kept->pin.content_type = pin_keep_text(&at, m->content_type);
    return pin_keep(shard, from, kept, pin_again, segment);
}

void on_pin(struct shard *shard, unsigned from, const struct wire_pin *m)
{
    struct wire_pinned answer = {.id = m->id};
    struct buf lineage = {0};
    struct detail detail = {0};
    struct outcome outcome = pin_source(shard, m, &answer, &lineage, &detail);
    if (outcome.kind == OUTCOME_NEEDS_SEGMENT && pin_suspend(shard, from, m, &outcome.segment))
        return;
    answer.error = (uint8_t)outcome_error(&outcome);
    answer.text = slice_str(detail.text);
    if (answer.error == ERR_NONE)
        fault_point("shard.pin-before-commit");
    struct buf *out = peers_out(&shard->peers, from);
    if (out)
        wire_put_pinned(out, &answer);
    buf_clear(&lineage);
}

static void pin_boundary_again(struct fetch_wait *wait, void *ctx)
{
    struct suspended_question *kept = LIST_OWNER(wait, struct suspended_question, wait);
    if (pin_is_asked(ctx, kept))
        on_boundary(ctx, kept->from, &kept->boundary);
    free(kept);
}

static bool pin_suspend_boundary(struct shard *shard, unsigned from, const struct wire_boundary *m,
                                 const struct object *segment)
{
    struct suspended_question *kept = xcalloc(1, sizeof *kept);
    kept->boundary = *m;
    return pin_keep(shard, from, kept, pin_boundary_again, segment);
}

void on_boundary(struct shard *shard, unsigned from, const struct wire_boundary *m)
{
    struct wire_bounded answer = {.id = m->id};
    struct outcome outcome = outcome_of(ERR_FORK_SOURCE_NOT_FOUND);
    const struct stream *stream = streams_by_uid(&shard->streams, m->uid);
    if (stream)
        outcome = page_append_end(&shard->streams, stream, m->position, &answer.end);
    if (outcome.kind == OUTCOME_NEEDS_SEGMENT && pin_suspend_boundary(shard, from, m, &outcome.segment))
        return;
    struct buf *out = peers_out(&shard->peers, from);
    answer.error = (uint8_t)outcome_error(&outcome);
    if (out)
        wire_put_bounded(out, &answer);
}

/* The pin may be gone already: UNPIN is repeated until it is confirmed. The source may have been waiting for this, so
 * it is listed for delete_turn(), which ends it in the same transaction. */
static void pin_drop(struct shard *shard, uint64_t source_uid, uint64_t pin)
{
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
    store_unpin_delete(shard->store, m->fork_uid);
}

void pin_upkeep(struct shard *shard)
{
    store_unpin_queue(shard->store, pin_send_unpin, shard);
    if (shard->now_ms > PROBE_AFTER_MS)
        store_pins_unconfirmed(shard->store, shard->now_ms - PROBE_AFTER_MS, shard->now_ms, PROBES_AT_ONCE,
                               pin_send_probe, shard);
}
