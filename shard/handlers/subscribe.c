/* One conversation, in the shard of the estuary:
 *
 *     SUBSCRIBE --> attaching: ATTACH to each source's shard --all answered--> the estuary is made, if need be; the
 *                     |                                                        subscriptions are on disk, not in force
 *                     |                                                            |
 *                     |                                                        searching for a cycle, of all sources
 *                     |                                                        together; if there is one, of each
 *                     |                                                            |
 *                     +--router.shard_wait--> given up, answered <--the same-------+--> in force, or removed; answered
 *
 * Happy path: two rounds of questions, however many sources there are. Each source gets a result of its own.
 *
 * Failure modes: a shard that is away answers when it is back, or the deadline passes: then what is not in force is
 * removed. If this process dies, its successor removes what was not in force (store_subscriptions_clean), and the
 * sources' shards find out by PROBE_FEED that nobody is subscribed. The estuary or a source may end meanwhile; so both
 * are looked up by uid whenever the conversation goes on. A source is held (source_acquire) as long as it lasts.
 *
 * Unsubscribing (WIRE_SUBSCRIBE_END) asks the same shards where the tails are: what was appended before still comes, of
 * a source that has ended meanwhile too. */
#include "shard/handlers/subscribe.h"

#include <stdlib.h>

#include "common/fault.h"
#include "common/media_type.h"
#include "common/mem.h"
#include "shard/fanout/source.h"
#include "shard/handlers/create.h"
#include "shard/handlers/estuary_admin.h"
#include "shard/handlers/names.h"
#include "shard/handlers/subscribe_cycle.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/store/disk.h"
#include "shard/store/store.h"
#include "shard/store/store_fanout.h"
#include "shard/store/store_stream.h"
#include "shard/streams/reply.h"

#define SUBSCRIBING_MAX 1024

struct subscribing;

/* A source that the request names. */
struct candidate {
    struct ask ask; /* ATTACH */
    struct subscribing *of;
    char *name;
    size_t len;
    bool answered; /* its question is over */
    bool held;     /* the subscription source is */
    enum error error;
    uint64_t uid, position; /* of the stream, and its tail */
    char *type;
    bool json; /* it holds JSON messages */
};

struct subscribing {
    struct shard *shard;
    struct asker asker;
    char *estuary;
    uint64_t estuary_uid; /* once it is known */
    char *type;           /* "" if none was given */
    unsigned flags;
    bool created; /* the estuary was, for this */
    struct candidate *candidates;
    size_t count, asked; /* candidates; and those whose shard has not answered */
    uint64_t deadline_ms;

    size_t searching; /* the candidate that is followed upwards; `count`: all of them together */
    struct cycle_search search;
};

static struct slice subscribe_text(const char *s)
{
    return slice_str(s);
}

/* ---- life ---- */

static void subscribe_free(struct subscribing *s)
{
    s->shard->subscribing_count--;
    for (size_t i = 0; i < s->count; i++) {
        if (!s->candidates[i].answered)
            ask_end(&s->shard->asks[ASK_ATTACH], &s->candidates[i].ask);
        free(s->candidates[i].name);
        free(s->candidates[i].type);
    }
    subscribe_cycle_end(&s->search);
    free(s->candidates);
    free(s->estuary);
    free(s->type);
    free(s);
}

static void subscribe_finish(struct subscribing *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->candidates[i].held)
            source_release(s->shard, s->candidates[i].uid);
    subscribe_free(s);
}

/* ---- the answer ---- */

/* Adds a text that explains a source's result, or an empty one. */
static void subscribe_add_text(struct buf *texts, const struct subscribing *s, const struct candidate *candidate,
                               const struct stream *stream)
{
    struct slice type = *s->type || !stream ? subscribe_text(s->type) : stream->row.content_type;
    struct detail detail = {0};
    if (candidate->error == ERR_CONTENT_TYPE_MISMATCH && media_type_same(subscribe_text(candidate->type), type))
        (void)detail_say(&detail, candidate->error, "the source of %s holds %s and the estuary does not",
                         candidate->type, candidate->json ? "JSON messages" : "bytes");
    else if (candidate->error == ERR_CONTENT_TYPE_MISMATCH)
        (void)reply_say_types(&detail, subscribe_text(candidate->type), "estuary", type);
    if (candidate->error == ERR_INVALID_SUBSCRIPTION)
        (void)detail_say(&detail, candidate->error,
                         "envelopes need JSON messages, as of application/json; this stream is %s", candidate->type);
    buf_add(texts, detail.text, strlen(detail.text) + 1);
}

