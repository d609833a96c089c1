/* Generations. Flushing works through all that is pending at one moment, a slice a turn, while more is appended:
 *
 *     append --> waiting --begin_generation--> flushing --all of the stream's appends of it flushed--> on no list, or
 *                   ^                                                                                     waiting
 *                   +------------------------------------------------------------------------------------+
 *
 * A stream is on one list at most. One that is appended to while it is on `flushing` stays there; its new appends are
 * of later batches, and wait for the next generation. When `flushing` is empty, the journal up to the generation's last
 * batch can be dropped. */
#include "shard/streams/pending.h"

#include <assert.h>
#include <stdlib.h>

#include "common/boundaries.h"
#include "common/buf.h"
#include "common/mem.h"
#include "shard/store/entry.h"
#include "shard/store/journal.h"
#include "shard/store/store.h"
#include "shard/store/store_stream.h"
#include "shard/streams/due.h"
#include "shard/streams/producers.h"
#include "shard/streams/streams.h"

#define PENDING_KEPT 16 /* a stream that once had more gives the memory back when it is flushed */
/* In bytes: shared bytes cost a reference for each stream, and are written once. */
#define SHARED_WEIGHT 32

struct extent pending_extent(const struct pending *p)
{
    struct slice of = buf_slice(&p->batch->data);
    return (struct extent){
        .start = p->start,
        .count = p->count,
        .time_ms = p->batch->time_ms,
        .boundaries = slice_part(of, p->at, p->boundaries),
        .data = slice_part(of, p->at + p->boundaries, p->bytes),
    };
}

/* The bytes that flushing a pending append writes. */
static uint64_t pending_weight(const struct pending *p)
{
    return p->shared ? SHARED_WEIGHT : p->boundaries + (uint64_t)p->bytes;
}

/* Drops the oldest `count` pending appends. */
void pending_forget(struct streams *streams, struct stream *stream, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        streams->journal_bytes -= pending_weight(&stream->pending[i]);
        batch_unref(stream->pending[i].batch);
    }
    streams->journal_entries -= count;
    stream->pending_count -= count;
    if (stream->pending_count)
        memmove(stream->pending, stream->pending + count, stream->pending_count * sizeof *stream->pending);
}

void pending_free(struct stream *stream)
{
    for (size_t i = 0; i < stream->pending_count; i++)
        batch_unref(stream->pending[i].batch);
    free(stream->pending);
}

/* A stream that is on a list stays there. */
static void pending_list(struct list *list, struct stream *stream)
{
    if (list_empty(&stream->flush))
        list_add_last(list, &stream->flush);
}

void pending_add(struct streams *streams, struct stream *stream, const struct journal_entry *entry)
{
    if (stream->pending_count == stream->pending_cap) {
        stream->pending_cap = stream->pending_cap ? stream->pending_cap * 2 : 4;
        stream->pending = xrealloc(stream->pending, stream->pending_cap * sizeof *stream->pending);
    }
    stream->pending[stream->pending_count++] = (struct pending){
        .batch = batch_ref(entry->batch),
        .start = entry->start,
        .count = entry->count,
        .at = (uint32_t)entry->at,
        .boundaries = (uint32_t)entry->boundaries.len,
        .bytes = (uint32_t)entry->data.len,
        .shared = (entry->flags & ENTRY_SHARED) != 0,
    };
    streams->journal_entries++;
    streams->journal_bytes += pending_weight(&stream->pending[stream->pending_count - 1]);
    pending_list(&streams->waiting, stream);
}

static int pending_by_uid(const void *a, const void *b)
{
    const struct stream *x = *(struct stream *const *)a, *y = *(struct stream *const *)b;
    return x->row.uid < y->row.uid ? -1 : x->row.uid > y->row.uid;
}

/* In the order of the store's tables, so that what is written together lies together. */
static void pending_sort(struct list *list)
{
    struct buf all = {0};
    for (struct list *link; (link = list_pop(list));) {
        struct stream *stream = LIST_OWNER(link, struct stream, flush);
        buf_add(&all, &stream, sizeof stream);
    }
    size_t count = buf_len(&all) / sizeof(struct stream *);
    struct stream **streams = (struct stream **)(void *)all.data;
    if (count)
        qsort(streams, count, sizeof *streams, pending_by_uid);
    for (size_t i = 0; i < count; i++)
        list_add_last(list, &streams[i]->flush);
    buf_clear(&all);
}

void pending_begin_generation(struct streams *streams)
{
    assert(list_empty(&streams->flushing));
    pending_sort(&streams->waiting);
    list_append(&streams->flushing, &streams->waiting);
}

static uint64_t pending_messages(const struct pending *p, bool json)
{
    struct slice boundaries = pending_extent(p).boundaries;
    uint64_t length, count = 0;
    bool last;
    if (json || !p->boundaries)
        return json ? p->count : p->count > 0;
    while (boundaries_next(&boundaries, &length, &last))
        count++;
    return count;
}

static void pending_heat(struct streams *streams, struct stream *stream, const struct pending *p)
{
    stream->row.bytes += p->bytes;
    stream_chunks_added(streams, stream, p->bytes, pending_messages(p, stream->json));
}

/* When the stream's retention is looked at next, at the latest. */
static void pending_retain(struct stream *stream, uint64_t time_ms)
{
    uint64_t retain_ms = time_ms + stream->row.retention_s * 1000;
    if (stream->row.retention_s && (stream->row.retain_ms == STORE_NONE || stream->row.retain_ms > retain_ms))
        stream->row.retain_ms = retain_ms; /* if it was there, the clock was ahead */
}

static void pending_shrink(struct stream *stream)
{
    if (stream->pending_count || stream->pending_cap <= PENDING_KEPT)
        return;
    free(stream->pending);
    stream->pending = NULL;
    stream->pending_cap = 0;
}

void pending_flushed(struct streams *streams, struct stream *stream, size_t count, int64_t upto)
{
    const struct pending *last = &stream->pending[count - 1];
    uint64_t time_ms = last->batch->time_ms;
    stream->row.flushed = last->start + last->count;
    for (size_t i = 0; i < count; i++)
        pending_heat(streams, stream, &stream->pending[i]);
    producers_forget(streams, stream);
    pending_forget(streams, stream, count);
    stream_look_if_due(streams, stream);
    pending_retain(stream, time_ms);
    pending_shrink(stream);
    if (!stream->pending_count || stream->pending[0].batch->seq > upto)
        list_remove(&stream->flush); /* nothing of this generation is left */
    if (stream->pending_count)
        pending_list(&streams->waiting, stream);
    if (!stream_write(streams, stream))
        store_stream_update(streams->store, &stream->row);
    feeds_flushed(streams, stream);
}
