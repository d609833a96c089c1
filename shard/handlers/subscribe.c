#include "shard/handlers/subscribe.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/fault.h"
#include "common/hash.h"
#include "common/media_type.h"
#include "common/mem.h"
#include "shard/fanout/source.h"
#include "shard/handlers/create.h"
#include "shard/handlers/delete.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/streams/reply.h"
#include "shard/store/disk.h"
#include "shard/store/store.h"
#include "shard/store/store_fanout.h"
#include "shard/store/store_stream.h"

#define SUBSCRIBING_MAX 1024
#define WALK_MAX 16384 /* streams looked at for one cycle */

struct candidate {
    char *name;
    size_t len;
    bool answered, held;
    enum error error;
    uint64_t uid, position;
    char *type;
};

/* A stream that is looked at for a cycle, so many steps above the estuary. */
struct step {
    char *name;
    uint64_t hash;
    uint64_t depth;
    bool answered;
};

struct subscribing {
    struct subscribing *next;
    struct asker asker;
    uint64_t id; /* of its questions: id + the source's index, or the walk's */
    char *estuary;
    uint64_t estuary_uid; /* once it is known */
    char *type;           /* "" if none was given */
    unsigned flags;
    bool created;
    struct candidate *candidates;
    size_t count, asked; /* sources; and those whose shard has not answered */
    size_t walking;      /* the source that is followed upwards; `count`: all of them together */
    uint64_t walk;       /* number of this walk */
    struct step *steps;
    size_t step_count, unanswered;
    uint64_t deadline_ms;
};

static struct slice subscribe_text(const char *s)
{
    return slice_str(s);
}

/* ---- life ---- */

static void subscribe_clear_walk(struct subscribing *s)
{
    for (size_t i = 0; i < s->step_count; i++)
        free(s->steps[i].name);
    free(s->steps);
    s->steps = NULL;
    s->step_count = s->unanswered = 0;
    s->walk++;
}

static void subscribe_forget(struct shard *shard, struct subscribing *s)
{
    struct subscribing **at = &shard->subscribing;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    shard->subscribing_count--;
    for (size_t i = 0; i < s->count; i++) {
        free(s->candidates[i].name);
        free(s->candidates[i].type);
    }
    subscribe_clear_walk(s);
    free(s->candidates);
    free(s->estuary);
    free(s->type);
    free(s);
}

static void subscribe_finish(struct shard *shard, struct subscribing *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->candidates[i].held)
            source_release(shard, s->candidates[i].uid);
    subscribe_forget(shard, s);
}

/* ---- estuaries ---- */

static void subscribe_renew(struct shard *shard, struct stream *stream)
{
    char expires[40];
    struct tm tm;
    if (!(stream->row.kind & STREAM_KIND_OWNED))
        return;
    stream->row.expires_ms = shard->now_ms + shard->cfg->estuary_ttl;
    time_t seconds = (time_t)(stream->row.expires_ms / 1000);
    gmtime_r(&seconds, &tm);
    size_t len = strftime(expires, sizeof expires, "%Y-%m-%dT%H:%M:%S", &tm);
    len += (size_t)snprintf(expires + len, sizeof expires - len, ".%03uZ", (unsigned)(stream->row.expires_ms % 1000));
    stream_set_expiry_text(stream, slice_of(expires, len));
    store_begin(shard->store);
    store_stream_set_kind(shard->store, &stream->row);
}

