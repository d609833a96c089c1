#include "shard/fanout/feed.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/random.h"
#include "shard/peers/handlers.h"
#include "shard/store/disk.h"
#include "shard/shard.h"
#include "shard/streams/page.h"
#include "shard/store/entry.h"
#include "shard/store/extent.h"
#include "shard/store/store_stream.h"
#include "shard/store/store.h"

#define TURN_BYTES ((size_t)1 << 20) /* read for shards that are behind, a turn */
#define LOAD_AT_ONCE 256             /* streams that are behind */
#define CLOSED_AT_ONCE 256
#define LAG_MS 5000
#define RESEND_MS 1000 /* without a word from a shard that was sent something */

struct fanout_wait {
    struct fanout_wait *prev, *next; /* all */
    struct fanout_wait *later;       /* of the same stream */
    struct stream *stream;
    struct asker asker;
    struct wire_appended answer;
    uint64_t upto; /* the position all shards have to reach */
    unsigned left; /* shards */
    uint64_t deadline_ms;
};

/* ---- answers that wait ---- */

static void feed_wait_forget(struct shard *shard, struct fanout_wait *wait)
{
    struct feeds *feeds = &shard->streams.feeds;
    struct fanout_wait **at = &wait->stream->waits;
    while (*at != wait)
        at = &(*at)->later;
    *at = wait->later;
    *(wait->prev ? &wait->prev->next : &feeds->first) = wait->next;
    *(wait->next ? &wait->next->prev : &feeds->last) = wait->prev;
    free(wait);
}

static void feed_wait_answer(struct shard *shard, struct fanout_wait *wait)
{
    struct buf *out = asker_out(&shard->peers, wait->asker);
    wait->answer.failures = wait->answer.subscribers - wait->answer.successes;
    if (out) {
        asker_time(out, wait->asker);
        wire_put_appended(out, &wait->answer);
    }
    feed_wait_forget(shard, wait);
}

/* A shard with so many subscribers has come from `from` to `to`. */
static void feed_wait_progress(struct shard *shard, struct stream *stream, uint64_t subscribers, uint64_t from,
                               uint64_t to)
{
    for (struct fanout_wait *wait = stream->waits, *later; wait; wait = later) {
        later = wait->later;
        if (wait->upto <= from || wait->upto > to)
            continue;
        uint64_t most = wait->answer.subscribers - wait->answer.successes;
        wait->answer.successes += subscribers < most ? subscribers : most;
        if (--wait->left)
            continue;
        wait->answer.successes = wait->answer.subscribers; /* some have come or gone meanwhile */
        feed_wait_answer(shard, wait);
    }
}

static bool feed_circuits_closed(const struct shard *shard, const struct stream *stream)
{
    for (const struct feed *feed = stream->feeds; feed; feed = feed->next)
        if (shard->streams.feeds.peers[feed->row.shard].open_until_ms > shard->ticks_ms)
            return false;
    return true;
}

static void feed_wait_add(struct shard *shard, struct asker asker, struct stream *stream,
                          const struct wire_appended *answer)
{
    struct feeds *feeds = &shard->streams.feeds;
    struct fanout_wait *wait = xcalloc(1, sizeof *wait), **at = &stream->waits;
    *wait = (struct fanout_wait){
        .prev = feeds->last,
        .stream = stream,
        .asker = asker,
        .answer = *answer,
        .upto = answer->tail,
        .deadline_ms = shard->ticks_ms + shard->cfg->fanout_inline_timeout,
    };
    for (const struct feed *feed = stream->feeds; feed; feed = feed->next)
        wait->left++;
    *(feeds->last ? &feeds->last->next : &feeds->first) = wait;
    feeds->last = wait;
    while (*at)
        at = &(*at)->later;
    *at = wait;
}

void feeds_answer(struct shard *shard, struct asker asker, struct stream *stream, const struct wire_appended *m)
{
    struct wire_appended answer = *m;
    struct buf *out = asker_out(&shard->peers, asker);
    for (const struct feed *feed = stream->feeds; feed; feed = feed->next)
        answer.subscribers += feed->row.subscribers;
    if (!answer.subscribers) {
        answer.fanout = WIRE_FANOUT_NONE; /* they are about to be subscribed, or have just gone */
    } else if (answer.subscribers > shard->cfg->fanout_inline_limit) {
        answer.fanout = WIRE_FANOUT_QUEUED;
    } else if (!feed_circuits_closed(shard, stream)) {
        answer.fanout = WIRE_FANOUT_CIRCUIT_OPEN;
    } else {
        answer.fanout = WIRE_FANOUT_INLINE;
        feed_wait_add(shard, asker, stream, &answer);
        return;
    }
    if (out) {
        asker_time(out, asker);
        wire_put_appended(out, &answer);
    }
}

