/* Fan-out, from an append to a source to all of its estuaries.
 *
 * A source's shard has a feed for each shard with estuaries of it: a position, not a queue, because the source itself,
 * which is on disk, is what remains to be sent. The estuaries' shard has one subscription source (source.h): how far it
 * has received, and which estuaries get which part. So an append crosses once to each shard, whatever the number of
 * subscribers. Two channels carry the conversation: DELIVER goes over the bus (nanomsg), which takes a lot at once, may
 * lose messages and reports no death; everything else goes over the link between the shards, which is ordered, and
 * whose end says that a process is gone.
 *
 *     router      estuary's shard                              source's shard                router
 *       |--SUBSCRIBE-->|                                              |                         |
 *       |              |--ATTACH (link)------------------------------>| the feed is made,       |
 *       |              |<-----------------------ATTACHED (link)-------| acked = the tail        |
 *       |              | the subscription is on disk, not in force    |                         |
 *       |              |--SOURCES, up to the roots, for cycles------->|                         |
 *       |              |<-----------------------SOURCED---------------|                         |
 *       |              | the subscription is in force                 |                         |
 *       |              |--SUBSCRIBERS (link)------------------------->| so many are subscribed  |
 *       |<-STATE-------|                                              |                         |
 *       |              |                                              |<--------------APPEND----|
 *       |              |                                              | commits                 |
 *       |              |<=======================DELIVER (bus)=========| sent = the new tail     |
 *       |              | writes every estuary and the position        |                         |
 *       |              | received, in one commit                      |                         |
 *       |              |--FEED_ACK (link)---------------------------->| acked = that position   |
 *       |              |                                              |--APPENDED-------------->|
 *       |              | the last subscriber has gone                 |                         |
 *       |              |--SUBSCRIBERS 0, or FEED_ACK UNWANTED-------->|                         |
 *       |              |<-----------------------PROBE_FEED (link)-----|                         |
 *       |              |--FEED_ACK UNWANTED SURE--------------------->| the feed is removed     |
 *
 * Happy path: a feed whose shard is level gets an append as it is written, in the same turn (feed_send_appended); any
 * other is listed as ready and reads from the source, whole appends at a time, while its shard's window has room
 * (feed_send_turn). A DELIVER leaves when the append is durable. It is accepted if it begins where the other side is.
 *
 * Failure modes:
 *   a DELIVER is lost         nobody answers: after a second without an answer everything since the last FEED_ACK is
 *                             sent again, under a new attempt. A single one that is lost among others is refused by
 *                             its successor (AGAIN), or found by the upkeep.
 *   a DELIVER comes twice     its start is not the position received: it is answered AGAIN and written nowhere. AGAIN
 *                             for an earlier attempt changes nothing.
 *   a FEED_ACK is lost        with its link: with a new link everything is sent again and answered. Or dropped while
 *                             the source's disk takes nothing: the repetition is answered AGAIN, with the position.
 *   the estuaries' disk is    that shard answers nothing. The window fills, nothing is lost, it is sent again each
 *   full, or it is slow       second; appends stop to wait for it (feed_wait.c); readers of the source notice nothing.
 *   that shard is dead        its feeds are left where they are, on disk if the source leaves memory (FEED_BEHIND).
 *   either side restarts      feeds_shard_up: everything since the last known FEED_ACK is sent. The other side
 *                             remembers better than this one, and AGAIN with its position moves the feed there. After
 *                             a restart of this one acked may lie too low; that costs a DELIVER and nothing else.
 *   the source is deleted     it stays, soft-deleted, until all shards have received it (feeds_level). Then
 *                             FEED_CLOSED is repeated until the answer UNWANTED comes; the row waits in the store.
 *   an estuary is deleted     its subscriptions go in the same commit; SUBSCRIBERS says so.
 *   the last one leaves while UNWANTED over one channel may cross ATTACHED over the other, so a feed is removed only
 *   another subscribes        when a PROBE_FEED, which is behind every ATTACHED on its link, is answered with SURE.
 *   two subscriptions close   each is written before the search for cycles, so that one of two that close a cycle
 *   a cycle together          together sees the other (shard/handlers/subscribe_cycle.c).
 *
 * shard/streams/feeds.h groups the fields: of a feed, and of a shard that is fed its window and its circuit. */
#include "shard/fanout/feed.h"

#include "common/log.h"
#include "shard/fanout/feed_send.h"
#include "shard/fanout/feed_wait.h"
#include "shard/shard.h"

#define CLOSED_AT_ONCE 256
#define LAG_MS 5000
#define RESEND_MS 1000 /* without an answer from a shard that was sent something */

/* ---- what is sent again ---- */

/* Whatever was on its way to this shard may be lost. */
static void feed_peer_starts_over(struct shard *shard, unsigned index)
{
    struct feeds *feeds = &shard->streams.feeds;
    struct feed_peer *peer = &feeds->peers[index];
    feed_send_drop(shard, index);
    peer->window.bytes = 0;
    peer->window.first_attempt = feeds->last_attempt + 1;
    for (struct stream *stream = streams_newest(&shard->streams); stream;
         stream = streams_older(&shard->streams, stream)) {
        struct feed *feed = stream->feeds ? feed_find(stream, index) : NULL;
        if (feed)
            feed_start_over(feeds, feed);
    }
}

