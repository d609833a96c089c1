/* A DELIVER is written once into each estuary whose subscription covers some of it, through the same append_entry() as
 * every append, so that readers, flushes and further fan-out are no matter of this file. Estuaries that get the same
 * bytes share them in the journal; those with envelopes get others, made when the first one wants them.
 *
 * The position received is committed with the copies. So a DELIVER that comes again, after a crash before or behind the
 * commit, finds the position it begins at or a later one, and nothing is written twice or left out. An estuary that is
 * closed, deleted or expired gets nothing, and holds up nobody. */
#include "shard/fanout/estuary.h"

#include "common/boundaries.h"
#include "common/fault.h"
#include "common/offset.h"
#include "common/percent.h"
#include "shard/fanout/append.h"
#include "shard/fanout/feed_send.h"
#include "shard/fanout/source.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/store/disk.h"
#include "shard/store/entry.h"
#include "shard/store/extent.h"
#include "shard/store/store.h"
#include "shard/store/store_fanout.h"
#include "shard/store/store_stream.h"
#include "shard/streams/due.h"
#include "shard/streams/page.h"

#define SHARE_BYTES 64 /* shorter payloads are copied: a reference is hardly shorter */

/* ---- the copies ---- */

/* What a DELIVER brings, as the subscriptions get it. */
struct delivery {
    const struct source *source;
    struct extent plain, envelopes; /* the whole of it; envelopes are made when the first wants them */
    struct buf data, boundaries;    /* of the envelopes */
    const char *last;               /* the bytes that the last estuary got, and how many */
    size_t last_len;
    size_t subscribers;
    struct slice lives; /* of the source */
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
        size_t before = buf_len(&d->data);
        buf_add_slice(&d->data, SLICE("{\"stream\":\""));
        percent_encode(stream, &d->data);
        buf_add_slice(&d->data, SLICE("\",\"offset\":\""));
        offset_add(&d->data, lives_offset(d->lives, ++position));
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
        .lives = m->lives,
    };
    estuary_deliver_to_all(shard, &d, 0);
    estuary_deliver_to_all(shard, &d, SUBSCRIPTION_ENVELOPE);
    source_advance(shard, source, m->next);
    buf_clear(&d.data);
    buf_clear(&d.boundaries);
    fault_point("shard.delivered-before-commit");
}

/* ---- what the source's shard says ---- */

/* A frame that came over the bus, or from this shard itself. Answered over the link, after the commit. */
void on_deliver(struct shard *shard, unsigned from, const struct wire_deliver *m)
{
    struct source *source = source_find(shard, m->uid);
    struct buf *out = peers_out(&shard->peers, from);
    struct wire_feed_ack answer = {.uid = m->uid, .feed = m->feed, .attempt = m->attempt, .bytes = feed_send_weight(m)};
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
    if (source && source->feed == m->feed)
        source_remove(shard, source);
    if (out)
        wire_put_feed_ack(out, &answer);
}

/* ---- the end of an estuary ---- */

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
