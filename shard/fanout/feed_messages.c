/* What the estuaries' shards say to a source's. Their FEED_ACK is the only thing that moves a feed forward; a message
 * about an earlier feed to the same shard (m->feed is another) is about nothing that exists. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/random.h"
#include "shard/fanout/feed_wait.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/store/disk.h"
#include "shard/store/store_stream.h"

/* ---- subscribers come and go ---- */

/* So many of a shard's estuaries are subscribed more: it is fed from here on, if it was not. */
static struct feed *feed_messages_join(struct shard *shard, struct stream *stream, unsigned from, uint64_t subscribers)
{
    struct feed *feed = feed_find(stream, from);
    const struct feed_row row = {stream->row.uid, from, random_secret(), 0, stream->tail, FEED_LEVEL};
    (void)stream_write(&shard->streams, stream);
    if (!feed)
        feed = feed_add(&shard->streams, stream, &row);
    if (!(stream->row.kind & STREAM_KIND_FED)) {
        stream->row.kind |= STREAM_KIND_FED;
        store_stream_set_kind(shard->store, &stream->row);
    }
    feed->row.subscribers += subscribers;
    if (feed->probe) /* what it was sent meanwhile was dropped there */
        feed_start_over(&shard->streams.feeds, feed);
    feed_store_state(shard->store, feed, true);
    return feed;
}

/* So many fewer. The feed stays until its shard says that nobody is left. */
static struct feed *feed_messages_leave(const struct stream *stream, unsigned from, uint64_t subscribers)
{
    struct feed *feed = feed_find(stream, from);
    if (feed)
        feed->row.subscribers -= subscribers < feed->row.subscribers ? subscribers : feed->row.subscribers;
    return feed;
}

void on_attach(struct shard *shard, unsigned from, const struct wire_attach *m)
{
    struct wire_attached answer = {.id = m->id};
    struct buf *out = peers_out(&shard->peers, from);
    enum error error = ERR_NONE;
    struct stream *stream = streams_live(&shard->streams, m->source, shard->now_ms, &error);
    bool leaves = (m->flags & WIRE_ATTACH_LEAVES) != 0;
    if (stream && !leaves && !disk_takes(&shard->disk, 0))
        error = ERR_INSUFFICIENT_STORAGE;
    answer.error = (uint8_t)error;
    if (stream && error == ERR_NONE) {
        const struct feed *feed = leaves ? feed_messages_leave(stream, from, m->subscribers)
                                         : feed_messages_join(shard, stream, from, m->subscribers);
        answer.uid = stream->row.uid;
        answer.json = stream->json;
        answer.feed = feed ? feed->row.feed : 0;
        answer.position = stream->tail;
        answer.content_type = stream->row.content_type;
    }
    if (out)
        wire_put_attached(out, &answer);
}

static void feed_messages_remove(struct shard *shard, struct feed *feed)
{
    struct stream *stream = feed->stream;
    feed_wait_progress(shard, stream, feed->row.subscribers, feed->row.acked, UINT64_MAX);
    store_feed_delete(shard->store, feed->row.source_uid, feed->row.shard);
    feed_forget(feed);
    streams_released(&shard->streams, stream);
}

/* Nobody seems to be subscribed there; but somebody who is just about to be may have been told so. */
static void feed_messages_probe(struct shard *shard, struct feed *feed)
{
    struct buf *out = peers_out(&shard->peers, feed->row.shard);
    if (!out || feed->probe)
        return;
    feed->probe = ++shard->streams.feeds.last_attempt;
    wire_put_probe_feed(
        out, &(struct wire_probe_feed){.uid = feed->row.source_uid, .feed = feed->row.feed, .attempt = feed->probe});
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
        feed_messages_probe(shard, feed);
}

struct closed_feed {
    struct shard *shard;
    unsigned from;
    uint64_t feed;
    bool found;
};

static void feed_messages_look_for_closed(void *ctx, const struct feed_row *row)
{
    struct closed_feed *ended = ctx;
    ended->found |= row->shard == ended->from && row->feed == ended->feed && row->state == FEED_CLOSED;
}

/* Nobody there is subscribed: to a stream that is gone, or any more. */
static void feed_messages_unwanted(struct shard *shard, unsigned from, const struct wire_feed_ack *m, struct feed *feed)
{
    struct closed_feed ended = {.shard = shard, .from = from, .feed = m->feed};
    if (feed && !(m->flags & WIRE_FEED_ACK_SURE))
        feed_messages_probe(shard, feed);
    else if (feed && feed->probe && feed->probe == m->attempt)
        feed_messages_remove(shard, feed);
    if (feed)
        return;
    store_feeds(shard->store, m->uid, feed_messages_look_for_closed, &ended);
    if (!ended.found)
        return;
    store_feed_delete(shard->store, m->uid, from);
}

/* ---- what they have received ---- */

/* One position of a feed at a time is followed until it is taken. */
static void feed_messages_note_lag(struct shard *shard, struct feed *feed)
{
    if (!feed->lag.position || feed->row.acked < feed->lag.position)
        return;
    metrics_observe_us(shard->metrics, METRIC_FANOUT_US, clock_monotonic_us() - feed->lag.since_us);
    feed->lag.position = 0;
}

static void feed_messages_advance(struct shard *shard, struct feed *feed, const struct wire_feed_ack *m)
{
    uint64_t before = feed->row.acked;
    feed->row.acked = m->position;
    feed_messages_note_lag(shard, feed);
    if (feed->sent.upto < m->position) /* after a restart: that shard remembers better */
        feed->sent.upto = m->position;
    if (feed->row.state == FEED_BEHIND)
        feed_store_state(shard->store, feed, false);
    feed_wait_reset_circuit(shard, feed->row.shard);
    feed_wait_progress(shard, feed->stream, m->subscribers, before, m->position);
}

/* An answer to a former attempt is of bytes that no longer count as sent. */
static void feed_messages_open_window(struct shard *shard, struct feed_peer *peer, const struct wire_feed_ack *m)
{
    if (m->attempt < peer->window.first_attempt)
        return;
    peer->window.bytes -= m->bytes < peer->window.bytes ? m->bytes : peer->window.bytes;
    peer->window.progress_ms = shard->ticks_ms;
    peer->window.stalled = false;
}

void on_feed_ack(struct shard *shard, unsigned from, const struct wire_feed_ack *m)
{
    struct feeds *feeds = &shard->streams.feeds;
    struct stream *stream = streams_by_uid(&shard->streams, m->uid);
    struct feed *feed = stream ? feed_find(stream, from) : NULL;
    feed_messages_open_window(shard, &feeds->peers[from], m);
    if (feed && feed->row.feed != m->feed)
        feed = NULL;
    if (m->flags & WIRE_FEED_ACK_UNWANTED) {
        feed_messages_unwanted(shard, from, m, feed);
        return;
    }
    if (!feed || m->position > stream->tail)
        return;
    feed->row.subscribers = m->subscribers;
    bool answers_probe = feed->probe && feed->probe == m->attempt;
    if (m->position > feed->row.acked)
        feed_messages_advance(shard, feed, m);
    if ((m->flags & WIRE_FEED_ACK_AGAIN) && (m->attempt == feed->sent.attempt || answers_probe))
        feed_start_over(feeds, feed);
    streams_released(&shard->streams, stream);
}