/* The estuary as a live stream, made if need be. NULL: *error. */
static struct stream *subscribe_estuary_stream(struct shard *shard, struct subscribing *s, const char *type,
                                               enum error *error)
{
    struct stream *stream = streams_live(&shard->streams, subscribe_text(s->estuary), shard->now_ms, error);
    if (!stream && *error == ERR_STREAM_NOT_FOUND && (s->flags & WIRE_SUBSCRIBE_FULL)) {
        *error = ERR_QUOTA_EXCEEDED;
        return NULL;
    }
    if (!stream && *error == ERR_STREAM_NOT_FOUND && !shard->disk.full) {
        *error = ERR_NONE;
        stream = create_plain(shard, subscribe_text(s->estuary), subscribe_text(type));
        stream->row.kind |= STREAM_KIND_OWNED;
        s->created = true;
    } else if (!stream) {
        *error = shard->disk.full            ? ERR_INSUFFICIENT_STORAGE
                 : *error == ERR_STREAM_GONE ? ERR_STREAM_SOFT_DELETED
                                             : *error;
        return NULL;
    }
    store_begin(shard->store);
    (void)stream_write(&shard->streams, stream);
    stream->row.kind |= STREAM_KIND_ESTUARY;
    store_stream_set_kind(shard->store, &stream->row);
    if (s->created)
        subscribe_renew(shard, stream);
    return stream;
}

static void subscribe_put_state(struct shard *shard, struct asker asker, const struct wire_estuary_state *m)
{
    struct buf *out = asker_out(&shard->peers, asker);
    if (!out)
        return;
    asker_time(out, asker);
    wire_put_estuary_state(out, m);
}

static void subscribe_answer_state(struct shard *shard, struct asker asker, enum error error)
{
    subscribe_put_state(shard, asker, &(struct wire_estuary_state){.id = asker.id, .error = (uint8_t)error});
}

/* ---- the answer ---- */

/* What is known of a source's result beyond its code. */
static void subscribe_add_text(struct buf *texts, const struct subscribing *s, const struct candidate *candidate,
                               const struct stream *stream)
{
    struct slice type = *s->type || !stream ? subscribe_text(s->type) : stream->row.content_type;
    struct detail detail = {0};
    if (candidate->error == ERR_CONTENT_TYPE_MISMATCH)
        (void)reply_say_types(&detail, subscribe_text(candidate->type), "estuary", type);
    if (candidate->error == ERR_INVALID_SUBSCRIPTION)
        (void)detail_say(&detail, candidate->error, "envelopes need a stream of application/json; this one is %s",
                         candidate->type);
    buf_add(texts, detail.text, strlen(detail.text) + 1);
}

static void subscribe_answer(struct shard *shard, struct subscribing *s, const struct stream *stream)
{
    struct buf results = {0}, texts = {0};
    for (size_t i = 0; i < s->count; i++) {
        buf_add_byte(&results, (uint8_t)s->candidates[i].error);
        subscribe_add_text(&texts, s, &s->candidates[i], stream);
    }
    subscribe_put_state(shard, s->asker,
                        &(struct wire_estuary_state){
                            .id = s->asker.id,
                            .flags = s->created ? WIRE_ESTUARY_NEW : 0,
                            .expires_ms = stream ? stream->row.expires_ms : STORE_NONE,
                            .content_type = stream ? stream->row.content_type : (struct slice){0},
                            .results = buf_slice(&results),
                            .texts = buf_slice(&texts),
                        });
    buf_clear(&results);
    buf_clear(&texts);
    subscribe_finish(shard, s);
}

static void subscribe_fail(struct shard *shard, struct subscribing *s, enum error error, struct slice why)
{
    subscribe_put_state(shard, s->asker,
                        &(struct wire_estuary_state){.id = s->asker.id, .error = (uint8_t)error, .texts = why});
    subscribe_finish(shard, s);
}

/* ---- in force ---- */

/* The estuary that the sources were attached for; NULL: it has ended since, whatever has its name now. */
static struct stream *subscribe_its_estuary(struct shard *shard, const struct subscribing *s)
{
    struct stream *stream = s->estuary_uid ? streams_by_uid(&shard->streams, s->estuary_uid) : NULL;
    return stream && stream->row.state == STREAM_LIVE ? stream : NULL;
}

