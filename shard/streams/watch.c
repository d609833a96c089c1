/* From an append to the routers that have live readers of the stream:
 *
 *     append --> stream->fresh --(end of the turn)--> one EVENT a watcher --(commit)--> router --> its readers
 *                  ^ listed in streams->fresh
 *
 * A stream appended to a hundred times in a turn sends one EVENT to each router, whatever the number of its readers. An
 * event never carries more than limits.sse_event, nor anything while much waits for the router: then it says MOVED, and
 * the router reads the rest itself, when it has room. So a slow router costs the shard no memory.
 *
 * Order: a read that begins to watch sends what is gathered first (watch_notify), so that its events begin exactly
 * where its page ends. */
#include "shard/streams/watch.h"

#include "common/mem.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/store/entry.h"

/* Past this many bytes waiting for a router, events carry no data: the router reads when it has room. */
#define ROUTER_BACKLOG ((size_t)16 << 20)

void watch_add(struct shard *shard, struct stream *stream, struct asker asker, uint64_t watch)
{
    (void)shard;
    for (size_t i = 0; i < stream->watcher_count; i++)
        if (stream->watchers[i].router == asker.router) {
            stream->watchers[i].watch = watch;
            return;
        }
    stream->watchers = xrealloc(stream->watchers, (stream->watcher_count + 1) * sizeof *stream->watchers);
    stream->watchers[stream->watcher_count++] = (struct watcher){asker.router, watch};
}

void watch_appended(struct shard *shard, struct stream *stream, const struct journal_entry *entry)
{
    if (!stream->watcher_count)
        return;
    if (list_empty(&stream->fresh_link))
        list_add_last(&shard->streams.fresh, &stream->fresh_link);
    if (!stream->fresh_any) {
        stream->fresh_any = true;
        stream->fresh_moved = false;
        stream->fresh_from = entry->start;
    }
    stream->fresh_time_ms = entry->time_ms;
    if (buf_len(&stream->fresh) + entry->data.len > shard->cfg->limits_sse_event) {
        stream->fresh_moved = true;
        buf_reset(&stream->fresh);
    }
    if (!stream->fresh_moved)
        buf_add_slice(&stream->fresh, entry->data);
}

static void watch_put_event(struct shard *shard, const struct watcher *watcher, struct wire_event event)
{
    struct buf *out = peers_router_out(&shard->peers, watcher->router);
    event.watch = watcher->watch;
    if (!out)
        return;
    if (buf_len(out) > ROUTER_BACKLOG && !(event.flags & WIRE_EVENT_DELETED)) {
        event.flags |= WIRE_EVENT_MOVED;
        event.data = (struct slice){0};
    }
    wire_put_event(out, &event);
}

void watch_notify(struct shard *shard, struct stream *stream)
{
    if (!stream->fresh_any)
        return;
    struct wire_event event = {
        .flags = (uint8_t)((stream->row.closed ? WIRE_EVENT_CLOSED : 0) | (stream->fresh_moved ? WIRE_EVENT_MOVED : 0)),
        .from = stream->fresh_from,
        .next = stream->tail,
        .time_ms = stream->fresh_time_ms,
        .data = buf_slice(&stream->fresh),
    };
    for (size_t i = 0; i < stream->watcher_count; i++)
        watch_put_event(shard, &stream->watchers[i], event);
    stream->fresh_any = false;
    buf_clear(&stream->fresh);
}

void watch_notify_all(struct shard *shard)
{
    for (struct list *link; (link = list_pop(&shard->streams.fresh));)
        watch_notify(shard, LIST_OWNER(link, struct stream, fresh_link));
}

void watch_deleted(struct shard *shard, struct stream *stream)
{
    struct wire_event event = {.flags = WIRE_EVENT_DELETED, .from = stream->tail, .next = stream->tail};
    watch_notify(shard, stream);
    list_remove(&stream->fresh_link);
    for (size_t i = 0; i < stream->watcher_count; i++)
        watch_put_event(shard, &stream->watchers[i], event);
    stream->watcher_count = 0;
}

static void watch_remove_watcher(struct stream *stream, unsigned router)
{
    for (size_t i = 0; i < stream->watcher_count; i++)
        if (stream->watchers[i].router == router) {
            stream->watchers[i] = stream->watchers[--stream->watcher_count];
            return;
        }
}

void watch_router_gone(struct shard *shard, unsigned router)
{
    for (struct stream *s = streams_newest(&shard->streams); s; s = streams_older(&shard->streams, s))
        watch_remove_watcher(s, router);
}

void on_unwatch(struct shard *shard, struct asker asker, const struct wire_unwatch *m)
{
    struct stream *stream = streams_by_name(&shard->streams, m->name);
    if (!stream)
        return;
    for (size_t i = 0; i < stream->watcher_count; i++)
        if (stream->watchers[i].router == asker.router && stream->watchers[i].watch == m->watch)
            watch_remove_watcher(stream, asker.router);
}
