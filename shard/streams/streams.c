/* A stream is in memory while something needs it (an unflushed append, a watcher, a feed that is behind), and after
 * that until others were used more recently. Every lookup that finds it counts as a use, except streams_peek().
 *
 * Three kinds of list hang on it. `used` and the tables own it. `flush` and `fresh_link` are work of later steps of a
 * turn; a stream that has such work is not evicted. `touched` and `may_end` have uids instead of pointers, because a
 * stream may be deleted before they are worked off. */
#include "shard/streams/streams.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/layout.h"
#include "common/log.h"
#include "common/mem.h"
#include "shard/store/store_segment.h"
#include "shard/store/store_stream.h"
#include "shard/streams/pending.h"
#include "shard/streams/producers.h"

static struct slice streams_name_of(const struct table_node *node)
{
    return TABLE_OWNER(node, const struct stream, by_name)->row.name;
}

static struct slice streams_uid_of(const struct table_node *node)
{
    return table_number(&TABLE_OWNER(node, const struct stream, by_uid)->row.uid);
}

void streams_init(struct streams *streams, struct store *store, const struct config *cfg)
{
    *streams = (struct streams){.store = store, .cfg = cfg, .due_any = true};
    streams->backlog = store_backlog(store);
    table_init(&streams->by_name, streams_name_of);
    table_init(&streams->by_uid, streams_uid_of);
    list_init(&streams->used);
    list_init(&streams->flushing);
    list_init(&streams->waiting);
    list_init(&streams->fresh);
    feeds_init(&streams->feeds, clock_unix_ms());
    usages_init(&streams->usages, store);
    unflushed_init(&streams->unflushed);
}

/* ---- coming and going ---- */

struct stream *streams_add(struct streams *streams, const struct stream_row *row)
{
    struct stream *stream = xcalloc(1, sizeof *stream);
    stream->row = *row;
    stream->row.name = stream_own(row->name);
    stream->row.content_type = stream_own(row->content_type);
    stream->row.closer = stream_own(row->closer);
    stream->row.stream_seq = stream_own(row->stream_seq);
    stream->row.expires_text = stream_own(row->expires_text);
    stream->row.source_name = stream_own(row->source_name);
    stream->row.lineage = stream_own(row->lineage);
    stream->row.lives = stream_own(row->lives);
    (void)lives_one(layout_life_of_uid(row->uid), stream->life);
    if (!lineage_decode(stream->row.lineage, &stream->lineage))
        fatal_never_restart("stream %llu: its lineage is damaged", (unsigned long long)row->uid);
    if (!lives_valid(row->lives))
        fatal_never_restart("stream %llu: its lives are damaged", (unsigned long long)row->uid);
    stream->tail = row->flushed;
    stream->bytes = row->bytes;
    stream->usage = usage_ref(&streams->usages, row->name);
    stream->json = stream_row_is_json(row);
    list_init(&stream->flush);
    list_init(&stream->fresh_link);
    list_add_first(&streams->used, &stream->used);
    table_add(&streams->by_name, &stream->by_name);
    table_add(&streams->by_uid, &stream->by_uid);
    if (row->kind & STREAM_KIND_FED)
        feeds_load(streams, stream);
    return stream;
}

struct stream *streams_add_new(struct streams *streams, const struct stream_row *row)
{
    struct stream *stream = streams_add(streams, row);
    usage_add(&streams->usages, stream->usage, 1, 0);
    return stream;
}

static void streams_free(struct stream *stream)
{
    stream_disown(&stream->row.name);
    stream_disown(&stream->row.content_type);
    stream_disown(&stream->row.closer);
    stream_disown(&stream->row.stream_seq);
    stream_disown(&stream->row.expires_text);
    stream_disown(&stream->row.source_name);
    stream_disown(&stream->row.lineage);
    stream_disown(&stream->row.lives);
    lineage_clear(&stream->lineage);
    producers_free(stream);
    pending_free(stream);
    free(stream->watchers);
    buf_clear(&stream->fresh);
    free(stream);
}

static void streams_forget(struct streams *streams, struct stream *stream)
{
    assert(list_empty(&stream->fresh_link));
    pending_forget(streams, stream, stream->pending_count);
    list_remove(&stream->flush);
    if (stream->unflushed)
        unflushed_remove(&streams->unflushed, stream);
    table_remove(&streams->by_name, &stream->by_name);
    table_remove(&streams->by_uid, &stream->by_uid);
    list_remove(&stream->used);
    feeds_forget(stream);
    usage_unref(&streams->usages, stream->usage);
    streams_free(stream);
}

/* Sums first: streams_forget() gives up the reference to the project's usage. A soft-deleted stream was no longer
 * counted as a stream, only its bytes were. */
