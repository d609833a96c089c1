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

#define INFLOWS_KEPT 4096
#define SHARE_BYTES 64 /* shorter payloads are copied: a reference is hardly shorter */

/* ---- inflows ---- */

void inflows_init(struct inflows *inflows)
{
    *inflows = (struct inflows){.buckets = 1024};
    inflows->table = xcalloc(inflows->buckets, sizeof *inflows->table);
}

static void estuary_inflow_free(struct inflow *inflow)
{
    free((char *)(uintptr_t)inflow->name.data);
    free(inflow->subscriptions);
    free(inflow);
}

/* Those the store knows all of. */
static void estuary_forget_all(struct inflows *inflows, bool opened_too)
{
    for (size_t i = 0; i < inflows->buckets; i++)
        for (struct inflow **at = &inflows->table[i], *inflow; (inflow = *at);) {
            if (inflow->opened && !opened_too) {
                at = &inflow->next;
                continue;
            }
            *at = inflow->next;
            estuary_inflow_free(inflow);
            inflows->count--;
        }
}

void inflows_clear(struct inflows *inflows)
{
    estuary_forget_all(inflows, true);
    free(inflows->table);
    *inflows = (struct inflows){0};
}

void inflows_tick(struct shard *shard)
{
    if (shard->inflows.count > INFLOWS_KEPT)
        estuary_forget_all(&shard->inflows, false);
}

static struct inflow **estuary_chain(const struct inflows *inflows, uint64_t source_uid)
{
    uint64_t hash = source_uid * 0x9e3779b97f4a7c15u;
    return &inflows->table[(size_t)(hash >> 32) & (inflows->buckets - 1)];
}

static bool estuary_counts(const struct subscription_row *row)
{
    return row->from != STORE_NONE && row->until == STORE_NONE;
}

static void estuary_add_subscription(void *ctx, const struct subscription_row *row)
{
    struct inflow *inflow = ctx;
    if ((inflow->count & (inflow->count - 1)) == 0)
        inflow->subscriptions = xrealloc(inflow->subscriptions, (inflow->count ? inflow->count * 2 : 1) * sizeof *row);
    inflow->subscriptions[inflow->count++] = *row;
    inflow->subscribers += estuary_counts(row);
}

static struct inflow *estuary_link_inflow(struct shard *shard, const struct inflow_row *row)
{
    struct inflow **at = estuary_chain(&shard->inflows, row->source_uid), *inflow = xcalloc(1, sizeof *inflow);
    *inflow = (struct inflow){
        .source_uid = row->source_uid,
        .feed = row->feed,
        .taken = row->taken,
        .name = slice_of(xslicedup(row->name), row->name.len),
        .next = *at,
    };
    *at = inflow;
    shard->inflows.count++;
    return inflow;
}

struct inflow *inflow_of(struct shard *shard, uint64_t source_uid)
{
    struct inflow_row row;
    struct inflow *inflow = *estuary_chain(&shard->inflows, source_uid);
    while (inflow && inflow->source_uid != source_uid)
        inflow = inflow->next;
    if (inflow || !store_inflow(shard->store, source_uid, &row))
        return inflow;
    inflow = estuary_link_inflow(shard, &row);
    store_subscriptions(shard->store, source_uid, estuary_add_subscription, inflow);
    return inflow;
}

/* Nobody is subscribed or about to be. */
static bool estuary_idle(const struct inflow *inflow)
{
    return !inflow->count && !inflow->opened;
}

void inflow_open(struct shard *shard, uint64_t source_uid, uint64_t feed, struct slice name, uint64_t position)
{
    struct inflow *inflow = inflow_of(shard, source_uid);
    struct inflow_row row = {source_uid, feed, position, name};
    if (!inflow || inflow->feed != feed) {
        store_begin(shard->store);
        if (!inflow)
            inflow = estuary_link_inflow(shard, &row);
        /* otherwise the source's shard had forgotten us and begins anew */
        inflow->feed = feed;
        inflow->taken = row.taken = inflow->taken > position ? inflow->taken : position;
        store_inflow_put(shard->store, &row);
    }
    inflow->opened++;
}

void inflow_opened(struct shard *shard, uint64_t source_uid)
{
    struct inflow *inflow = inflow_of(shard, source_uid);
    if (!inflow)
        return;
    inflow->opened--;
    if (estuary_idle(inflow))
        inflow_tell(shard, inflow);
}