static void subscribe_count_source(void *ctx, const struct subscription_row *row, struct slice name)
{
    (void)name;
    *(uint64_t *)ctx += row->until == STORE_NONE;
}

static uint64_t subscribe_source_count(struct shard *shard, uint64_t estuary_uid)
{
    uint64_t count = 0;
    store_sources_of(shard->store, estuary_uid, subscribe_count_source, &count);
    return count;
}

static bool subscribe_subscribed(struct shard *shard, const struct source *source, uint64_t estuary_uid)
{
    struct subscription_row row;
    return store_subscription(shard->store, source->source_uid, estuary_uid, &row) && row.from != STORE_NONE;
}

static enum error subscribe_check_source(const struct subscribing *s, const struct candidate *candidate,
                                         const struct stream *stream)
{
    if (candidate->error != ERR_NONE)
        return candidate->error;
    if (!media_type_same(subscribe_text(candidate->type), stream->row.content_type))
        return ERR_CONTENT_TYPE_MISMATCH;
    if ((s->flags & WIRE_SUBSCRIBE_ENVELOPE) && !media_type_is_json(stream->row.content_type))
        return ERR_INVALID_SUBSCRIPTION;
    return ERR_NONE;
}

static unsigned subscribe_flags_of(const struct subscribing *s)
{
    return (s->flags & WIRE_SUBSCRIBE_ENVELOPE) ? SUBSCRIPTION_ENVELOPE : 0;
}

/* Puts a subscription on disk, not in force yet, unless it is there. */
static void subscribe_put_subscription(struct shard *shard, struct subscribing *s, struct candidate *candidate,
                                       const struct stream *stream, uint64_t *count)
{
    struct source *source = source_find(shard, candidate->uid);
    if (!source) {
        candidate->error = ERR_STREAM_NOT_FOUND; /* it has just ended */
    } else if (subscribe_subscribed(shard, source, stream->row.uid)) {
        return;
    } else if (*count >= shard->cfg->estuary_max_sources) {
        candidate->error = ERR_TOO_MANY_SUBSCRIPTIONS;
    } else {
        source_subscribe(shard, source, stream->row.uid, STORE_NONE, subscribe_flags_of(s));
        ++*count;
    }
}

static void subscribe_walk(struct shard *shard, struct subscribing *s, size_t walking);

/* Nothing is made for sources that are all of another type than was asked for. */
static void subscribe_refuse_other_types(struct subscribing *s)
{
    for (size_t i = 0; i < s->count && *s->type; i++)
        if (s->candidates[i].error == ERR_NONE &&
            !media_type_same(subscribe_text(s->candidates[i].type), subscribe_text(s->type)))
            s->candidates[i].error = ERR_CONTENT_TYPE_MISMATCH;
}

/* What an estuary that is made is of; NULL: there is no source for it. */
static const char *subscribe_type_of(const struct subscribing *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->candidates[i].error == ERR_NONE)
            return *s->type ? s->type : s->candidates[i].type;
    return NULL;
}

static void subscribe_conclude(struct shard *shard, struct subscribing *s)
{
    struct stream *stream = subscribe_its_estuary(shard, s);
    fault_point("shard.subscribed");
    if (stream)
        subscribe_renew(shard, stream);
    subscribe_answer(shard, s, stream);
}

/* All shards have answered. */
static void subscribe_attached_all(struct shard *shard, struct subscribing *s)
{
    enum error error = ERR_NONE;
    struct detail detail = {0};
    subscribe_refuse_other_types(s);
    const char *type = subscribe_type_of(s);
    struct stream *stream = NULL;
    uint64_t count;
    if (type)
        stream = subscribe_estuary_stream(shard, s, type, &error);
    if (error == ERR_NONE && stream && *s->type && !media_type_same(subscribe_text(s->type), stream->row.content_type))
        error = reply_say_types(&detail, stream->row.content_type, "contentType", subscribe_text(s->type));
    if (error != ERR_NONE) {
        subscribe_fail(shard, s, error, slice_str(detail.text));
        return;
    }
    count = stream ? subscribe_source_count(shard, stream->row.uid) : 0;
    s->estuary_uid = stream ? stream->row.uid : 0;
    for (size_t i = 0; i < s->count && stream; i++) {
        struct candidate *candidate = &s->candidates[i];
        candidate->error = subscribe_check_source(s, candidate, stream);
        if (candidate->error == ERR_NONE)
            subscribe_put_subscription(shard, s, candidate, stream, &count);
    }
    subscribe_walk(shard, s, s->count);
}

