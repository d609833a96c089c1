#include "shard/handlers/fork.h"

#include <assert.h>
#include <stdlib.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/media_type.h"
#include "common/mem.h"
#include "common/random.h"
#include "shard/handlers/create.h"
#include "shard/handlers/delete.h"
#include "shard/handlers/handlers.h"
#include "shard/peers/answer.h"
#include "shard/peers/disk.h"
#include "shard/segments/cold.h"
#include "shard/streams/page.h"

#define FORKS_MAKING_MAX 1024
#define PROBE_AFTER_MS 5000
#define PROBES_AT_ONCE 100

/* A fork that waits for an answer about its source. */
struct fork_making {
    struct fork_making *next;
    struct asker asker;
    uint64_t id, pin;
    unsigned asked_shard;
    uint64_t deadline_ms;
    struct buf request; /* the CREATE frame */
    struct buf pinned;  /* the PINNED frame, while the stream that holds the source's bytes is asked */
};

static struct wire_create fork_request_of(const struct fork_making *making)
{
    struct wire_create m;
    struct slice frame = buf_slice(&making->request), body;
    if (!wire_take(&frame, WIRE_CREATE, &body) || !wire_get_create(body, &m))
        fatalx("a request kept for a fork does not read back");
    return m;
}

static struct wire_pinned fork_pinned_of(const struct fork_making *making)
{
    struct wire_pinned m;
    struct slice frame = buf_slice(&making->pinned), body;
    if (!wire_take(&frame, WIRE_PINNED, &body) || !wire_get_pinned(body, &m))
        fatalx("an answer kept for a fork does not read back");
    return m;
}

/* ---- the fork's side: making ---- */

static void fork_put_pin(struct buf *out, const struct fork_making *making)
{
    struct wire_create m = fork_request_of(making);
    struct wire_pin pin = {
        .id = making->id,
        .pin = making->pin,
        .source = m.fork_source,
        .fork = m.name,
        .content_type = m.content_type,
        .has_position = (m.flags & WIRE_CREATE_FORK_POSITION) != 0,
        .position = m.fork_position,
        .sub = m.fork_sub,
    };
    wire_put_pin(out, &pin);
}

static void fork_put_boundary(struct buf *out, const struct fork_making *making)
{
    struct wire_pinned m = fork_pinned_of(making);
    struct wire_boundary boundary = {
        .id = making->id,
        .uid = m.holder,
        .position = m.position - fork_request_of(making).fork_sub,
    };
    wire_put_boundary(out, &boundary);
}

static void fork_ask(struct shard *shard, const struct fork_making *making)
{
    struct buf *out = shard_out(shard, making->asked_shard);
    if (!out)
        return; /* asked again when it is up */
    if (buf_len(&making->pinned))
        fork_put_boundary(out, making);
    else
        fork_put_pin(out, making);
    if (out == &shard->self)
        shard_again(shard);
}

void fork_begin(struct shard *shard, struct asker asker, const struct wire_create *m)
{
    if (shard->forks_making_count >= FORKS_MAKING_MAX) {
        answer_error(shard, asker, ERR_OVERLOADED);
        return;
    }
    struct fork_making *making = xcalloc(1, sizeof *making);
    making->asker = asker;
    making->id = ++shard->last_id;
    making->pin = random_secret();
    making->asked_shard = shard_owner_of_name(shard, m->fork_source);
    making->deadline_ms = shard->ticks_ms + shard->cfg->router_shard_wait;
    wire_put_create(&making->request, m);
    making->next = shard->forks_making;
    shard->forks_making = making;
    shard->forks_making_count++;
    fork_ask(shard, making);
}

/* The one that waits for this answer; NULL: it was given up since. */
static struct fork_making *fork_find_making(const struct shard *shard, uint64_t id, unsigned from)
{
    struct fork_making *making = shard->forks_making;
    while (making && (making->id != id || making->asked_shard != from))
        making = making->next;
    return making;
}

static void fork_making_free(struct shard *shard, struct fork_making *making)
{
    struct fork_making **at = &shard->forks_making;
    while (*at != making)
        at = &(*at)->next;
    *at = making->next;
    shard->forks_making_count--;
    buf_clear(&making->request);
    buf_clear(&making->pinned);
    free(making);
}

static void fork_drop_pin_of(struct shard *shard, const struct fork_making *making, const struct wire_pinned *m)
{
    struct wire_unpin unpin = {.source_uid = m->uid, .pin = making->pin};
    struct buf *out = shard_out(shard, shard_owner_of_uid(shard, m->uid));
    if (out)
        wire_put_unpin(out, &unpin);
    if (out == &shard->self)
        shard_again(shard);
}