static void feed_blame(struct shard *shard, const struct fanout_wait *wait)
{
    for (const struct feed *feed = wait->stream->feeds; feed; feed = feed->next) {
        struct feed_peer *peer = &shard->streams.feeds.peers[feed->row.shard];
        if (feed->row.acked >= wait->upto)
            continue;
        bool was_open = peer->open_until_ms != 0;
        if (++peer->failures < shard->cfg->fanout_failures && !was_open)
            continue;
        if (!was_open)
            log_warn("fan-out: shard %u is slow; appends no longer wait for it", feed->row.shard);
        peer->open_until_ms = shard->ticks_ms + shard->cfg->fanout_recovery;
    }
}

/* ---- sending ---- */

static void feed_put(struct shard *shard, struct feed *feed, const struct extent *extent)
{
    struct feed_peer *peer = &shard->streams.feeds.peers[feed->row.shard];
    const struct wire_deliver m = {
        .uid = feed->row.source_uid,
        .feed = feed->row.feed,
        .attempt = feed->attempt,
        .start = extent->start,
        .next = extent->start + extent->count,
        .boundaries = extent->boundaries,
        .data = extent->data,
    };
    bool here = feed->row.shard == shard->peers.index;
    if (!peer->under_way && !peer->stalled)
        peer->progress_ms = shard->ticks_ms;
    peer->under_way += delivery_weight(&m);
    peer->sent_ms = feed->sent_ms = shard->ticks_ms;
    feed->sent = m.next;
    wire_put_deliver(here ? &shard->peers.self : &peer->frames, &m);
    if (here)
        shard->turn_again = true;
}

static bool feed_may_send(const struct shard *shard, unsigned index)
{
    const struct feed_peer *peer = &shard->streams.feeds.peers[index];
    return peer->under_way < shard->cfg->fanout_window &&
           (index == shard->peers.index || link_up(&shard->peers.shards[index].link));
}

void feeds_appended(struct shard *shard, struct stream *stream, const struct journal_entry *entry)
{
    const struct extent extent = {
        .start = entry->start, .count = entry->count, .boundaries = entry->boundaries, .data = entry->data};
    if (!entry->count)
        return;
    for (struct feed *feed = stream->feeds; feed; feed = feed->next) {
        if (!feed->followed) {
            feed->followed = entry->start + entry->count;
            feed->followed_us = clock_monotonic_us();
        }
        if (!feed->ready && feed->sent == entry->start && feed_may_send(shard, feed->row.shard))
            feed_put(shard, feed, &extent);
        else
            feed_make_ready(&shard->streams.feeds, feed);
    }
}

/* Some of what the feed's shard does not have. Whole appends: what comes next may be of another source. */
static struct outcome feed_send_next(struct shard *shard, struct feed *feed, size_t *sent)
{
    struct joined joined = {0};
    struct extent extent;
    struct outcome outcome = page_appends_at(&shard->streams, feed->stream, feed->sent, &joined, &extent);
    if (outcome.kind == OUTCOME_DONE) {
        *sent += extent.data.len;
        feed_put(shard, feed, &extent);
    }
    buf_clear(&joined.data);
    buf_clear(&joined.boundaries);
    return outcome;
}

/* A feed that is suspended until a segment is there. The feed may be gone by then, so it is found by name. */
struct suspended_feed {
    struct fetch_wait wait;
    uint64_t source_uid;
    unsigned shard;
};

static void feed_on_segment(struct fetch_wait *wait, void *ctx)
{
    struct suspended_feed *suspended = LIST_OWNER(wait, struct suspended_feed, wait);
    struct shard *shard = ctx;
    struct stream *stream = shard ? streams_by_uid(&shard->streams, suspended->source_uid) : NULL;
    struct feed *feed = stream ? feed_find(stream, suspended->shard) : NULL;
    if (feed) {
        feed->awaits = false;
        if (feed->sent < stream->tail)
            feed_make_ready(&shard->streams.feeds, feed);
    }
    free(suspended);
}