/* ---- cycles ---- */

static void subscribe_ask_step(struct shard *shard, const struct subscribing *s, size_t i)
{
    struct slice name = subscribe_text(s->steps[i].name);
    struct buf *out = peers_out(&shard->peers, peers_owner_of_name(&shard->peers, name));
    if (!out)
        return; /* asked again when it is up */
    wire_put_sources(out, &(struct wire_sources){.id = s->id, .step = s->walk << 32 | i, .name = name});
}

static void subscribe_add_step(struct shard *shard, struct subscribing *s, struct slice name, uint64_t depth)
{
    uint64_t hash = hash_add(HASH_SEED, name);
    for (size_t i = 0; i < s->step_count; i++)
        if (s->steps[i].hash == hash && slice_equal(subscribe_text(s->steps[i].name), name))
            return;
    s->steps = xrealloc(s->steps, (s->step_count + 1) * sizeof *s->steps);
    s->steps[s->step_count++] = (struct step){.name = xslicedup(name), .hash = hash, .depth = depth};
    s->unanswered++;
    subscribe_ask_step(shard, s, s->step_count - 1);
}

/* The subscription comes into force, or it is none. */
static void subscribe_flush_source(struct shard *shard, struct subscribing *s, struct candidate *candidate,
                                   enum error result)
{
    struct stream *stream = subscribe_its_estuary(shard, s);
    struct source *source = source_find(shard, candidate->uid);
    candidate->error = !stream ? ERR_ESTUARY_NOT_FOUND : !source ? ERR_STREAM_NOT_FOUND : result;
    if (!stream || !source)
        return;
    if (subscribe_subscribed(shard, source, stream->row.uid))
        candidate->error = ERR_NONE; /* it was in force before, and stays */
    else if (result != ERR_NONE)
        source_unsubscribe(shard, source, stream->row.uid, 0);
    else
        source_subscribe(shard, source, stream->row.uid, source_free_from(source, stream->row.uid, candidate->position),
                         subscribe_flags_of(s));
    source_notify(shard, source);
}

/* A walk has come to its end. If all sources together lead to no cycle, none does; otherwise it is found out of each.
 */
static void subscribe_walked(struct shard *shard, struct subscribing *s, enum error result)
{
    bool all = s->walking == s->count;
    subscribe_clear_walk(s);
    if (all && result != ERR_NONE) {
        subscribe_walk(shard, s, 0);
        return;
    }
    for (size_t i = all ? 0 : s->walking; i < (all ? s->count : s->walking + 1); i++)
        if (s->candidates[i].error == ERR_NONE)
            subscribe_flush_source(shard, s, &s->candidates[i], result);
    if (all || s->walking + 1 == s->count)
        subscribe_conclude(shard, s);
    else
        subscribe_walk(shard, s, s->walking + 1);
}

static void subscribe_walk(struct shard *shard, struct subscribing *s, size_t walking)
{
    bool all = walking == s->count;
    s->walking = walking;
    for (size_t i = all ? 0 : walking; i < (all ? s->count : walking + 1); i++)
        if (s->candidates[i].error == ERR_NONE)
            subscribe_add_step(shard, s, slice_of(s->candidates[i].name, s->candidates[i].len), 1);
    if (!s->unanswered)
        subscribe_walked(shard, s, ERR_NONE);
}

