/* Two ways lead to a DELIVER. An append goes out as it is written, to each shard that is level and has room in its
 * window. Everything else is read from the source: a feed that is behind is on its shard's list of ready feeds, and
 * each turn sends from the front of it, up to TURN_BYTES a shard, so that one feed that is far behind holds up no
 * other.
 *
 *     level --append, room--> sent
 *       +-----append, no room--> ready --read, sent--> level, or ready again at the end of the list
 *                                  +--its segment is away--> blocked --arrival, or the tick--> ready
 *
 * After a start feeds that are behind are loaded from the store a few at a time, when there is nothing else to send. */
#include "shard/fanout/feed_send.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "shard/shard.h"
#include "shard/store/entry.h"
#include "shard/store/extent.h"
#include "shard/store/store_stream.h"
#include "shard/streams/page.h"

#define TURN_BYTES ((size_t)1 << 20) /* read for shards that are behind, a turn */
#define LOAD_AT_ONCE 256             /* streams that are behind */

/* ---- what is put ---- */

static void feed_send_put(struct shard *shard, struct feed *feed, const struct extent *extent)
{
    struct feed_peer *peer = &shard->streams.feeds.peers[feed->row.shard];
    const struct wire_deliver m = {
        .uid = feed->row.source_uid,
        .feed = feed->row.feed,
        .attempt = feed->sent.attempt,
        .start = extent->start,
        .next = extent->start + extent->count,
        .lives = stream_lives(feed->stream),
        .boundaries = extent->boundaries,
        .data = extent->data,
    };
    bool here = feed->row.shard == shard->peers.index;
    if (!peer->window.bytes && !peer->window.stalled)
        peer->window.progress_ms = shard->ticks_ms;
    peer->window.bytes += feed_send_weight(&m);
    peer->window.sent_ms = feed->sent.ms = shard->ticks_ms;
    feed->sent.upto = m.next;
    wire_put_deliver(here ? &shard->peers.self : &peer->out.frames, &m);
    if (here)
        shard->turn_again = true;
}

static bool feed_send_allowed(const struct shard *shard, unsigned index)
{
    const struct feed_peer *peer = &shard->streams.feeds.peers[index];
    return peer->window.bytes < shard->cfg->fanout_window &&
           (index == shard->peers.index || link_up(&shard->peers.shards[index].link));
}

void feed_send_appended(struct shard *shard, struct stream *stream, const struct journal_entry *entry)
{
    const struct extent extent = {
        .start = entry->start, .count = entry->count, .boundaries = entry->boundaries, .data = entry->data};
    if (!entry->count)
        return;
    for (struct feed *feed = stream->feeds; feed; feed = feed->next) {
        if (!feed->lag.position) {
            feed->lag.position = entry->start + entry->count;
            feed->lag.since_us = clock_monotonic_us();
        }
        if (list_empty(&feed->ready) && feed->sent.upto == entry->start && feed_send_allowed(shard, feed->row.shard))
            feed_send_put(shard, feed, &extent);
        else
            feed_make_ready(&shard->streams.feeds, feed);
    }
}

/* ---- what is read ---- */

/* Some of what the feed's shard does not have. Whole appends: what comes next may be of another source. */
static struct outcome feed_send_next(struct shard *shard, struct feed *feed, size_t *sent)
{
    struct joined joined = {0};
    struct extent extent;
    struct outcome outcome = page_appends_at(&shard->streams, feed->stream, feed->sent.upto, &joined, &extent);
    if (outcome.kind == OUTCOME_DONE) {
        *sent += extent.data.len;
        feed_send_put(shard, feed, &extent);
    }
    buf_clear(&joined.data);
    buf_clear(&joined.boundaries);
    return outcome;
}

/* A feed that is suspended until a segment is there. The feed may be gone by then, so it is found by name. */
struct feed_send_suspended {
    struct fetch_wait wait;
    uint64_t source_uid;
    unsigned shard;
};

static void feed_send_on_segment(struct fetch_wait *wait, void *ctx)
{
    struct feed_send_suspended *suspended = LIST_OWNER(wait, struct feed_send_suspended, wait);
    struct shard *shard = ctx;
    struct stream *stream = shard ? streams_by_uid(&shard->streams, suspended->source_uid) : NULL;
    struct feed *feed = stream ? feed_find(stream, suspended->shard) : NULL;
    if (feed) {
        feed->blocked.until_segment = false;
        if (feed->sent.upto < stream->tail)
            feed_make_ready(&shard->streams.feeds, feed);
    }
    free(suspended);
}

static void feed_send_await_segment(struct shard *shard, struct feed *feed, const struct object *segment)
{
    struct fetches *fetches = &shard->streams.segments.fetches;
    if (feed->blocked.until_segment) { /* it has started over meanwhile; the tick sees to it */
        (void)!fetch_segment(fetches, segment, NULL);
        return;
    }
    struct feed_send_suspended *suspended = xmalloc(sizeof *suspended);
    *suspended = (struct feed_send_suspended){{.resume = feed_send_on_segment}, feed->row.source_uid, feed->row.shard};
    feed->blocked.until_segment = fetch_segment(fetches, segment, &suspended->wait);
    if (!feed->blocked.until_segment)
        free(suspended);
}