void streams_deleting(struct streams *streams, struct stream *stream)
{
    usage_add(&streams->usages, stream->usage, stream->row.state == STREAM_LIVE ? -1 : 0, -(int64_t)stream->bytes);
    if (stream->row.due)
        streams->backlog -= stream->row.chunk_bytes;
    streams_forget(streams, stream);
}

static bool streams_evictable(const struct streams *streams, const struct stream *stream)
{
    return feeds_idle(streams, stream) && !stream->pending_count && !stream->watcher_count && !stream->touched &&
           list_empty(&stream->fresh_link) && list_empty(&stream->flush);
}

/* From the one that was used least recently. Streams that something needs stay, so memory can hold more than `keep`. */
size_t streams_evict(struct streams *streams, uint64_t keep)
{
    size_t before = streams_count(streams);
    struct list *link = streams->used.prev;
    while (link != &streams->used && streams_count(streams) > keep) {
        struct stream *stream = LIST_OWNER(link, struct stream, used);
        link = link->prev;
        if (streams_evictable(streams, stream))
            streams_forget(streams, stream);
    }
    return before - streams_count(streams);
}

void streams_clear(struct streams *streams)
{
    for (struct list *link; (link = list_pop(&streams->used));) {
        struct stream *stream = LIST_OWNER(link, struct stream, used);
        feeds_forget(stream);
        streams_free(stream);
    }
    table_clear(&streams->by_name);
    table_clear(&streams->by_uid);
    buf_clear(&streams->touched);
    buf_clear(&streams->may_end);
    usages_clear(&streams->usages);
    segments_clear(&streams->segments);
    *streams = (struct streams){0};
}

/* ---- finding ---- */

static struct stream *streams_use(struct streams *streams, struct stream *stream)
{
    list_remove(&stream->used);
    list_add_first(&streams->used, &stream->used);
    return stream;
}

struct stream *streams_peek(const struct streams *streams, struct slice name)
{
    struct table_node *node = table_find(&streams->by_name, name);
    return node ? TABLE_OWNER(node, struct stream, by_name) : NULL;
}

static struct stream *streams_peek_uid(const struct streams *streams, uint64_t uid)
{
    struct table_node *node = table_find(&streams->by_uid, table_number(&uid));
    return node ? TABLE_OWNER(node, struct stream, by_uid) : NULL;
}

struct stream *streams_by_name(struct streams *streams, struct slice name)
{
    struct stream_row row;
    struct stream *stream = streams_peek(streams, name);
    if (stream)
        return streams_use(streams, stream);
    return store_stream_by_name(streams->store, name, &row) ? streams_add(streams, &row) : NULL;
}

struct stream *streams_by_uid(struct streams *streams, uint64_t uid)
{
    struct stream_row row;
    struct stream *stream = streams_peek_uid(streams, uid);
    if (stream)
        return streams_use(streams, stream);
    if (!store_stream_by_uid(streams->store, uid, &row) || row.state == STREAM_DELETING)
        return NULL;
    return streams_add(streams, &row);
}

/* By uid: the stream may leave memory before the list is worked off. */
static void streams_list_may_end(struct streams *streams, struct stream *stream)
{
    if (stream->may_end)
        return;
    stream->may_end = true;
    buf_add(&streams->may_end, &stream->row.uid, sizeof stream->row.uid);
}

void streams_released(struct streams *streams, struct stream *stream)
{
    if (stream->row.state == STREAM_SOFT_DELETED)
        streams_list_may_end(streams, stream);
}

/* An expired stream is only listed here (shard/handlers/delete.c ends it); callers hold pointers. */
struct stream *streams_live(struct streams *streams, struct slice name, uint64_t now_ms, enum error *error)
{
    struct stream *stream = streams_by_name(streams, name);
    bool gone = stream && stream->row.state == STREAM_SOFT_DELETED;
    bool expired = stream && stream_expired(stream, now_ms) && !stream->watcher_count;
    if (stream && !gone && !expired)
        return stream;
    if (expired)
        streams_list_may_end(streams, stream);
    *error = gone || (expired && stream_held(streams, stream)) ? ERR_STREAM_GONE : ERR_STREAM_NOT_FOUND;
    return NULL;
}

/* A touched stream is not evicted; one that is not there was deleted. */
struct stream *streams_next_touched(struct streams *streams)
{
    uint64_t uid;
    while (buf_len(&streams->touched)) {
        memcpy(&uid, buf_slice(&streams->touched).data, sizeof uid);
        buf_consume(&streams->touched, sizeof uid);
        struct stream *stream = streams_peek_uid(streams, uid);
        if (!stream)
            continue;
        stream->touched = false;
        return stream;
    }
    return NULL;
}