static void subscribe_note_name(void *ctx, const struct subscription_row *row, struct slice name)
{
    (void)row;
    buf_add_slice(ctx, name);
    buf_add_byte(ctx, 0);
}

void on_sources(struct shard *shard, unsigned from, const struct wire_sources *m)
{
    struct buf names = {0}, *out = peers_out(&shard->peers, from);
    struct stream *stream = streams_by_name(&shard->streams, m->name);
    if (stream)
        store_sources_of(shard->store, stream->row.uid, subscribe_note_name, &names);
    if (out)
        wire_put_sourced(out, &(struct wire_sourced){.id = m->id, .step = m->step, .sources = buf_slice(&names)});
    buf_clear(&names);
}

static struct slice subscribe_next_name(struct slice *names)
{
    const char *end = memchr(names->data, 0, names->len);
    size_t len = end ? (size_t)(end - names->data) : names->len;
    struct slice name = slice_of(names->data, len);
    *names = slice_of(names->data + len + (end != NULL), names->len - len - (end != NULL));
    return name;
}

static struct subscribing *subscribe_find(const struct shard *shard, uint64_t id)
{
    struct subscribing *s = shard->subscribing;
    while (s && (id < s->id || id > s->id + s->count))
        s = s->next;
    return s;
}

void on_sourced(struct shard *shard, unsigned from, const struct wire_sourced *m)
{
    struct subscribing *s = subscribe_find(shard, m->id);
    struct slice names = m->sources;
    enum error error = ERR_NONE;
    (void)from;
    size_t i = (size_t)(m->step & UINT32_MAX);
    if (!s || s->id != m->id || m->step >> 32 != s->walk || i >= s->step_count || s->steps[i].answered)
        return;
    uint64_t depth = s->steps[i].depth + 1;
    s->steps[i].answered = true;
    s->unanswered--;
    while (names.len && error == ERR_NONE) {
        struct slice name = subscribe_next_name(&names);
        if (slice_equal(name, subscribe_text(s->estuary)))
            error = ERR_SUBSCRIPTION_CIRCLE;
        else if (depth > shard->cfg->fanout_depth || s->step_count >= WALK_MAX)
            error = ERR_SUBSCRIPTIONS_TOO_DEEP;
        else
            subscribe_add_step(shard, s, name, depth);
    }
    if (error != ERR_NONE || !s->unanswered)
        subscribe_walked(shard, s, error);
}

/* ---- asking the sources' shards ---- */

static void subscribe_look_for(void *ctx, const struct subscription_row *row, struct slice name)
{
    (void)name;
    *(bool *)ctx |= row->until == STORE_NONE;
}

static bool subscribe_subscribed_to(struct shard *shard, const struct subscribing *s, const struct candidate *candidate)
{
    bool found = false;
    const struct stream *stream = streams_by_name(&shard->streams, subscribe_text(s->estuary));
    if (stream)
        store_sources_named(shard->store, stream->row.uid, subscribe_text(candidate->name), subscribe_look_for, &found);
    return found;
}

static void subscribe_ask(struct shard *shard, const struct subscribing *s, size_t i)
{
    const struct candidate *candidate = &s->candidates[i];
    bool ends = (s->flags & WIRE_SUBSCRIBE_END) != 0;
    struct buf *out = peers_out(&shard->peers, peers_owner_of_name(&shard->peers, subscribe_text(candidate->name)));
    const struct wire_attach m = {
        .id = s->id + 1 + i,
        .source = subscribe_text(candidate->name),
        .flags = ends ? WIRE_ATTACH_LEAVES : 0,
        .subscribers = subscribe_subscribed_to(shard, s, candidate) == ends, /* the true number follows */
    };
    if (!out)
        return; /* asked again when it is up */
    wire_put_attach(out, &m);
}