static void feed_await_segment(struct shard *shard, struct feed *feed, const struct object *segment)
{
    struct fetches *fetches = &shard->streams.segments.fetches;
    if (feed->awaits) { /* it has started over meanwhile; the tick sees to it */
        (void)!fetch_segment(fetches, segment, NULL);
        return;
    }
    struct suspended_feed *suspended = xmalloc(sizeof *suspended);
    *suspended = (struct suspended_feed){{.resume = feed_on_segment}, feed->row.source_uid, feed->row.shard};
    feed->awaits = fetch_segment(fetches, segment, &suspended->wait);
    if (!feed->awaits)
        free(suspended);
}

static void feed_send_ready(struct shard *shard, unsigned index)
{
    struct feeds *feeds = &shard->streams.feeds;
    struct feed_peer *peer = &feeds->peers[index];
    size_t sent = 0;
    while (peer->first && sent < TURN_BYTES && feed_may_send(shard, index)) {
        struct feed *feed = peer->first;
        feed_unready(feeds, feed);
        if (feed->sent >= feed->stream->tail)
            continue;
        struct outcome outcome = feed_send_next(shard, feed, &sent);
        if (outcome.kind == OUTCOME_NEEDS_SEGMENT)
            feed_await_segment(shard, feed, &outcome.segment);
        if (outcome_error(&outcome) == ERR_SEGMENT_UNAVAILABLE) {
            feed->starved = feeds->starved = true;
            continue;
        }
        if (outcome.kind != OUTCOME_DONE) {
            log_error("stream %llu: messages to deliver from %llu are damaged",
                      (unsigned long long)feed->row.source_uid, (unsigned long long)feed->sent);
            continue;
        }
        if (feed->sent < feed->stream->tail)
            feed_make_ready(feeds, feed);
    }
    if (peer->first && feed_may_send(shard, index))
        shard->turn_again = true;
}

static void feed_note_uid(void *ctx, const struct feed_row *row)
{
    buf_add(ctx, &row->source_uid, sizeof row->source_uid);
}

/* Some of the streams that are behind, and of which nobody has spoken since the start; their feeds are ready then.
 * Those that the store does not know to be level are told of. */
static void feed_load_behind(struct shard *shard, unsigned index)
{
    struct feed_peer *peer = &shard->streams.feeds.peers[index];
    struct buf uids = {0};
    uint64_t uid;
    store_feeds_in(shard->store, FEED_BEHIND, index, peer->cursor, LOAD_AT_ONCE, feed_note_uid, &uids);
    peer->stored = buf_len(&uids) == LOAD_AT_ONCE * sizeof uid;
    for (; buf_len(&uids); buf_consume(&uids, sizeof uid)) {
        memcpy(&uid, buf_slice(&uids).data, sizeof uid);
        struct stream *stream = streams_by_uid(&shard->streams, uid);
        struct feed *feed = stream ? feed_find(stream, index) : NULL;
        peer->cursor = uid;
        if (!feed || feed->row.acked < stream->tail)
            continue;
        feed_store_state(shard->store, feed, false);
        streams_released(&shard->streams, stream);
    }
    buf_clear(&uids);
    if (peer->stored)
        shard->turn_again = true;
}

void feeds_turn(struct shard *shard)
{
    for (unsigned i = 0; i < shard->peers.layout.shards; i++) {
        const struct feed_peer *peer = &shard->streams.feeds.peers[i];
        if (peer->stored && !peer->first && feed_may_send(shard, i))
            feed_load_behind(shard, i);
        if (peer->first)
            feed_send_ready(shard, i);
    }
}

void feeds_seal(struct shard *shard, uint64_t commit, uint64_t durable)
{
    for (unsigned i = 0; i < shard->peers.layout.shards; i++) {
        struct feed_peer *peer = &shard->streams.feeds.peers[i];
        if (buf_len(&peer->frames))
            release_seal(&peer->release, peer->frames_gone + buf_len(&peer->frames), commit, durable);
    }
}

static void feed_peer_drop_frames(struct feed_peer *peer)
{
    buf_clear(&peer->frames);
    release_clear(&peer->release);
    peer->frames_gone = 0;
}

