/* A feed's life in memory. `acked` is the last position its shard is known to have, `sent` the last that is on its way:
 *
 *     0 ........ acked ........... sent ......... tail
 *      received    |   under way     |   to send    |       to send: the feed is ready, on its shard's list
 *
 * Starting over puts `sent` back to `acked` under a new attempt, so that answers to what was sent before are
 * recognised. The store knows less: only whether something flushed may not have been received (FEED_BEHIND), which is
 * all a restart needs, because the shard of the estuaries remembers how far it has come. */
#include "shard/streams/feeds.h"

#include <stdlib.h>

#include "common/mem.h"
#include "shard/streams/streams.h"
#include "shard/store/store_fanout.h"

#define ATTEMPT_BITS 16 /* for the attempts of one millisecond: a process never uses numbers of an earlier one */

void feeds_init(struct feeds *feeds, uint64_t now_ms)
{
    *feeds = (struct feeds){.last_attempt = now_ms << ATTEMPT_BITS};
    list_init(&feeds->waits);
    for (unsigned i = 0; i < LAYOUT_SHARDS_MAX; i++) {
        list_init(&feeds->peers[i].ready);
        feeds->peers[i].window.first_attempt = feeds->last_attempt;
    }
}

void feed_unready(struct feed *feed)
{
    list_remove(&feed->ready);
}

void feed_make_ready(struct feeds *feeds, struct feed *feed)
{
    if (list_empty(&feed->ready))
        list_add_last(&feeds->peers[feed->row.shard].ready, &feed->ready);
}

void feed_start_over(struct feeds *feeds, struct feed *feed)
{
    feed->sent.upto = feed->row.acked;
    feed->sent.attempt = ++feeds->last_attempt;
    feed->probe = 0;
    if (feed->sent.upto < feed->stream->tail)
        feed_make_ready(feeds, feed);
}

struct feed *feed_add(struct streams *streams, struct stream *stream, const struct feed_row *row)
{
    struct feed *feed = xcalloc(1, sizeof *feed);
    *feed = (struct feed){.stream = stream, .row = *row, .next = stream->feeds};
    list_init(&feed->ready);
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

void feed_forget(struct feed *feed)
{
    struct feed **at = &feed->stream->feeds;
    feed_unready(feed);
    while (*at != feed)
        at = &(*at)->next;
    *at = feed->next;
    free(feed);
}

void feeds_forget(struct stream *stream)
{
    while (stream->feeds)
        feed_forget(stream->feeds);
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

void feed_store_state(struct store *store, struct feed *feed, bool always)
{
    enum feed_state state = feed->row.acked < feed->stream->row.flushed ? FEED_BEHIND : FEED_LEVEL;
    if (state == feed->row.state && !always)
        return;
    feed->row.state = state;
    store_feed_put(store, &feed->row);
}

void feeds_flushed(struct streams *streams, struct stream *stream)
{
    for (struct feed *feed = stream->feeds; feed; feed = feed->next)
        feed_store_state(streams->store, feed, true);
}