/* Feeds whose segment could not be fetched, or not be waited for. */
static void feed_resume_blocked(struct shard *shard)
{
    struct feeds *feeds = &shard->streams.feeds;
    if (!feeds->blocked)
        return;
    feeds->blocked = false;
    for (struct stream *stream = streams_newest(&shard->streams); stream;
         stream = streams_older(&shard->streams, stream))
        for (struct feed *feed = stream->feeds; feed; feed = feed->next) {
            if (feed->blocked.until_tick && feed->sent.upto < stream->tail)
                feed_make_ready(feeds, feed);
            feed->blocked.until_tick = false;
        }
}

/* What was sent long ago and never spoken of may be lost, whatever else the shard has taken since. */
static void feed_resend_lost(struct shard *shard)
{
    for (struct stream *stream = streams_newest(&shard->streams); stream;
         stream = streams_older(&shard->streams, stream))
        for (struct feed *feed = stream->feeds; feed; feed = feed->next)
            if (feed->row.acked < feed->sent.upto && shard->ticks_ms > feed->sent.ms + LAG_MS)
                feed_start_over(&shard->streams.feeds, feed);
}

/* Nothing was answered for a while: the bus may have lost it. Until the shard answers, progress_ms stays where it is,
 * so that the time it is behind is measured from its last answer and not from the repetition. */
static void feed_resend_unanswered(struct shard *shard, unsigned index)
{
    struct feed_peer *peer = &shard->streams.feeds.peers[index];
    if (!peer->window.bytes || shard->ticks_ms <= peer->window.sent_ms + RESEND_MS ||
        shard->ticks_ms <= peer->window.progress_ms + RESEND_MS)
        return;
    feed_peer_starts_over(shard, index);
    peer->window.stalled = true;
}

void feeds_tick(struct shard *shard)
{
    feed_resume_blocked(shard);
    for (unsigned i = 0; i < shard->peers.layout.shards; i++)
        feed_resend_unanswered(shard, i);
    feed_wait_tick(shard);
}

/* ---- the end of a source ---- */

static void feed_put_closed(void *ctx, const struct feed_row *row)
{
    struct shard *shard = ctx;
    struct buf *out = row->shard < shard->peers.layout.shards ? peers_out(&shard->peers, row->shard) : NULL;
    if (!out)
        return;
    wire_put_feed_closed(out, &(struct wire_feed_closed){.uid = row->source_uid, .feed = row->feed});
}

void feeds_close(struct shard *shard, struct stream *stream)
{
    feed_wait_end(shard, stream);
    while (stream->feeds) {
        struct feed *feed = stream->feeds;
        feed->row.state = FEED_CLOSED;
        store_feed_put(shard->store, &feed->row);
        feed_put_closed(shard, &feed->row);
        feed_forget(feed);
    }
}

/* ---- the shard and its peers come and go ---- */

void feeds_upkeep(struct shard *shard)
{
    feed_resend_lost(shard);
    for (unsigned i = 0; i < shard->peers.layout.shards; i++) {
        struct feed_peer *peer = &shard->streams.feeds.peers[i];
        store_feeds_in(shard->store, FEED_CLOSED, i, 0, CLOSED_AT_ONCE, feed_put_closed, shard);
        if (peer->window.bytes && shard->ticks_ms > peer->window.progress_ms + LAG_MS)
            log_info("fan-out: shard %u has acknowledged nothing for %llu s; %llu bytes are in flight", i,
                     (unsigned long long)(shard->ticks_ms - peer->window.progress_ms) / 1000,
                     (unsigned long long)peer->window.bytes);
    }
}

void feeds_recover(struct shard *shard)
{
    for (unsigned i = 0; i < shard->peers.layout.shards; i++) {
        shard->streams.feeds.peers[i].stored.more = true;
        shard->streams.feeds.peers[i].down = i != shard->peers.index;
    }
    for (struct stream *stream = streams_newest(&shard->streams); stream;
         stream = streams_older(&shard->streams, stream))
        for (struct feed *feed = stream->feeds; feed; feed = feed->next)
            if (feed->sent.upto < stream->tail)
                feed_make_ready(&shard->streams.feeds, feed);
}

void feeds_shard_up(struct shard *shard, unsigned index)
{
    struct feed_peer *peer = &shard->streams.feeds.peers[index];
    feed_peer_starts_over(shard, index);
    peer->down = peer->window.stalled = false;
    peer->stored.more = true;
    peer->stored.cursor = 0;
    feeds_upkeep(shard);
}

void feeds_shard_down(struct shard *shard, unsigned index)
{
    struct feed_peer *peer = &shard->streams.feeds.peers[index];
    peer->down = true;
    feed_send_drop(shard, index); /* all is sent again when it is back */
}

void feeds_clear(struct shard *shard)
{
    feed_wait_clear(shard);
    for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++)
        feed_send_drop(shard, i);
}