/* One message of all frames that may leave. Seals lie between frames, so a message has whole ones. */
static void feed_peer_release(struct shard *shard, unsigned index, uint64_t durable)
{
    struct feed_peer *peer = &shard->streams.feeds.peers[index];
    struct slice frames = buf_slice(&peer->frames);
    frames.len = (size_t)(release_upto(&peer->release, durable) - peer->frames_gone);
    if (!frames.len)
        return;
    fault_point("shard.fanout-before-send");
    if (!bus_send(&shard->bus, index, frames))
        return; /* the bus wakes the loop when it is worth another try */
    peer->frames_gone += frames.len;
    if (frames.len == buf_len(&peer->frames))
        buf_clear(&peer->frames);
    else
        buf_consume(&peer->frames, frames.len);
}

void feeds_release(struct shard *shard, uint64_t durable)
{
    for (unsigned i = 0; i < shard->peers.layout.shards; i++)
        if (buf_len(&shard->streams.feeds.peers[i].frames))
            feed_peer_release(shard, i, durable);
}

/* Whatever was on its way to this shard may be lost. */
static void feed_peer_starts_over(struct shard *shard, unsigned index)
{
    struct feeds *feeds = &shard->streams.feeds;
    struct feed_peer *peer = &feeds->peers[index];
    feed_peer_drop_frames(peer);
    peer->under_way = 0;
    peer->first_attempt = feeds->last_attempt + 1;
    for (struct stream *stream = streams_newest(&shard->streams); stream;
         stream = streams_older(&shard->streams, stream)) {
        struct feed *feed = stream->feeds ? feed_find(stream, index) : NULL;
        if (feed)
            feed_start_over(feeds, feed);
    }
}

/* Feeds whose segment could not be fetched, or not be waited for. */
static void feed_the_starved(struct shard *shard)
{
    struct feeds *feeds = &shard->streams.feeds;
    if (!feeds->starved)
        return;
    feeds->starved = false;
    for (struct stream *stream = streams_newest(&shard->streams); stream;
         stream = streams_older(&shard->streams, stream))
        for (struct feed *feed = stream->feeds; feed; feed = feed->next) {
            if (feed->starved && feed->sent < stream->tail)
                feed_make_ready(feeds, feed);
            feed->starved = false;
        }
}

/* What was sent long ago and never spoken of may be lost, whatever else the shard has taken since. */
static void feed_start_over_what_is_lost(struct shard *shard)
{
    for (struct stream *stream = streams_newest(&shard->streams); stream;
         stream = streams_older(&shard->streams, stream))
        for (struct feed *feed = stream->feeds; feed; feed = feed->next)
            if (feed->row.acked < feed->sent && shard->ticks_ms > feed->sent_ms + LAG_MS)
                feed_start_over(&shard->streams.feeds, feed);
}

void feeds_tick(struct shard *shard)
{
    struct feeds *feeds = &shard->streams.feeds;
    feed_the_starved(shard);
    for (unsigned i = 0; i < shard->peers.layout.shards; i++) {
        struct feed_peer *peer = &feeds->peers[i];
        if (peer->under_way && shard->ticks_ms > peer->sent_ms + RESEND_MS &&
            shard->ticks_ms > peer->progress_ms + RESEND_MS) {
            feed_peer_starts_over(shard, i);
            peer->stalled = true;
        }
    }
    while (feeds->first && feeds->first->deadline_ms <= shard->ticks_ms) {
        feed_blame(shard, feeds->first);
        feed_wait_answer(shard, feeds->first);
    }
}

/* ---- the beginning and the end ---- */

static void feed_send_closed(void *ctx, const struct feed_row *row)
{
    struct shard *shard = ctx;
    struct buf *out = row->shard < shard->peers.layout.shards ? peers_out(&shard->peers, row->shard) : NULL;
    if (!out)
        return;
    wire_put_feed_closed(out, &(struct wire_feed_closed){.uid = row->source_uid, .feed = row->feed});
}

void feeds_close(struct shard *shard, struct stream *stream)
{
    while (stream->waits)
        feed_wait_answer(shard, stream->waits);
    while (stream->feeds) {
        struct feed *feed = stream->feeds;
        feed->row.state = FEED_CLOSED;
        store_feed_put(shard->store, &feed->row);
        feed_send_closed(shard, &feed->row);
        feed_forget(&shard->streams.feeds, feed);
    }
}