static void estuary_inflow_remove(struct shard *shard, struct inflow *inflow)
{
    struct inflow **at = estuary_chain(&shard->inflows, inflow->source_uid);
    while (*at != inflow)
        at = &(*at)->next;
    *at = inflow->next;
    shard->inflows.count--;
    store_begin(shard->store);
    store_inflow_delete(shard->store, inflow->source_uid);
    estuary_inflow_free(inflow);
}

/* ---- subscriptions ---- */

static void estuary_remove_subscription(struct shard *shard, struct inflow *inflow, size_t at)
{
    store_begin(shard->store);
    store_subscription_delete(shard->store, &inflow->subscriptions[at]);
    inflow->subscribers -= estuary_counts(&inflow->subscriptions[at]);
    memmove(inflow->subscriptions + at, inflow->subscriptions + at + 1,
            (--inflow->count - at) * sizeof *inflow->subscriptions);
}

void inflow_subscribe(struct shard *shard, struct inflow *inflow, uint64_t estuary_uid, uint64_t from, unsigned flags)
{
    const struct subscription_row row = {inflow->source_uid, estuary_uid, from, STORE_NONE, flags};
    struct subscription_row before;
    if (store_subscription(shard->store, inflow->source_uid, estuary_uid, &before))
        inflow_unsubscribe(shard, inflow, estuary_uid, 0); /* it was not in force yet */
    store_begin(shard->store);
    store_subscription_put(shard->store, &row);
    estuary_add_subscription(inflow, &row);
}

uint64_t inflow_free_from(const struct inflow *inflow, uint64_t estuary_uid, uint64_t position)
{
    uint64_t from = inflow->taken > position ? inflow->taken : position;
    for (size_t i = 0; i < inflow->count; i++) { /* an earlier subscription may still get what it missed */
        const struct subscription_row *s = &inflow->subscriptions[i];
        if (s->estuary_uid == estuary_uid && s->until != STORE_NONE && s->until > from)
            from = s->until;
    }
    return from;
}

void inflow_unsubscribe(struct shard *shard, struct inflow *inflow, uint64_t estuary_uid, uint64_t until)
{
    for (size_t i = 0; i < inflow->count; i++) {
        struct subscription_row *s = &inflow->subscriptions[i];
        if (s->estuary_uid != estuary_uid)
            continue;
        if (until != STORE_NONE && s->until != STORE_NONE)
            continue; /* an earlier one, which still gets what it missed */
        if (until == STORE_NONE || until <= inflow->taken || s->from == STORE_NONE || s->from >= until) {
            estuary_remove_subscription(shard, inflow, i--);
            continue;
        }
        inflow->subscribers -= estuary_counts(s);
        s->until = until;
        store_begin(shard->store);
        store_subscription_put(shard->store, s);
    }
}

void inflow_tell(struct shard *shard, struct inflow *inflow)
{
    struct buf *out = peers_out(&shard->peers, peers_owner_of_uid(&shard->peers, inflow->source_uid));
    bool over = estuary_idle(inflow);
    const struct wire_subscribers m = {
        .uid = inflow->source_uid, .feed = inflow->feed, .subscribers = inflow->subscribers};
    if (out && (m.subscribers || over))
        wire_put_subscribers(out, &m);
    if (over)
        estuary_inflow_remove(shard, inflow);
}

static void estuary_note_source(void *ctx, const struct subscription_row *row, struct slice name)
{
    (void)name;
    buf_add(ctx, &row->source_uid, sizeof row->source_uid);
}

void estuary_ended(struct shard *shard, const struct stream *stream)
{
    struct buf uids = {0};
    uint64_t uid;
    if (!(stream->row.kind & STREAM_KIND_ESTUARY))
        return;
    fault_point("shard.estuary-ends");
    store_sources_of(shard->store, stream->row.uid, estuary_note_source, &uids);
    for (; buf_len(&uids); buf_consume(&uids, sizeof uid)) {
        memcpy(&uid, buf_slice(&uids).data, sizeof uid);
        struct inflow *inflow = inflow_of(shard, uid);
        if (!inflow)
            continue;
        inflow_unsubscribe(shard, inflow, stream->row.uid, STORE_NONE);
        inflow_tell(shard, inflow);
    }
    buf_clear(&uids);
}

/* ---- deliveries ---- */

