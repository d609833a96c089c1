#include "shard/fanout/estuary.h"

#include <stdlib.h>

#include "common/boundaries.h"
#include "common/fault.h"
#include "common/mem.h"
#include "common/offset.h"
#include "common/percent.h"
#include "shard/fanout/append.h"
#include "shard/fanout/feed.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/store/disk.h"
#include "shard/streams/due.h"
#include "shard/streams/page.h"
#include "shard/store/entry.h"
#include "shard/store/extent.h"
#include "shard/store/store_fanout.h"
#include "shard/store/store_stream.h"
#include "shard/store/store.h"

#define SOURCES_KEPT 4096
#define SHARE_BYTES 64 /* shorter payloads are copied: a reference is hardly shorter */

/* ---- sources ---- */

void sources_init(struct sources *sources)
{
    *sources = (struct sources){.buckets = 1024};
    sources->table = xcalloc(sources->buckets, sizeof *sources->table);
}

static void source_free(struct source *source)
{
    free((char *)(uintptr_t)source->name.data);
    free(source->subscriptions);
    free(source);
}

/* Those the store knows all of. */
static void source_forget_all(struct sources *sources, bool opened_too)
{
    for (size_t i = 0; i < sources->buckets; i++)
        for (struct source **at = &sources->table[i], *source; (source = *at);) {
            if (source->opened && !opened_too) {
                at = &source->next;
                continue;
            }
            *at = source->next;
            source_free(source);
            sources->count--;
        }
}

void sources_clear(struct sources *sources)
{
    source_forget_all(sources, true);
    free(sources->table);
    *sources = (struct sources){0};
}

void sources_tick(struct shard *shard)
{
    if (shard->sources.count > SOURCES_KEPT)
        source_forget_all(&shard->sources, false);
}

static struct source **source_chain(const struct sources *sources, uint64_t source_uid)
{
    uint64_t hash = source_uid * 0x9e3779b97f4a7c15u;
    return &sources->table[(size_t)(hash >> 32) & (sources->buckets - 1)];
}

static bool source_counts(const struct subscription_row *row)
{
    return row->from != STORE_NONE && row->until == STORE_NONE;
}

static void source_add_subscription(void *ctx, const struct subscription_row *row)
{
    struct source *source = ctx;
    if ((source->count & (source->count - 1)) == 0)
        source->subscriptions = xrealloc(source->subscriptions, (source->count ? source->count * 2 : 1) * sizeof *row);
    source->subscriptions[source->count++] = *row;
    source->subscribers += source_counts(row);
}

static struct source *source_link(struct shard *shard, const struct source_row *row)
{
    struct source **at = source_chain(&shard->sources, row->source_uid), *source = xcalloc(1, sizeof *source);
    *source = (struct source){
        .source_uid = row->source_uid,
        .feed = row->feed,
        .received = row->received,
        .name = slice_of(xslicedup(row->name), row->name.len),
        .next = *at,
    };
    *at = source;
    shard->sources.count++;
    return source;
}

struct source *source_find(struct shard *shard, uint64_t source_uid)
{
    struct source_row row;
    struct source *source = *source_chain(&shard->sources, source_uid);
    while (source && source->source_uid != source_uid)
        source = source->next;
    if (source || !store_source(shard->store, source_uid, &row))
        return source;
    source = source_link(shard, &row);
    store_subscriptions(shard->store, source_uid, source_add_subscription, source);
    return source;
}

/* Nobody is subscribed or about to be. */
static bool source_idle(const struct source *source)
{
    return !source->count && !source->opened;
}

void source_acquire(struct shard *shard, uint64_t source_uid, uint64_t feed, struct slice name, uint64_t position)
{
    struct source *source = source_find(shard, source_uid);
    struct source_row row = {source_uid, feed, position, name};
    if (!source || source->feed != feed) {
        store_begin(shard->store);
        if (!source)
            source = source_link(shard, &row);
        /* otherwise the source's shard had forgotten us and begins anew */
        source->feed = feed;
        source->received = row.received = source->received > position ? source->received : position;
        store_source_put(shard->store, &row);
    }
    source->opened++;
}

void source_release(struct shard *shard, uint64_t source_uid)
{
    struct source *source = source_find(shard, source_uid);
    if (!source)
        return;
    source->opened--;
    if (source_idle(source))
        source_notify(shard, source);
}

static void source_remove(struct shard *shard, struct source *source)
{
    struct source **at = source_chain(&shard->sources, source->source_uid);
    while (*at != source)
        at = &(*at)->next;
    *at = source->next;
    shard->sources.count--;
    store_begin(shard->store);
    store_source_delete(shard->store, source->source_uid);
    source_free(source);
}

/* ---- subscriptions ---- */

static void source_remove_subscription(struct shard *shard, struct source *source, size_t at)
{
    store_begin(shard->store);
    store_subscription_delete(shard->store, &source->subscriptions[at]);
    source->subscribers -= source_counts(&source->subscriptions[at]);
    memmove(source->subscriptions + at, source->subscriptions + at + 1,
            (--source->count - at) * sizeof *source->subscriptions);
}

