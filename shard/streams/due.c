/* A stream is due while some of what is in chunks is to become a segment:
 *
 *     not due --flushed: enough, old or closed--> due --offloaded--> cooled --chunks dropped--> not due, or due again
 *                                                  |
 *                                                  +--cannot be done--> not due, until more is flushed
 *
 * The flag is in the stream's row, so that a restart finds what is due without looking at every stream. The bytes in
 * chunks of all streams that are due are the backlog, which holds up appends when it is too large. */
#include "shard/streams/due.h"

#include "common/config.h"
#include "shard/store/store.h"
#include "shard/store/store_segment.h"
#include "shard/streams/streams.h"

#define SEGMENT_LEAST 4096

bool streams_backlogged(const struct streams *streams)
{
    return streams->cfg->segment_store != SEGMENT_STORE_NONE && streams->backlog > streams->cfg->segment_backlog_limit;
}

uint64_t stream_segment_bytes(const struct streams *streams, const struct stream *stream)
{
    uint64_t most = streams->cfg->segment_max_bytes, part = stream->row.retention_bytes / RETENTION_PARTS;
    if (!stream->row.retention_bytes || part > most)
        return most;
    return part > SEGMENT_LEAST ? part : SEGMENT_LEAST;
}

/* Estuaries that have a TTL refer to what others have too, and do not live long. */
bool stream_is_due(const struct streams *streams, const struct stream *stream)
{
    const struct stream_row *row = &stream->row;
    const struct config *cfg = streams->cfg;
    if (cfg->segment_store == SEGMENT_STORE_NONE || (row->kind & STREAM_KIND_OWNED) || !row->chunk_messages)
        return false;
    return row->chunk_messages >= cfg->segment_max_messages ||
           row->chunk_bytes >= stream_segment_bytes(streams, stream) || stream->aged ||
           (row->closed && !stream->pending_count);
}

static void due_set(struct streams *streams, struct stream *stream, bool due)
{
    if (due && !stream->row.due) {
        streams->backlog += stream->row.chunk_bytes;
        streams->due_any = true;
    }
    if (!due && stream->row.due)
        streams->backlog -= stream->row.chunk_bytes;
    stream->row.due = due;
}

void stream_offloaded(struct streams *streams, struct stream *stream, uint64_t upto, uint64_t bytes, uint64_t messages)
{
    stream->row.offloaded = upto;
    stream->row.chunk_bytes -= bytes;
    stream->row.chunk_messages -= messages;
    stream->aged = false;
    streams->backlog -= bytes;
    store_stream_set_offloaded(streams->store, &stream->row);
}

void stream_chunks_dropped(struct streams *streams, struct stream *stream)
{
    due_set(streams, stream, stream_is_due(streams, stream));
    store_stream_set_offloaded(streams->store, &stream->row);
}

void stream_not_due(struct streams *streams, struct stream *stream)
{
    due_set(streams, stream, false);
    store_stream_set_offloaded(streams->store, &stream->row);
}

void stream_age(struct streams *streams, struct stream *stream)
{
    stream->aged = true;
    if (stream->row.due || !stream_is_due(streams, stream))
        return;
    due_set(streams, stream, true);
    store_stream_set_offloaded(streams->store, &stream->row);
}

void stream_chunks_added(struct streams *streams, struct stream *stream, uint64_t bytes, uint64_t messages)
{
    stream->row.chunk_bytes += bytes;
    stream->row.chunk_messages += messages;
    if (stream->row.due)
        streams->backlog += bytes;
}

void stream_look_if_due(struct streams *streams, struct stream *stream)
{
    if (!stream->row.due)
        due_set(streams, stream, stream_is_due(streams, stream));
}
