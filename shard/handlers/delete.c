#include "shard/handlers/delete.h"

#include "shard/handlers/fork.h"
#include "shard/handlers/handlers.h"
#include "shard/peers/answer.h"
#include "shard/streams/watch.h"

/* Its bytes go in the background; its name is free at once, and its source will be let go. */
static void delete_set_deleting(struct shard *shard, struct stream *stream)
{
    struct journal_entry end = {.uid = stream->row.uid, .time_ms = shard->now_ms, .flags = ENTRY_DELETES};
    store_begin(shard->store);
    journal_append(shard->store, &end);
    shard->journaled++;
    if (!stream->unflushed)
        store_stream_set_deleting(shard->store, stream->row.uid);
    if (stream->row.source_uid != STORE_NONE)
        fork_let_go(shard, stream->row.uid, stream->row.source_uid, stream->row.pin);
    feeds_ended(shard, stream);
    estuary_ended(shard, stream);
    watch_deleted(shard, stream);
    streams_deleting(&shard->streams, stream);
}

/* Forks hold its bytes, or shards whose estuaries still get them. */
static bool delete_held(const struct shard *shard, const struct stream *stream)
{
    return !feeds_level(stream) || store_pinned(shard->store, stream->row.uid);
}

/* Forks may hold it for long, but nobody is subscribed to it any more. */
static void delete_end_feeds(struct shard *shard, struct stream *stream)
{
    if (!stream->feeds || !feeds_level(stream))
        return;
    store_begin(shard->store);
    feeds_ended(shard, stream);
}

void delete_stream(struct shard *shard, struct stream *stream)
{
    if (!delete_held(shard, stream)) {
        delete_set_deleting(shard, stream);
        return;
    }
    store_begin(shard->store);
    (void)stream_write(&shard->streams, stream);
    store_stream_soft_delete(shard->store, stream->row.uid);
    estuary_ended(shard, stream);
    stream_soft_deleted(&shard->streams, stream);
    watch_deleted(shard, stream);
    delete_end_feeds(shard, stream);
}

struct stream *delete_expired(struct shard *shard, struct stream *stream)
{
    bool stays = delete_held(shard, stream);
    delete_stream(shard, stream);
    return stays ? stream : NULL;
}

void delete_unpinned(struct shard *shard, struct stream *stream)
{
    if (stream->row.state != STREAM_SOFT_DELETED)
        return;
    if (delete_held(shard, stream))
        delete_end_feeds(shard, stream);
    else
        delete_set_deleting(shard, stream);
}

void on_delete(struct shard *shard, struct asker asker, const struct wire_delete *m)
{
    enum error error = ERR_NONE;
    struct stream *stream = shard_stream(shard, m->name, &error);
    if (stream && shard->disk_stuck)
        error = ERR_INSUFFICIENT_STORAGE;
    else if (stream)
        delete_stream(shard, stream);
    answer_error(shard, asker, error);
}