void source_subscribe(struct shard *shard, struct source *source, uint64_t estuary_uid, uint64_t from, unsigned flags)
{
    const struct subscription_row row = {source->source_uid, estuary_uid, from, STORE_NONE, flags};
    struct subscription_row before;
    if (store_subscription(shard->store, source->source_uid, estuary_uid, &before))
        source_unsubscribe(shard, source, estuary_uid, 0); /* it was not in force yet */
    store_begin(shard->store);
    store_subscription_put(shard->store, &row);
    source_add_subscription(source, &row);
}

uint64_t source_free_from(const struct source *source, uint64_t estuary_uid, uint64_t position)
{
    uint64_t from = source->received > position ? source->received : position;
    for (size_t i = 0; i < source->count; i++) { /* an earlier subscription may still get what it missed */
        const struct subscription_row *s = &source->subscriptions[i];
        if (s->estuary_uid == estuary_uid && s->until != STORE_NONE && s->until > from)
            from = s->until;
    }
    return from;
}

void source_unsubscribe(struct shard *shard, struct source *source, uint64_t estuary_uid, uint64_t until)
{
    for (size_t i = 0; i < source->count; i++) {
        struct subscription_row *s = &source->subscriptions[i];
        if (s->estuary_uid != estuary_uid)
            continue;
        if (until != STORE_NONE && s->until != STORE_NONE)
            continue; /* an earlier one, which still gets what it missed */
        if (until == STORE_NONE || until <= source->received || s->from == STORE_NONE || s->from >= until) {
            source_remove_subscription(shard, source, i--);
            continue;
        }
        source->subscribers -= source_counts(s);
        s->until = until;
        store_begin(shard->store);
        store_subscription_put(shard->store, s);
    }
}

void source_notify(struct shard *shard, struct source *source)
{
    struct buf *out = peers_out(&shard->peers, peers_owner_of_uid(&shard->peers, source->source_uid));
    bool over = source_idle(source);
    const struct wire_subscribers m = {
        .uid = source->source_uid, .feed = source->feed, .subscribers = source->subscribers};
    if (out && (m.subscribers || over))
        wire_put_subscribers(out, &m);
    if (over)
        source_remove(shard, source);
}

static void estuary_note_source(void *ctx, const struct subscription_row *row, struct slice name)
{
    (void)name;
    buf_add(ctx, &row->source_uid, sizeof row->source_uid);
}

void estuary_unsubscribe_all(struct shard *shard, const struct stream *stream)
{
    struct buf uids = {0};
    uint64_t uid;
    if (!(stream->row.kind & STREAM_KIND_ESTUARY))
        return;
    fault_point("shard.estuary-ends");
    store_sources_of(shard->store, stream->row.uid, estuary_note_source, &uids);
    for (; buf_len(&uids); buf_consume(&uids, sizeof uid)) {
        memcpy(&uid, buf_slice(&uids).data, sizeof uid);
        struct source *source = source_find(shard, uid);
        if (!source)
            continue;
        source_unsubscribe(shard, source, stream->row.uid, STORE_NONE);
        source_notify(shard, source);
    }
    buf_clear(&uids);
}

/* ---- deliveries ---- */

/* What a DELIVER brings, as the subscriptions get it. */
struct delivery {
    const struct source *source;
    struct extent plain, envelopes; /* the whole of it; envelopes are made when the first wants them */
    struct buf data, boundaries;    /* of the envelopes */
    const char *last;               /* the bytes that the last estuary got, and how many */
    size_t last_len;
    size_t subscribers;
};

/* Each message as {"stream":...,"offset":...,"data":...}; the offset is where to go on in the source after it. */
static void estuary_make_envelopes(struct delivery *d)
{
    struct slice boundaries = d->plain.boundaries, stream = d->source->name;
    const char *slash = memchr(stream.data, '/', stream.len);
    uint64_t length = d->plain.data.len, position = d->plain.start;
    size_t at = 0;
    bool last = true;
    stream = slice_of(slash + 1, stream.len - (size_t)(slash + 1 - stream.data));
    while (d->plain.boundaries.len ? boundaries_next(&boundaries, &length, &last) : at == 0) {
        char offset[OFFSET_LEN];
        size_t before = buf_len(&d->data);
        offset_print(offset, ++position);
        buf_add_slice(&d->data, SLICE("{\"stream\":\""));
        percent_encode(stream, &d->data);
        buf_add_slice(&d->data, SLICE("\",\"offset\":\""));
        buf_add(&d->data, offset, OFFSET_LEN);
        buf_add_slice(&d->data, SLICE("\",\"data\":"));
        buf_add(&d->data, d->plain.data.data + at, (size_t)length - 1); /* without its comma */
        buf_add_slice(&d->data, SLICE("},"));
        boundaries_add(&d->boundaries, buf_len(&d->data) - before, last);
        at += (size_t)length;
    }
    d->envelopes = d->plain;
    d->envelopes.data = buf_slice(&d->data);
    d->envelopes.boundaries = d->plain.boundaries.len ? buf_slice(&d->boundaries) : (struct slice){0};
}

