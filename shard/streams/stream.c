/* An append changes the stream's row in memory at once; the row is written when the append is flushed:
 *
 *     append_entry --> the journal's batch --> stream_apply: tail, bytes, producer, closed    memory is ahead
 *     flush --------> chunks ---------------> pending_flushed: flushed, row.bytes             the row catches up
 *
 * Recovery calls stream_apply() with the same entries, so memory after a crash is what it was before. */
#include "shard/streams/stream.h"

#include <stdlib.h>

#include "common/layout.h"
#include "common/mem.h"
#include "shard/store/entry.h"
#include "shard/store/journal.h"
#include "shard/store/store_fork.h"
#include "shard/streams/feeds.h"
#include "shard/streams/pending.h"
#include "shard/streams/producers.h"
#include "shard/streams/streams.h"

/* Most of a row's texts are empty: they cost nothing. */
struct slice stream_own(struct slice s)
{
    return s.len ? slice_of(xslicedup(s), s.len) : (struct slice){0};
}

void stream_disown(struct slice *s)
{
    free((char *)s->data);
    *s = (struct slice){0};
}

void stream_set_text(struct slice *text, struct slice value)
{
    stream_disown(text);
    *text = stream_own(value);
}

struct slice stream_lives(const struct stream *stream)
{
    uint64_t life = layout_life_of_uid(stream->row.uid);
    return stream->row.lives.len ? stream->row.lives : slice_of(stream->life, life ? LIVES_ONE : 0);
}

struct offset stream_offset(const struct stream *stream, uint64_t position)
{
    return lives_offset(stream_lives(stream), position);
}

void stream_apply(struct streams *streams, struct stream *stream, const struct journal_entry *entry)
{
    pending_add(streams, stream, entry);
    stream->tail = entry->start + entry->count;
    stream->bytes += entry->data.len;
    usage_add(&streams->usages, stream->usage, 0, (int64_t)entry->data.len);
    if (entry->flags & ENTRY_STREAM_SEQ) {
        stream_set_text(&stream->row.stream_seq, entry->stream_seq);
        stream->row.has_stream_seq = true;
    }
    if (entry->flags & ENTRY_PRODUCER) {
        struct producer *p = producers_keep(streams, stream, entry->producer);
        p->epoch = entry->epoch;
        p->seq = entry->producer_seq;
        p->dirty = true;
    }
    if (entry->flags & ENTRY_CLOSES) {
        stream->row.closed = true;
        stream_set_text(&stream->row.closer, entry->producer);
        stream->row.closer_epoch = entry->epoch;
        stream->row.closer_seq = entry->producer_seq;
    }
}

/* A deleted stream stays while a fork or a feed needs its bytes. Feeds first: they are in memory, pins cost a query. */
bool stream_held(const struct streams *streams, const struct stream *stream)
{
    return !feeds_level(stream) || store_pinned(streams->store, stream->row.uid);
}

void stream_soft_deleted(struct streams *streams, struct stream *stream)
{
    stream->row.state = STREAM_SOFT_DELETED;
    usage_add(&streams->usages, stream->usage, -1, 0);
}

void stream_trimmed(struct streams *streams, struct stream *stream, uint64_t earliest, uint64_t bytes)
{
    stream->row.earliest = earliest;
    stream->row.bytes -= bytes;
    stream->bytes -= bytes;
    usage_add(&streams->usages, stream->usage, 0, -(int64_t)bytes);
}

void stream_set_expiry_text(struct stream *stream, struct slice text)
{
    stream_set_text(&stream->row.expires_text, text);
}

void stream_touch(struct streams *streams, struct stream *stream, uint64_t now_ms)
{
    if (stream->row.ttl_s == STORE_NONE || stream->row.accessed_ms == now_ms)
        return;
    stream->row.accessed_ms = now_ms;
    /* The janitor writes it later: a read does not cost a write of its own. */
    if (stream->touched)
        return;
    stream->touched = true;
    buf_add(&streams->touched, &stream->row.uid, sizeof stream->row.uid);
}