void feeds_upkeep(struct shard *shard)
{
    feed_start_over_what_is_lost(shard);
    for (unsigned i = 0; i < shard->peers.layout.shards; i++) {
        struct feed_peer *peer = &shard->streams.feeds.peers[i];
        store_feeds_in(shard->store, FEED_CLOSED, i, 0, CLOSED_AT_ONCE, feed_send_closed, shard);
        if (peer->under_way && shard->ticks_ms > peer->progress_ms + LAG_MS)
            log_info("fan-out: shard %u has acknowledged nothing for %llu s; %llu bytes are in flight", i,
                     (unsigned long long)(shard->ticks_ms - peer->progress_ms) / 1000,
                     (unsigned long long)peer->under_way);
    }
}

void feeds_recover(struct shard *shard)
{
    for (unsigned i = 0; i < shard->peers.layout.shards; i++) {
        shard->streams.feeds.peers[i].stored = true;
        shard->streams.feeds.peers[i].down = i != shard->peers.index;
    }
    for (struct stream *stream = streams_newest(&shard->streams); stream;
         stream = streams_older(&shard->streams, stream))
        for (struct feed *feed = stream->feeds; feed; feed = feed->next)
            if (feed->sent < stream->tail)
                feed_make_ready(&shard->streams.feeds, feed);
}

void feeds_shard_up(struct shard *shard, unsigned index)
{
    struct feed_peer *peer = &shard->streams.feeds.peers[index];
    feed_peer_starts_over(shard, index);
    peer->down = peer->stalled = false;
    peer->stored = true;
    peer->cursor = 0;
    feeds_upkeep(shard);
}

void feeds_shard_down(struct shard *shard, unsigned index)
{
    struct feed_peer *peer = &shard->streams.feeds.peers[index];
    peer->down = true;
    feed_peer_drop_frames(peer); /* all is sent again when it is back */
}

void feeds_clear(struct shard *shard)
{
    struct feeds *feeds = &shard->streams.feeds;
    while (feeds->first)
        feed_wait_forget(shard, feeds->first);
    for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++)
        feed_peer_drop_frames(&feeds->peers[i]);
}

/* ---- what the estuaries' shards say ---- */

void on_attach(struct shard *shard, unsigned from, const struct wire_attach *m)
{
    struct wire_attached answer = {.id = m->id};
    struct buf *out = peers_out(&shard->peers, from);
    enum error error = ERR_NONE;
    struct stream *stream = streams_live(&shard->streams, m->source, shard->now_ms, &error);
    if (stream && !(m->flags & WIRE_ATTACH_LEAVES) && !disk_takes(&shard->disk, 0))
        error = ERR_INSUFFICIENT_STORAGE;
    answer.error = (uint8_t)error;
    if (stream && error == ERR_NONE) {
        struct feed *feed = feed_find(stream, from);
        if (m->flags & WIRE_ATTACH_LEAVES) {
            if (feed)
                feed->row.subscribers -=
                    m->subscribers < feed->row.subscribers ? m->subscribers : feed->row.subscribers;
        } else {
            const struct feed_row row = {stream->row.uid, from, random_secret(), 0, stream->tail, FEED_LEVEL};
            store_begin(shard->store);
            (void)stream_write(&shard->streams, stream);
            if (!feed)
                feed = feed_add(&shard->streams, stream, &row);
            if (!(stream->row.kind & STREAM_KIND_FED)) {
                stream->row.kind |= STREAM_KIND_FED;
                store_stream_set_kind(shard->store, &stream->row);
            }
            feed->row.subscribers += m->subscribers;
            if (feed->doubt) /* what it was sent meanwhile was dropped there */
                feed_start_over(&shard->streams.feeds, feed);
            feed_store_state(shard->store, feed, true);
        }
        answer.uid = stream->row.uid;
        answer.feed = feed ? feed->row.feed : 0;
        answer.position = stream->tail;
        answer.content_type = stream->row.content_type;
    }
    if (out)
        wire_put_attached(out, &answer);
}

static void feed_remove_feed(struct shard *shard, struct feed *feed)
{
    struct stream *stream = feed->stream;
    feed_wait_progress(shard, stream, feed->row.subscribers, feed->row.acked, UINT64_MAX);
    store_begin(shard->store);
    store_feed_delete(shard->store, feed->row.source_uid, feed->row.shard);
    feed_forget(&shard->streams.feeds, feed);
    streams_released(&shard->streams, stream);
}