/* All is known that the fork depends on. */
static void fork_conclude(struct shard *shard, struct fork_making *making, const struct wire_pinned *m, unsigned error)
{
    struct wire_create request = fork_request_of(making);
    bool made = false;
    making->asker.id = request.id;
    if (error != ERR_NONE)
        answer_refusal(shard, making->asker, error < ERR_COUNT ? (enum error)error : ERR_INTERNAL, m->earliest,
                       m->text);
    else if (create_answer_existing(shard, making->asker, &request))
        made = false;
    else if (!disk_takes(shard, request.data.len))
        answer_error(shard, making->asker, ERR_INSUFFICIENT_STORAGE);
    else
        made = create_stream(shard, making->asker, &request, m, making->pin);
    fault_point("shard.fork-created");
    if (m->error == ERR_NONE && !made)
        fork_drop_pin_of(shard, making, m);
    fork_making_free(shard, making);
}

void on_pinned(struct shard *shard, unsigned from, const struct wire_pinned *m)
{
    struct fork_making *making = fork_find_making(shard, m->id, from);
    if (!making || buf_len(&making->pinned))
        return; /* the source's shard will ask after the pin */
    fault_point("shard.pinned");
    if (m->error != ERR_NONE || m->holder == STORE_NONE) {
        fork_conclude(shard, making, m, m->error);
        return;
    }
    wire_put_pinned(&making->pinned, m);
    making->asked_shard = shard_owner_of_uid(shard, m->holder);
    fork_ask(shard, making);
}

void on_bounded(struct shard *shard, unsigned from, const struct wire_bounded *m)
{
    struct fork_making *making = fork_find_making(shard, m->id, from);
    if (!making || !buf_len(&making->pinned))
        return;
    struct wire_pinned pinned = fork_pinned_of(making);
    bool past = m->error == ERR_NONE && pinned.position > m->end;
    fork_conclude(shard, making, &pinned, past ? ERR_INVALID_FORK_SUB_OFFSET : m->error);
}

void fork_shard_up(struct shard *shard, unsigned index)
{
    for (struct fork_making *making = shard->forks_making; making; making = making->next)
        if (making->asked_shard == index)
            fork_ask(shard, making);
}

void fork_tick(struct shard *shard)
{
    for (struct fork_making *making = shard->forks_making, *next; making; making = next) {
        next = making->next;
        if (making->deadline_ms > shard->ticks_ms)
            continue;
        answer_error(shard, making->asker, ERR_SHARD_UNAVAILABLE);
        fork_making_free(shard, making);
    }
}

void fork_clear(struct shard *shard)
{
    while (shard->forks_making)
        fork_making_free(shard, shard->forks_making);
}

/* ---- the fork's side: letting go ---- */

static void fork_send_unpin(void *ctx, uint64_t fork_uid, uint64_t source_uid, uint64_t pin)
{
    struct shard *shard = ctx;
    struct wire_unpin unpin = {.fork_uid = fork_uid, .source_uid = source_uid, .pin = pin};
    struct buf *out = shard_out(shard, shard_owner_of_uid(shard, source_uid));
    if (!out)
        return;
    wire_put_unpin(out, &unpin);
    if (out == &shard->self)
        shard_again(shard);
}

void fork_let_go(struct shard *shard, uint64_t fork_uid, uint64_t source_uid, uint64_t pin)
{
    store_unpin_insert(shard->store, fork_uid, source_uid, pin);
    fork_send_unpin(shard, fork_uid, source_uid, pin);
}

void on_unpinned(struct shard *shard, unsigned from, const struct wire_unpinned *m)
{
    (void)from;
    store_begin(shard->store);
    store_unpin_delete(shard->store, m->fork_uid);
}

void on_probe(struct shard *shard, unsigned from, const struct wire_probe *m)
{
    struct wire_probed answer = {.source_uid = m->source_uid, .pin = m->pin};
    struct buf *out = shard_out(shard, from);
    struct stream *stream = streams_by_name(&shard->streams, m->fork);
    for (struct fork_making *making = shard->forks_making; making; making = making->next)
        if (making->pin == m->pin)
            return; /* not known yet; it will be asked again */
    answer.exists = stream && stream->row.source_uid == m->source_uid && stream->row.pin == m->pin;
    if (out)
        wire_put_probed(out, &answer);
    if (out == &shard->self)
        shard_again(shard);
}

/* ---- the source's side ---- */

/* Where the fork begins: position plus sub-offset, which stays within the append it points into. Where that append is
 * inherited, its holder has yet to be asked where it ends. */