/* What a DELIVER brings, as the subscriptions get it. */
struct delivery {
    const struct inflow *inflow;
    struct extent plain, envelopes; /* the whole of it; envelopes are made when the first wants them */
    struct buf data, boundaries;    /* of the envelopes */
    const char *last;               /* the bytes that the last estuary got, and how many */
    size_t last_len;
    size_t subscribers;
};

/* Each message as {"stream":...,"offset":...,"data":...}; the offset is where to go on in the source after it. */
static void estuary_make_envelopes(struct delivery *d)
{
    struct slice boundaries = d->plain.boundaries, stream = d->inflow->name;
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
    const struct inflow *inflow = d->inflow;
    for (size_t i = 0; i < inflow->count; i++) {
        const struct subscription_row *s = &inflow->subscriptions[i];
        if (s->flags == flags && s->from < d->plain.start + d->plain.count && s->until > d->plain.start)
            estuary_deliver_to(shard, d, s);
    }
}

static void estuary_deliver(struct shard *shard, struct inflow *inflow, const struct wire_deliver *m)
{
    struct delivery d = {
        .inflow = inflow,
        .plain = {.start = m->start, .count = m->next - m->start, .boundaries = m->boundaries, .data = m->data},
        .subscribers = inflow->count,
    };
    store_begin(shard->store);
    estuary_deliver_to_all(shard, &d, 0);
    estuary_deliver_to_all(shard, &d, SUBSCRIPTION_ENVELOPE);
    inflow->taken = m->next;
    store_inflow_taken(shard->store, inflow->source_uid, inflow->taken);
    for (size_t i = inflow->count; i-- > 0;)
        if (inflow->subscriptions[i].until <= inflow->taken)
            estuary_remove_subscription(shard, inflow, i);
    buf_clear(&d.data);
    buf_clear(&d.boundaries);
    fault_point("shard.delivered-before-commit");
}

/* A frame that came over the bus, or from this shard itself. Answered over the link, after the commit. */
void on_deliver(struct shard *shard, unsigned from, const struct wire_deliver *m)
{
    struct inflow *inflow = inflow_of(shard, m->uid);
    struct buf *out = peers_out(&shard->peers, from);
    struct wire_taken answer = {.uid = m->uid, .feed = m->feed, .run = m->run, .bytes = delivery_weight(m)};
    if (!disk_takes(&shard->disk, m->boundaries.len + m->data.len) || streams_backlogged(&shard->streams))
        return; /* it is sent again, and again */
    if (!inflow || inflow->feed != m->feed)
        answer.flags = WIRE_TAKEN_UNWANTED;
    else if (m->start != inflow->taken || m->next <= m->start)
        answer.flags = WIRE_TAKEN_AGAIN;
    else
        estuary_deliver(shard, inflow, m);
    if (!answer.flags && estuary_idle(inflow)) {
        answer.flags = WIRE_TAKEN_UNWANTED;
        estuary_inflow_remove(shard, inflow);
    } else if (inflow) {
        answer.position = inflow->taken;
        answer.subscribers = inflow->subscribers;
    }
    if (out)
        wire_put_taken(out, &answer);
}

void on_wanted(struct shard *shard, unsigned from, const struct wire_wanted *m)
{
    struct inflow *inflow = inflow_of(shard, m->uid);
    struct buf *out = peers_out(&shard->peers, from);
    struct wire_taken answer = {.uid = m->uid, .feed = m->feed, .run = m->run, .flags = WIRE_TAKEN_AGAIN};
    if (inflow && inflow->feed == m->feed && !estuary_idle(inflow)) {
        answer.position = inflow->taken;
        answer.subscribers = inflow->subscribers;
    } else {
        answer.flags = WIRE_TAKEN_UNWANTED | WIRE_TAKEN_SURE;
    }
    if (out)
        wire_put_taken(out, &answer);
}

void on_ended(struct shard *shard, unsigned from, const struct wire_ended *m)
{
    struct inflow *inflow = inflow_of(shard, m->uid);
    struct buf *out = peers_out(&shard->peers, from);
    const struct wire_taken answer = {.uid = m->uid, .feed = m->feed, .flags = WIRE_TAKEN_UNWANTED | WIRE_TAKEN_SURE};
    if (inflow && inflow->feed == m->feed) {
        while (inflow->count)
            estuary_remove_subscription(shard, inflow, inflow->count - 1);
        estuary_inflow_remove(shard, inflow);
    }
    if (out)
        wire_put_taken(out, &answer);
}