static void subscribe_unsubscribe(struct shard *shard, const struct candidate *candidate, const struct stream *stream);

void on_attached(struct shard *shard, unsigned from, const struct wire_attached *m)
{
    struct subscribing *s = subscribe_find(shard, m->id);
    (void)from;
    if (!s || m->id == s->id || s->candidates[m->id - s->id - 1].answered)
        return;
    struct candidate *candidate = &s->candidates[m->id - s->id - 1];
    candidate->answered = true;
    candidate->error = m->error < ERR_COUNT ? (enum error)m->error : ERR_INTERNAL;
    candidate->uid = m->uid;
    candidate->position = m->position;
    candidate->type = xslicedup(m->content_type);
    if (candidate->error == ERR_NONE && !(s->flags & WIRE_SUBSCRIBE_END)) {
        source_acquire(shard, m->uid, m->feed, subscribe_text(candidate->name), m->position);
        candidate->held = true;
    }
    if (--s->asked)
        return;
    if (!(s->flags & WIRE_SUBSCRIBE_END)) {
        subscribe_attached_all(shard, s);
        return;
    }
    enum error error;
    struct stream *stream = streams_live(&shard->streams, subscribe_text(s->estuary), shard->now_ms, &error);
    for (size_t i = 0; i < s->count && stream; i++)
        subscribe_unsubscribe(shard, &s->candidates[i], stream);
    for (size_t i = 0; i < s->count; i++)
        s->candidates[i].error = ERR_NONE;
    subscribe_answer(shard, s, stream);
}

void on_subscribe(struct shard *shard, struct asker asker, const struct wire_subscribe *m)
{
    struct slice names = m->sources;
    if (shard->disk.stuck || (!(m->flags & WIRE_SUBSCRIBE_END) && !disk_takes(&shard->disk, 0))) {
        subscribe_answer_state(shard, asker, ERR_INSUFFICIENT_STORAGE);
        return;
    }
    if (shard->subscribing_count >= SUBSCRIBING_MAX) {
        subscribe_answer_state(shard, asker, ERR_OVERLOADED);
        return;
    }
    struct subscribing *s = xcalloc(1, sizeof *s);
    *s = (struct subscribing){.next = shard->subscribing, .asker = asker, .flags = m->flags};
    s->estuary = xslicedup(m->estuary);
    s->type = xslicedup(m->content_type);
    s->deadline_ms = shard->ticks_ms + shard->cfg->router_shard_wait;
    while (names.len) {
        struct slice name = subscribe_next_name(&names);
        s->candidates = xrealloc(s->candidates, (s->count + 1) * sizeof *s->candidates);
        s->candidates[s->count++] = (struct candidate){.name = xslicedup(name), .len = name.len};
    }
    s->id = shard->last_id + 1;
    shard->last_id += 1 + s->count;
    s->asked = s->count;
    shard->subscribing = s;
    shard->subscribing_count++;
    for (size_t i = 0; i < s->count; i++)
        subscribe_ask(shard, s, i);
}

void subscribe_shard_up(struct shard *shard, unsigned index)
{
    for (struct subscribing *s = shard->subscribing; s; s = s->next) {
        for (size_t i = 0; i < s->count; i++)
            if (!s->candidates[i].answered &&
                peers_owner_of_name(&shard->peers, subscribe_text(s->candidates[i].name)) == index)
                subscribe_ask(shard, s, i);
        for (size_t i = 0; i < s->step_count; i++)
            if (!s->steps[i].answered && peers_owner_of_name(&shard->peers, subscribe_text(s->steps[i].name)) == index)
                subscribe_ask_step(shard, s, i);
    }
}