static enum error fork_resolve(struct shard *shard, const struct stream *source, const struct wire_pin *m,
                               struct wire_pinned *answer, struct detail *detail)
{
    uint64_t anchor = m->has_position ? m->position : source->tail, end;
    const struct ancestor *ancestor = lineage_find(&source->lineage, anchor);
    answer->holder = STORE_NONE;
    if (anchor < source->row.earliest)
        return ERR_OFFSET_GONE;
    if (anchor > source->tail)
        return answer_tail(detail, ERR_FORK_OFFSET_BEYOND_TAIL, source->tail);
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

static enum error fork_pin_source(struct shard *shard, const struct wire_pin *m, struct wire_pinned *answer,
                                  struct buf *lineage, struct detail *detail)
{
    enum error error = ERR_NONE;
    struct stream *source = shard_stream(shard, m->source, &error);
    if (!source)
        return answer_source(detail, error, m->source);
    if (m->content_type.len && !media_type_same(m->content_type, source->row.content_type))
        return answer_types(detail, source->row.content_type, "fork of it", m->content_type);
    if (!disk_takes(shard, 0))
        return ERR_INSUFFICIENT_STORAGE;
    answer->earliest = source->row.earliest;
    error = fork_resolve(shard, source, m, answer, detail);
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
    answer.error = (uint8_t)fork_pin_source(shard, m, &answer, &lineage, &detail);
    answer.text = slice_str(detail.text);
    struct buf *later = answer.error == ERR_SEGMENT_UNAVAILABLE ? cold_wait_shard(shard, from) : NULL;
    if (later) {
        wire_put_pin(later, m);
        return;
    }
    if (answer.error == ERR_NONE)
        fault_point("shard.pin-before-commit");
    struct buf *out = shard_out(shard, from);
    if (out)
        wire_put_pinned(out, &answer);
    if (out == &shard->self)
        shard_again(shard);
    buf_clear(&lineage);
}

void on_boundary(struct shard *shard, unsigned from, const struct wire_boundary *m)
{
    struct wire_bounded answer = {.id = m->id};
    const struct stream *stream = streams_by_uid(&shard->streams, m->uid);
    enum error error =
        stream ? page_append_end(&shard->streams, stream, m->position, &answer.end) : ERR_FORK_SOURCE_NOT_FOUND;
    struct buf *later = error == ERR_SEGMENT_UNAVAILABLE ? cold_wait_shard(shard, from) : NULL;
    struct buf *out = shard_out(shard, from);
    answer.error = (uint8_t)error;
    if (later)
        wire_put_boundary(later, m);
    else if (out)
        wire_put_bounded(out, &answer);
    if (!later && out == &shard->self)
        shard_again(shard);
}

static void fork_drop_pin(struct shard *shard, uint64_t source_uid, uint64_t pin)
{
    store_begin(shard->store);
    store_pin_delete(shard->store, source_uid, pin);
    struct stream *source = streams_by_uid(&shard->streams, source_uid);
    if (source)
        delete_unpinned(shard, source);
}

void on_unpin(struct shard *shard, unsigned from, const struct wire_unpin *m)
{
    struct wire_unpinned answer = {.fork_uid = m->fork_uid};
    struct buf *out = shard_out(shard, from);
    fork_drop_pin(shard, m->source_uid, m->pin);
    if (out)
        wire_put_unpinned(out, &answer);
    if (out == &shard->self)
        shard_again(shard);
}

void on_probed(struct shard *shard, unsigned from, const struct wire_probed *m)
{
    (void)from;
    if (!m->exists) {
        fork_drop_pin(shard, m->source_uid, m->pin);
        return;
    }
    store_begin(shard->store);
    store_pin_confirm(shard->store, m->source_uid, m->pin);
}

static void fork_send_probe(void *ctx, uint64_t source_uid, uint64_t pin, struct slice fork)
{
    struct shard *shard = ctx;
    struct wire_probe probe = {.source_uid = source_uid, .pin = pin, .fork = fork};
    struct buf *out = shard_out(shard, shard_owner_of_name(shard, fork));
    if (!out)
        return;
    wire_put_probe(out, &probe);
    if (out == &shard->self)
        shard_again(shard);
}

void fork_upkeep(struct shard *shard)
{
    store_unpin_queue(shard->store, fork_send_unpin, shard);
    if (shard->now_ms > PROBE_AFTER_MS)
        store_pins_unconfirmed(shard->store, shard->now_ms - PROBE_AFTER_MS, shard->now_ms, PROBES_AT_ONCE,
                               fork_send_probe, shard);
}