/* Nobody seems to be subscribed there; but somebody who is just about to be may have been told so. */
static void feed_doubt(struct shard *shard, struct feed *feed)
{
    struct buf *out = peers_out(&shard->peers, feed->row.shard);
    if (!out || feed->doubt)
        return;
    feed->doubt = ++shard->streams.feeds.last_attempt;
    wire_put_probe_feed(
        out, &(struct wire_probe_feed){.uid = feed->row.source_uid, .feed = feed->row.feed, .attempt = feed->doubt});
}

void on_subscribers(struct shard *shard, unsigned from, const struct wire_subscribers *m)
{
    struct stream *stream = streams_by_uid(&shard->streams, m->uid);
    struct feed *feed = stream ? feed_find(stream, from) : NULL;
    if (!feed || feed->row.feed != m->feed)
        return;
    feed->row.subscribers = m->subscribers;
    feed_store_state(shard->store, feed, true);
    if (!m->subscribers)
        feed_doubt(shard, feed);
}

struct closed_feed {
    struct shard *shard;
    unsigned from;
    uint64_t feed;
    bool found;
};

static void feed_look_for_closed(void *ctx, const struct feed_row *row)
{
    struct closed_feed *ended = ctx;
    ended->found |= row->shard == ended->from && row->feed == ended->feed && row->state == FEED_CLOSED;
}

/* Nobody there is subscribed: to a stream that is gone, or any more. */
static void feed_unwanted(struct shard *shard, unsigned from, const struct wire_feed_ack *m, struct feed *feed)
{
    struct closed_feed ended = {.shard = shard, .from = from, .feed = m->feed};
    if (feed && !(m->flags & WIRE_FEED_ACK_SURE))
        feed_doubt(shard, feed);
    else if (feed && feed->doubt && feed->doubt == m->attempt)
        feed_remove_feed(shard, feed);
    if (feed)
        return;
    store_feeds(shard->store, m->uid, feed_look_for_closed, &ended);
    if (!ended.found)
        return;
    store_begin(shard->store);
    store_feed_delete(shard->store, m->uid, from);
}

/* One position of a feed at a time is followed until it is taken. */
static void feed_note_lag(struct shard *shard, struct feed *feed)
{
    if (!feed->followed || feed->row.acked < feed->followed)
        return;
    metrics_observe_us(shard->metrics, METRIC_FANOUT_US, clock_monotonic_us() - feed->followed_us);
    feed->followed = 0;
}

void on_feed_ack(struct shard *shard, unsigned from, const struct wire_feed_ack *m)
{
    struct feeds *feeds = &shard->streams.feeds;
    struct feed_peer *peer = &feeds->peers[from];
    struct stream *stream = streams_by_uid(&shard->streams, m->uid);
    struct feed *feed = stream ? feed_find(stream, from) : NULL;
    bool current = m->attempt >= peer->first_attempt;
    if (current) {
        peer->under_way -= m->bytes < peer->under_way ? m->bytes : peer->under_way;
        peer->progress_ms = shard->ticks_ms;
        peer->stalled = false;
    }
    if (feed && feed->row.feed != m->feed)
        feed = NULL;
    if (m->flags & WIRE_FEED_ACK_UNWANTED) {
        feed_unwanted(shard, from, m, feed);
        return;
    }
    if (!feed || m->position > stream->tail)
        return;
    feed->row.subscribers = m->subscribers;
    bool wanted = feed->doubt && feed->doubt == m->attempt;
    if (m->position > feed->row.acked) {
        uint64_t before = feed->row.acked;
        feed->row.acked = m->position;
        feed_note_lag(shard, feed);
        if (feed->sent < m->position)
            feed->sent = m->position;
        if (feed->row.state == FEED_BEHIND)
            feed_store_state(shard->store, feed, false);
        if (peer->open_until_ms && peer->open_until_ms <= shard->ticks_ms)
            log_info("fan-out: appends wait for shard %u again", from);
        if (peer->open_until_ms <= shard->ticks_ms)
            peer->failures = peer->open_until_ms = 0;
        feed_wait_progress(shard, stream, m->subscribers, before, m->position);
    }
    if ((m->flags & WIRE_FEED_ACK_AGAIN) && (m->attempt == feed->attempt || wanted))
        feed_start_over(feeds, feed);
    streams_released(&shard->streams, stream);
}