static void subscribe_answer(struct shard *shard, struct subscribing *s, const struct stream *stream)
{
    struct buf results = {0}, texts = {0};
    for (size_t i = 0; i < s->count; i++) {
        buf_add_byte(&results, (uint8_t)s->candidates[i].error);
        subscribe_add_text(&texts, s, &s->candidates[i], stream);
    }
    estuary_admin_answer(shard, s->asker,
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
    subscribe_finish(s);
}

static void subscribe_fail(struct shard *shard, struct subscribing *s, enum error error, struct slice why)
{
    estuary_admin_answer(shard, s->asker,
                         &(struct wire_estuary_state){.id = s->asker.id, .error = (uint8_t)error, .texts = why});
    subscribe_finish(s);
}

/* ---- the estuary ---- */

/* The estuary as a live stream, made if need be: it holds what the first of its sources holds. NULL: *error. */
static struct stream *subscribe_estuary_stream(struct shard *shard, struct subscribing *s,
                                               const struct candidate *first, enum error *error)
{
    struct stream *stream = streams_live(&shard->streams, subscribe_text(s->estuary), shard->now_ms, error);
    if (!stream && *error == ERR_STREAM_NOT_FOUND && (s->flags & WIRE_SUBSCRIBE_FULL)) {
        *error = ERR_QUOTA_EXCEEDED;
        return NULL;
    }
    if (!stream && *error == ERR_STREAM_NOT_FOUND && !shard->disk.full) {
        *error = ERR_NONE;
        stream = create_plain(shard, subscribe_text(s->estuary), subscribe_text(*s->type ? s->type : first->type),
                              first->json);
        stream->row.kind |= STREAM_KIND_OWNED;
        s->created = true;
    } else if (!stream) {
        *error = shard->disk.full            ? ERR_INSUFFICIENT_STORAGE
                 : *error == ERR_STREAM_GONE ? ERR_STREAM_SOFT_DELETED
                                             : *error;
        return NULL;
    }
    (void)stream_write(&shard->streams, stream);
    stream->row.kind |= STREAM_KIND_ESTUARY;
    store_stream_set_kind(shard->store, &stream->row);
    if (s->created)
        estuary_admin_renew(shard, stream);
    return stream;
}

/* The estuary that the sources were attached for; NULL: it has ended since. Another stream may have its name. */
static struct stream *subscribe_its_estuary(struct shard *shard, const struct subscribing *s)
{
    struct stream *stream = s->estuary_uid ? streams_by_uid(&shard->streams, s->estuary_uid) : NULL;
    return stream && stream->row.state == STREAM_LIVE ? stream : NULL;
}

/* ---- subscriptions ---- */

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
    if (!media_type_same(subscribe_text(candidate->type), stream->row.content_type) || candidate->json != stream->json)
        return ERR_CONTENT_TYPE_MISMATCH;
    if ((s->flags & WIRE_SUBSCRIBE_ENVELOPE) && !stream->json)
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

/* The subscription comes into force, or it is none. */
static void subscribe_decide(struct shard *shard, struct subscribing *s, struct candidate *candidate, enum error result)
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

/* Removes the subscriptions that are not in force yet, and answers. */
static void subscribe_give_up(struct subscribing *s)
{
    struct shard *shard = s->shard;
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

/* ---- the search for cycles ---- */

static void subscribe_conclude(struct shard *shard, struct subscribing *s)
{
    struct stream *stream = subscribe_its_estuary(shard, s);
    fault_point("shard.subscribed");
    if (stream)
        estuary_admin_renew(shard, stream);
    subscribe_answer(shard, s, stream);
}

static void subscribe_search(struct subscribing *s, size_t searching);

/* A search has ended. If all sources together lead to no cycle, none does; otherwise each is looked at alone. */
static void subscribe_searched(struct subscribing *s, enum error result)
{
    bool all = s->searching == s->count;
    if (all && result != ERR_NONE) {
        subscribe_search(s, 0);
        return;
    }
    for (size_t i = all ? 0 : s->searching; i < (all ? s->count : s->searching + 1); i++)
        if (s->candidates[i].error == ERR_NONE)
            subscribe_decide(s->shard, s, &s->candidates[i], result);
    if (all || s->searching + 1 == s->count)
        subscribe_conclude(s->shard, s);
    else
        subscribe_search(s, s->searching + 1);
}

static void subscribe_search(struct subscribing *s, size_t searching)
{
    bool all = searching == s->count;
    s->searching = searching;
    for (size_t i = all ? 0 : searching; i < (all ? s->count : searching + 1); i++)
        if (s->candidates[i].error == ERR_NONE)
            subscribe_cycle_from(&s->search, slice_of(s->candidates[i].name, s->candidates[i].len));
    if (!s->search.unanswered)
        subscribe_searched(s, ERR_NONE);
}

static void subscribe_on_found(struct cycle_search *search, enum error result)
{
    subscribe_cycle_end(search);
    subscribe_searched(LIST_OWNER(search, struct subscribing, search), result);
}

static void subscribe_on_expired(struct cycle_search *search)
{
    subscribe_give_up(LIST_OWNER(search, struct subscribing, search));
}

static void subscribe_on_drop(struct cycle_search *search)
{
    subscribe_free(LIST_OWNER(search, struct subscribing, search));
}

static const struct cycle_ops subscribe_cycle_ops = {subscribe_on_found, subscribe_on_expired, subscribe_on_drop};

/* ---- all shards have answered ---- */

/* Nothing is made for sources that are all of another type than was asked for. */
static void subscribe_refuse_other_types(struct subscribing *s)
{
    for (size_t i = 0; i < s->count && *s->type; i++)
        if (s->candidates[i].error == ERR_NONE &&
            !media_type_same(subscribe_text(s->candidates[i].type), subscribe_text(s->type)))
            s->candidates[i].error = ERR_CONTENT_TYPE_MISMATCH;
}

/* The source that decides what a new estuary holds; NULL: none is left. */
static const struct candidate *subscribe_first_of(const struct subscribing *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->candidates[i].error == ERR_NONE)
            return &s->candidates[i];
    return NULL;
}

static void subscribe_attached_all(struct shard *shard, struct subscribing *s)
{
    enum error error = ERR_NONE;
    struct detail detail = {0};
    subscribe_refuse_other_types(s);
    const struct candidate *first = subscribe_first_of(s);
    struct stream *stream = NULL;
    uint64_t count;
    if (first)
        stream = subscribe_estuary_stream(shard, s, first, &error);
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
    subscribe_search(s, s->count);
}

static void subscribe_note_uid(void *ctx, const struct subscription_row *row, struct slice name)
{
    (void)name;
    buf_add(ctx, &row->source_uid, sizeof row->source_uid);
}

/* Every source of that name: the one that is there now is left at its tail; one that has ended takes nothing more. */
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
        source_unsubscribe(shard, source, stream->row.uid, there ? candidate->position : SOURCE_END);
        source_notify(shard, source);
    }
    buf_clear(&uids);
}