static void feed_send_ready(struct shard *shard, unsigned index)
{
    struct feeds *feeds = &shard->streams.feeds;
    struct feed_peer *peer = &feeds->peers[index];
    size_t sent = 0;
    while (!list_empty(&peer->ready) && sent < TURN_BYTES && feed_send_allowed(shard, index)) {
        struct feed *feed = LIST_OWNER(peer->ready.next, struct feed, ready);
        feed_unready(feed);
        if (feed->sent.upto >= feed->stream->tail)
            continue;
        struct outcome outcome = feed_send_next(shard, feed, &sent);
        if (outcome.kind == OUTCOME_NEEDS_SEGMENT)
            feed_send_await_segment(shard, feed, &outcome.segment);
        if (outcome_error(&outcome) == ERR_SEGMENT_UNAVAILABLE) {
            feed->blocked.until_tick = feeds->blocked = true;
            continue;
        }
        if (outcome.kind != OUTCOME_DONE) {
            log_error("stream %llu: messages to deliver from %llu are damaged",
                      (unsigned long long)feed->row.source_uid, (unsigned long long)feed->sent.upto);
            continue;
        }
        if (feed->sent.upto < feed->stream->tail)
            feed_make_ready(feeds, feed);
    }
    if (!list_empty(&peer->ready) && feed_send_allowed(shard, index))
        shard->turn_again = true;
}

static void feed_send_note_uid(void *ctx, const struct feed_row *row)
{
    buf_add(ctx, &row->source_uid, sizeof row->source_uid);
}

/* Some of the streams that are behind, and of which nobody has spoken since the start; their feeds are ready then.
 * Those that the store does not know to be level are told of. */
static void feed_send_load_behind(struct shard *shard, unsigned index)
{
    struct feed_peer *peer = &shard->streams.feeds.peers[index];
    struct buf uids = {0};
    uint64_t uid;
    store_feeds_in(shard->store, FEED_BEHIND, index, peer->stored.cursor, LOAD_AT_ONCE, feed_send_note_uid, &uids);
    peer->stored.more = buf_len(&uids) == LOAD_AT_ONCE * sizeof uid;
    for (; buf_len(&uids); buf_consume(&uids, sizeof uid)) {
        memcpy(&uid, buf_slice(&uids).data, sizeof uid);
        struct stream *stream = streams_by_uid(&shard->streams, uid);
        struct feed *feed = stream ? feed_find(stream, index) : NULL;
        peer->stored.cursor = uid;
        if (!feed || feed->row.acked < stream->tail)
            continue;
        feed_store_state(shard->store, feed, false);
        streams_released(&shard->streams, stream);
    }
    buf_clear(&uids);
    if (peer->stored.more)
        shard->turn_again = true;
}

void feed_send_turn(struct shard *shard)
{
    for (unsigned i = 0; i < shard->peers.layout.shards; i++) {
        const struct feed_peer *peer = &shard->streams.feeds.peers[i];
        if (peer->stored.more && list_empty(&peer->ready) && feed_send_allowed(shard, i))
            feed_send_load_behind(shard, i);
        if (!list_empty(&peer->ready))
            feed_send_ready(shard, i);
    }
}

/* ---- what leaves ---- */

void feed_send_seal(struct shard *shard, uint64_t commit, uint64_t durable)
{
    for (unsigned i = 0; i < shard->peers.layout.shards; i++) {
        struct feed_peer *peer = &shard->streams.feeds.peers[i];
        if (buf_len(&peer->out.frames))
            release_seal(&peer->out.release, peer->out.gone + buf_len(&peer->out.frames), commit, durable);
    }
}

void feed_send_drop(struct shard *shard, unsigned index)
{
    struct feed_peer *peer = &shard->streams.feeds.peers[index];
    buf_clear(&peer->out.frames);
    release_clear(&peer->out.release);
    peer->out.gone = 0;
}

/* One message of all frames that may leave. Seals lie between frames, so a message has whole ones. */
static void feed_send_release_to(struct shard *shard, unsigned index, uint64_t durable)
{
    struct feed_peer *peer = &shard->streams.feeds.peers[index];
    struct slice frames = buf_slice(&peer->out.frames);
    frames.len = (size_t)(release_upto(&peer->out.release, durable) - peer->out.gone);
    if (!frames.len)
        return;
    fault_point("shard.fanout-before-send");
    if (!bus_send(&shard->bus, index, frames))
        return; /* the bus wakes the loop when it is worth another try */
    peer->out.gone += frames.len;
    if (frames.len == buf_len(&peer->out.frames))
        buf_clear(&peer->out.frames);
    else
        buf_consume(&peer->out.frames, frames.len);
}

void feed_send_release(struct shard *shard, uint64_t durable)
{
    for (unsigned i = 0; i < shard->peers.layout.shards; i++)
        if (buf_len(&shard->streams.feeds.peers[i].out.frames))
            feed_send_release_to(shard, i, durable);
}