static void estuary_deliver_to(struct shard *shard, struct delivery *d, const struct subscription_row *s)
{
    struct stream *stream = streams_by_uid(&shard->streams, s->estuary_uid);
    struct extent extent = d->plain;
    if (!stream || stream->row.state != STREAM_LIVE || stream->row.closed || stream_expired(stream, shard->now_ms))
        return;
    if (s->flags & SUBSCRIPTION_ENVELOPE) {
        if (!d->envelopes.data.len)
            estuary_make_envelopes(d);
        extent = d->envelopes;
    }
    if (!page_cut_extent(&extent, stream->json, s->from, s->until) || !extent.count)
        return;
    bool shared = d->subscribers > 1 && extent.data.len > SHARE_BYTES;
    bool same = shared && d->last == extent.data.data && d->last_len == extent.data.len;
    struct journal_entry entry = {
        .count = extent.count,
        .flags = (shared ? ENTRY_SHARED : 0) | (same ? ENTRY_SAME : 0),
        .boundaries = extent.boundaries,
        .data = extent.data,
    };
    append_entry(shard, stream, &entry);
    metrics_add(shard->metrics, METRIC_FANOUT_COPIES, 1);
    d->last = extent.data.data;
    d->last_len = extent.data.len;
}

/* Those with the same flags get the same bytes, one after the other. */
static void estuary_deliver_to_all(struct shard *shard, struct delivery *d, unsigned flags)
{
    const struct source *source = d->source;
    for (size_t i = 0; i < source->count; i++) {
        const struct subscription_row *s = &source->subscriptions[i];
        if (s->flags == flags && s->from < d->plain.start + d->plain.count && s->until > d->plain.start)
            estuary_deliver_to(shard, d, s);
    }
}

static void estuary_deliver(struct shard *shard, struct source *source, const struct wire_deliver *m)
{
    struct delivery d = {
        .source = source,
        .plain = {.start = m->start, .count = m->next - m->start, .boundaries = m->boundaries, .data = m->data},
        .subscribers = source->count,
    };
    store_begin(shard->store);
    estuary_deliver_to_all(shard, &d, 0);
    estuary_deliver_to_all(shard, &d, SUBSCRIPTION_ENVELOPE);
    source->received = m->next;
    store_source_received(shard->store, source->source_uid, source->received);
    for (size_t i = source->count; i-- > 0;)
        if (source->subscriptions[i].until <= source->received)
            source_remove_subscription(shard, source, i);
    buf_clear(&d.data);
    buf_clear(&d.boundaries);
    fault_point("shard.delivered-before-commit");
}

/* A frame that came over the bus, or from this shard itself. Answered over the link, after the commit. */
void on_deliver(struct shard *shard, unsigned from, const struct wire_deliver *m)
{
    struct source *source = source_find(shard, m->uid);
    struct buf *out = peers_out(&shard->peers, from);
    struct wire_feed_ack answer = {.uid = m->uid, .feed = m->feed, .attempt = m->attempt, .bytes = delivery_weight(m)};
    if (!disk_takes(&shard->disk, m->boundaries.len + m->data.len) || streams_backlogged(&shard->streams))
        return; /* it is sent again, and again */
    if (!source || source->feed != m->feed)
        answer.flags = WIRE_FEED_ACK_UNWANTED;
    else if (m->start != source->received || m->next <= m->start)
        answer.flags = WIRE_FEED_ACK_AGAIN;
    else
        estuary_deliver(shard, source, m);
    if (!answer.flags && source_idle(source)) {
        answer.flags = WIRE_FEED_ACK_UNWANTED;
        source_remove(shard, source);
    } else if (source) {
        answer.position = source->received;
        answer.subscribers = source->subscribers;
    }
    if (out)
        wire_put_feed_ack(out, &answer);
}

void on_probe_feed(struct shard *shard, unsigned from, const struct wire_probe_feed *m)
{
    struct source *source = source_find(shard, m->uid);
    struct buf *out = peers_out(&shard->peers, from);
    struct wire_feed_ack answer = {.uid = m->uid, .feed = m->feed, .attempt = m->attempt, .flags = WIRE_FEED_ACK_AGAIN};
    if (source && source->feed == m->feed && !source_idle(source)) {
        answer.position = source->received;
        answer.subscribers = source->subscribers;
    } else {
        answer.flags = WIRE_FEED_ACK_UNWANTED | WIRE_FEED_ACK_SURE;
    }
    if (out)
        wire_put_feed_ack(out, &answer);
}

void on_feed_closed(struct shard *shard, unsigned from, const struct wire_feed_closed *m)
{
    struct source *source = source_find(shard, m->uid);
    struct buf *out = peers_out(&shard->peers, from);
    const struct wire_feed_ack answer = {
        .uid = m->uid, .feed = m->feed, .flags = WIRE_FEED_ACK_UNWANTED | WIRE_FEED_ACK_SURE};
    if (source && source->feed == m->feed) {
        while (source->count)
            source_remove_subscription(shard, source, source->count - 1);
        source_remove(shard, source);
    }
    if (out)
        wire_put_feed_ack(out, &answer);
}
