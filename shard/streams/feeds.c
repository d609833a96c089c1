/* A feed's life in memory. `acked` is the last position its shard is known to have, `sent` the last that is on its way:
 *
 *     0 ........ acked ........... sent ......... tail
 *       taken    |   under way     |   to send    |       to send: the feed is ready, listed with its shard
 *
 * Starting over puts `sent` back to `acked` under a new attempt, so that answers to what was sent before are
 * recognised. The store knows less: only whether something flushed may not have been taken (FEED_BEHIND), which is all
 * a restart needs, because the shard of the estuaries remembers how far it has come. */
#include "shard/streams/feeds.h"

#include <stdlib.h>

#include "common/mem.h"
#include "shard/streams/streams.h"
#include "shard/store/store_fanout.h"

#define ATTEMPT_BITS 16 /* of runs in a millisecond: a process never has numbers of an earlier one */

void feeds_init(struct feeds *feeds, uint64_t now_ms)
{
    *feeds = (struct feeds){.last_attempt = now_ms << ATTEMPT_BITS};
    for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++)
        feeds->peers[i].first_attempt = feeds->last_attempt;
}

void feed_unready(struct feeds *feeds, struct feed *feed)
{
    struct feed_peer *peer = &feeds->peers[feed->row.shard];
    if (!feed->ready)
        return;
    *(feed->ready_prev ? &feed->ready_prev->ready_next : &peer->first) = feed->ready_next;
    *(feed->ready_next ? &feed->ready_next->ready_prev : &peer->last) = feed->ready_prev;
    feed->ready = false;
}

void feed_make_ready(struct feeds *feeds, struct feed *feed)
{
    struct feed_peer *peer = &feeds->peers[feed->row.shard];
    if (feed->ready)
        return;
    feed->ready = true;
    feed->ready_next = NULL;
    feed->ready_prev = peer->last;
    *(peer->last ? &peer->last->ready_next : &peer->first) = feed;
    peer->last = feed;
}

/* From the last position that was taken for sure. */
void feed_start_over(struct feeds *feeds, struct feed *feed)
{
    feed->sent = feed->row.acked;
    feed->attempt = ++feeds->last_attempt;
    feed->doubt = 0;
    if (feed->sent < feed->stream->tail)
        feed_make_ready(feeds, feed);
}

struct feed *feed_add(struct streams *streams, struct stream *stream, const struct feed_row *row)
{
    struct feed *feed = xcalloc(1, sizeof *feed);
    *feed = (struct feed){.stream = stream, .row = *row, .next = stream->feeds};
    stream->feeds = feed;
    feed_start_over(&streams->feeds, feed);
    return feed;
}

struct loading {
    struct streams *streams;
    struct stream *stream;
};

static void feed_load_one(void *ctx, const struct feed_row *row)
{
    const struct loading *loading = ctx;
    if (row->state != FEED_CLOSED)
        feed_add(loading->streams, loading->stream, row);
}

void feeds_load(struct streams *streams, struct stream *stream)
{
    struct loading loading = {streams, stream};
    store_feeds(streams->store, stream->row.uid, feed_load_one, &loading);
}

void feed_forget(struct feeds *feeds, struct feed *feed)
{
    struct feed **at = &feed->stream->feeds;
    feed_unready(feeds, feed);
    while (*at != feed)
        at = &(*at)->next;
    *at = feed->next;
    free(feed);
}

void feeds_forget(struct streams *streams, struct stream *stream)
{
    while (stream->feeds)
        feed_forget(&streams->feeds, stream->feeds);
}

uint64_t feeds_acked(const struct stream *stream)
{
    uint64_t least = UINT64_MAX;
    for (const struct feed *feed = stream->feeds; feed; feed = feed->next)
        if (feed->row.acked < least)
            least = feed->row.acked;
    return least;
}

bool feeds_level(const struct stream *stream)
{
    return feeds_acked(stream) >= stream->tail;
}

bool feeds_idle(const struct streams *streams, const struct stream *stream)
{
    if (stream->waits)
        return false;
    for (const struct feed *feed = stream->feeds; feed; feed = feed->next)
        if (feed->row.acked < stream->tail &&
            !(streams->feeds.peers[feed->row.shard].down && feed->row.state == FEED_BEHIND))
            return false;
    return true;
}

struct feed *feed_find(const struct stream *stream, unsigned shard)
{
    for (struct feed *feed = stream->feeds; feed; feed = feed->next)
        if (feed->row.shard == shard)
            return feed;
    return NULL;
}

/* What the store has to know: whether something flushed was not taken. */
void feed_store_state(struct store *store, struct feed *feed, bool always)
{
    enum feed_state state = feed->row.acked < feed->stream->row.flushed ? FEED_BEHIND : FEED_LEVEL;
    if (state == feed->row.state && !always)
        return;
    feed->row.state = state;
    store_begin(store);
    store_feed_put(store, &feed->row);
}

void feeds_flushed(struct streams *streams, struct stream *stream)
{
    for (struct feed *feed = stream->feeds; feed; feed = feed->next)
        feed_store_state(streams->store, feed, true);
}