/* What was not brought into force yet never will be. */
static void subscribe_give_up(struct shard *shard, struct subscribing *s)
{
    const struct stream *stream = subscribe_its_estuary(shard, s);
    for (size_t i = 0; i < s->count && stream; i++) {
        struct source *source = s->candidates[i].uid ? source_find(shard, s->candidates[i].uid) : NULL;
        if (!source || subscribe_subscribed(shard, source, stream->row.uid))
            continue;
        source_unsubscribe(shard, source, stream->row.uid, 0);
        source_notify(shard, source);
    }
    subscribe_fail(shard, s, ERR_SHARD_UNAVAILABLE, SLICE(""));
}

void subscribe_tick(struct shard *shard)
{
    for (struct subscribing *s = shard->subscribing, *next; s; s = next) {
        next = s->next;
        if (s->deadline_ms <= shard->ticks_ms)
            subscribe_give_up(shard, s);
    }
}

void subscribe_clear(struct shard *shard)
{
    while (shard->subscribing)
        subscribe_forget(shard, shard->subscribing);
}

/* ---- unsubscribing ---- */

static void subscribe_note_uid(void *ctx, const struct subscription_row *row, struct slice name)
{
    (void)name;
    buf_add(ctx, &row->source_uid, sizeof row->source_uid);
}

/* Of a source of that name: the one that is there now is over at its tail, an earlier one at once. */
static void subscribe_unsubscribe(struct shard *shard, const struct candidate *candidate, const struct stream *stream)
{
    struct buf uids = {0};
    uint64_t uid;
    store_sources_named(shard->store, stream->row.uid, subscribe_text(candidate->name), subscribe_note_uid, &uids);
    for (; buf_len(&uids); buf_consume(&uids, sizeof uid)) {
        memcpy(&uid, buf_slice(&uids).data, sizeof uid);
        struct source *source = source_find(shard, uid);
        bool there = candidate->error == ERR_NONE && candidate->uid == uid;
        if (!source)
            continue;
        source_unsubscribe(shard, source, stream->row.uid, there ? candidate->position : STORE_NONE);
        source_notify(shard, source);
    }
    buf_clear(&uids);
}

/* ---- what there is ---- */

static void subscribe_note_source(void *ctx, const struct subscription_row *row, struct slice name)
{
    if (row->until == STORE_NONE && row->from != STORE_NONE)
        subscribe_note_name(ctx, row, name);
}

void on_estuary(struct shard *shard, struct asker asker, const struct wire_estuary *m)
{
    enum error error = ERR_NONE;
    struct stream *stream = streams_live(&shard->streams, m->name, shard->now_ms, &error);
    struct buf names = {0};
    if (!stream && m->what >= WIRE_ESTUARY_DELETE) {
        subscribe_answer_state(shard, asker, ERR_NONE); /* as good as deleted */
        return;
    }
    if (!stream || !(stream->row.kind & STREAM_KIND_ESTUARY)) {
        subscribe_answer_state(shard, asker, ERR_ESTUARY_NOT_FOUND);
        return;
    }
    if (m->what == WIRE_ESTUARY_DELETE_OWNED && !(stream->row.kind & STREAM_KIND_OWNED)) {
        subscribe_answer_state(shard, asker, ERR_FORBIDDEN);
        return;
    }
    if (shard->disk.stuck && m->what != WIRE_ESTUARY_LOOK) {
        subscribe_answer_state(shard, asker, ERR_INSUFFICIENT_STORAGE);
        return;
    }
    if (m->what >= WIRE_ESTUARY_DELETE) {
        delete_stream(shard, stream);
        subscribe_answer_state(shard, asker, ERR_NONE);
        return;
    }
    if (m->what == WIRE_ESTUARY_TOUCH)
        subscribe_renew(shard, stream);
    else
        store_sources_of(shard->store, stream->row.uid, subscribe_note_source, &names);
    subscribe_put_state(shard, asker,
                        &(struct wire_estuary_state){
                            .id = asker.id,
                            .expires_ms = stream->row.expires_ms,
                            .content_type = stream->row.content_type,
                            .sources = buf_slice(&names),
                        });
    buf_clear(&names);
}