static void subscribe_unsubscribe_all(struct shard *shard, struct subscribing *s)
{
    enum error error;
    struct stream *stream = streams_live(&shard->streams, subscribe_text(s->estuary), shard->now_ms, &error);
    for (size_t i = 0; i < s->count && stream; i++)
        subscribe_unsubscribe(shard, &s->candidates[i], stream);
    for (size_t i = 0; i < s->count; i++)
        s->candidates[i].error = ERR_NONE;
    subscribe_answer(shard, s, stream);
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

static struct candidate *subscribe_candidate_of(struct ask *ask)
{
    return LIST_OWNER(ask, struct candidate, ask);
}

static void subscribe_put_attach(const struct ask *ask, struct buf *out)
{
    const struct candidate *candidate = LIST_OWNER(ask, const struct candidate, ask);
    const struct subscribing *s = candidate->of;
    bool ends = (s->flags & WIRE_SUBSCRIBE_END) != 0;
    const struct wire_attach m = {
        .id = ask->id,
        .source = subscribe_text(candidate->name),
        .flags = ends ? WIRE_ATTACH_LEAVES : 0,
        .subscribers = subscribe_subscribed_to(s->shard, s, candidate) == ends, /* the true number follows */
    };
    wire_put_attach(out, &m);
}

static void subscribe_attach_expired(void *ctx, struct ask *ask)
{
    (void)ctx;
    subscribe_candidate_of(ask)->answered = true;
    subscribe_give_up(subscribe_candidate_of(ask)->of);
}

/* The last question that is dropped takes the conversation with it. */
static void subscribe_attach_drop(struct ask *ask)
{
    struct subscribing *s = subscribe_candidate_of(ask)->of;
    subscribe_candidate_of(ask)->answered = true;
    if (!--s->asked)
        subscribe_free(s);
}

const struct ask_kind subscribe_questions = {
    .most = UINT32_MAX, /* conversations are limited, and the names in one request */
    .writes = true,
    .put = subscribe_put_attach,
    .expired = subscribe_attach_expired,
    .drop = subscribe_attach_drop,
};

void on_attached(struct shard *shard, unsigned from, const struct wire_attached *m)
{
    struct ask *ask = ask_find(&shard->asks[ASK_ATTACH], m->id, from);
    if (!ask)
        return;
    struct candidate *candidate = subscribe_candidate_of(ask);
    struct subscribing *s = candidate->of;
    bool ends = (s->flags & WIRE_SUBSCRIBE_END) != 0;
    ask_end(&shard->asks[ASK_ATTACH], ask);
    candidate->answered = true;
    candidate->error = m->error < ERR_COUNT ? (enum error)m->error : ERR_INTERNAL;
    candidate->uid = m->uid;
    candidate->position = m->position;
    candidate->type = xslicedup(m->content_type);
    candidate->json = m->json;
    if (candidate->error == ERR_NONE && !ends) {
        source_acquire(shard, m->uid, m->feed, subscribe_text(candidate->name), m->position);
        candidate->held = true;
    }
    if (--s->asked)
        return;
    if (ends)
        subscribe_unsubscribe_all(shard, s);
    else
        subscribe_attached_all(shard, s);
}

static struct subscribing *subscribe_new(struct shard *shard, struct asker asker, const struct wire_subscribe *m)
{
    struct slice names = m->sources;
    struct subscribing *s = xcalloc(1, sizeof *s);
    *s = (struct subscribing){.shard = shard, .asker = asker, .flags = m->flags};
    s->estuary = xslicedup(m->estuary);
    s->type = xslicedup(m->content_type);
    s->deadline_ms = shard->ticks_ms + shard->cfg->router_shard_wait;
    while (names.len) {
        struct slice name = names_next(&names);
        s->candidates = xrealloc(s->candidates, (s->count + 1) * sizeof *s->candidates);
        s->candidates[s->count++] = (struct candidate){.of = s, .name = xslicedup(name), .len = name.len};
    }
    s->asked = s->count;
    s->search = (struct cycle_search){.shard = shard,
                                      .ops = &subscribe_cycle_ops,
                                      .estuary = subscribe_text(s->estuary),
                                      .deadline_ms = s->deadline_ms};
    subscribe_cycle_init(&s->search);
    shard->subscribing_count++;
    return s;
}

void on_subscribe(struct shard *shard, struct asker asker, const struct wire_subscribe *m)
{
    if (shard->disk.stuck || (!(m->flags & WIRE_SUBSCRIBE_END) && !disk_takes(&shard->disk, 0))) {
        estuary_admin_refuse(shard, asker, ERR_INSUFFICIENT_STORAGE);
        return;
    }
    if (shard->subscribing_count >= SUBSCRIBING_MAX || !m->sources.len) {
        estuary_admin_refuse(shard, asker, ERR_OVERLOADED);
        return;
    }
    struct subscribing *s = subscribe_new(shard, asker, m);
    for (size_t i = 0; i < s->count; i++) {
        unsigned owner = peers_owner_of_name(&shard->peers, subscribe_text(s->candidates[i].name));
        ask_begin(&shard->asks[ASK_ATTACH], &s->candidates[i].ask, owner, s->deadline_ms);
    }
}
