/* A stream's states (enum stream_state), and what moves it on:
 *
 *     live --deleted or expired, nothing holds it--> deleting --swept by the janitor--> gone
 *       |                                               ^
 *       +--deleted or expired, but held--> soft deleted +  once the last fork or subscriber's shard lets it go
 *
 * deleting: the name is free at once; the bytes go a little a turn. soft deleted: the name is taken, requests get 410,
 * and forks and subscribers still get the bytes.
 *
 * A lookup never deletes: its caller could hold a pointer to the stream. It lists what is expired; delete_turn()
 * ends that before the turn's commit. */
#include "shard/handlers/delete.h"

#include "shard/fanout/estuary.h"
#include "shard/fanout/feed.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/handlers/pin.h"
#include "shard/streams/condition.h"
#include "shard/streams/reply.h"
#include "shard/streams/watch.h"
#include "shard/store/entry.h"
#include "shard/store/journal.h"
#include "shard/store/store.h"
#include "shard/store/store_stream.h"

/* The bytes go in the background; the name is free at once, and the source of a fork is released. */
static void delete_set_deleting(struct shard *shard, struct stream *stream)
{
    struct journal_entry end = {.uid = stream->row.uid, .time_ms = shard->now_ms, .flags = ENTRY_DELETES};
    journal_append(shard->store, &end);
    shard->journaled++;
    if (!stream->unflushed)
        store_stream_set_deleting(shard->store, stream->row.uid);
    if (stream->row.source_uid != STORE_NONE)
        pin_release(shard, stream->row.uid, stream->row.source_uid, stream->row.pin);
    feeds_close(shard, stream);
    estuary_unsubscribe_all(shard, stream);
    watch_deleted(shard, stream);
    streams_deleting(&shard->streams, stream);
}

/* Forks may hold the stream for long, but it has no subscribers left. */
static void delete_end_feeds(struct shard *shard, struct stream *stream)
{
    if (!stream->feeds || !feeds_level(stream))
        return;
    feeds_close(shard, stream);
}

void delete_stream(struct shard *shard, struct stream *stream)
{
    if (!stream_held(&shard->streams, stream)) {
        delete_set_deleting(shard, stream);
        return;
    }
    (void)stream_write(&shard->streams, stream);
    store_stream_soft_delete(shard->store, stream->row.uid);
    estuary_unsubscribe_all(shard, stream);
    stream_soft_deleted(&shard->streams, stream);
    watch_deleted(shard, stream);
    delete_end_feeds(shard, stream);
}

void delete_expired(struct shard *shard, struct slice name)
{
    struct stream *stream = streams_peek(&shard->streams, name);
    if (stream)
        delete_stream(shard, stream);
}

/* The last that held it may be gone. */
static void delete_soft_deleted(struct shard *shard, struct stream *stream)
{
    if (stream_held(&shard->streams, stream))
        delete_end_feeds(shard, stream);
    else
        delete_set_deleting(shard, stream);
}

void delete_turn(struct shard *shard)
{
    struct buf uids = shard->streams.may_end;
    uint64_t uid;
    shard->streams.may_end = (struct buf){0};
    for (; buf_len(&uids); buf_consume(&uids, sizeof uid)) {
        memcpy(&uid, buf_slice(&uids).data, sizeof uid);
        struct stream *stream = streams_by_uid(&shard->streams, uid);
        if (!stream)
            continue; /* it has ended since */
        stream->may_end = false;
        if (stream->row.state == STREAM_SOFT_DELETED)
            delete_soft_deleted(shard, stream);
        else if (stream_expired(stream, shard->now_ms) && !stream->watcher_count && !shard->disk.stuck)
            delete_stream(shard, stream);
    }
    buf_clear(&uids);
}

void on_delete(struct shard *shard, struct asker asker, const struct wire_delete *m)
{
    enum error error = ERR_NONE;
    struct detail detail = {0};
    struct stream *stream = streams_live(&shard->streams, m->name, shard->now_ms, &error);
    if (stream)
        error = condition_there(stream, &m->condition, &detail);
    if (error == ERR_NONE && shard->disk.stuck)
        error = ERR_INSUFFICIENT_STORAGE;
    if (error != ERR_NONE) {
        reply_refuse_stream(shard, asker, stream, error, &detail);
        return;
    }
    delete_stream(shard, stream);
    reply_error(shard, asker, ERR_NONE);
}
