#include "shard/streams/stream.h"

#include <assert.h>
#include <stdlib.h>

#include "common/boundaries.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/media_type.h"
#include "common/mem.h"
#include "shard/store/entry.h"
#include "shard/store/extent.h"
#include "shard/store/journal.h"
#include "shard/store/store_producer.h"
#include "shard/store/store_stream.h"
#include "shard/store/store_uid.h"
#include "shard/store/store_fork.h"

#define PRODUCERS_KEPT 64
#define PENDING_KEPT 16
#define SHARED_WEIGHT 32 /* as bytes */
#define SEGMENT_LEAST 4096

static size_t stream_hash_name(struct slice name)
{
    uint64_t hash = hash_add(HASH_SEED, name);
    return (size_t)(hash ^ (hash >> 32));
}

static size_t stream_hash_uid(uint64_t uid)
{
    uid *= 0x9e3779b97f4a7c15u;
    return (size_t)(uid ^ (uid >> 32));
}

void streams_init(struct streams *streams, struct store *store, const struct config *cfg)
{
    *streams = (struct streams){.store = store, .cfg = cfg, .buckets = 1024, .due_any = true};
    streams->backlog = store_backlog(store);
    streams->flushing = &streams->flush_lists[0];
    streams->waiting = &streams->flush_lists[1];
    streams->by_name = xcalloc(streams->buckets, sizeof *streams->by_name);
    streams->by_uid = xcalloc(streams->buckets, sizeof *streams->by_uid);
    usages_init(&streams->usages, store);
    unflushed_init(&streams->unflushed);
}

/* ---- the tables ---- */

static void stream_link_tables(struct streams *streams, struct stream *stream)
{
    struct stream **name = &streams->by_name[stream_hash_name(stream->row.name) & (streams->buckets - 1)];
    struct stream **uid = &streams->by_uid[stream_hash_uid(stream->row.uid) & (streams->buckets - 1)];
    stream->by_name = *name;
    *name = stream;
    stream->by_uid = *uid;
    *uid = stream;
}

static void stream_unlink_tables(struct streams *streams, struct stream *stream)
{
    struct stream **at = &streams->by_name[stream_hash_name(stream->row.name) & (streams->buckets - 1)];
    while (*at != stream)
        at = &(*at)->by_name;
    *at = stream->by_name;
    at = &streams->by_uid[stream_hash_uid(stream->row.uid) & (streams->buckets - 1)];
    while (*at != stream)
        at = &(*at)->by_uid;
    *at = stream->by_uid;
}

static void stream_resize_tables(struct streams *streams, size_t buckets)
{
    free(streams->by_name);
    free(streams->by_uid);
    streams->buckets = buckets;
    streams->by_name = xcalloc(buckets, sizeof *streams->by_name);
    streams->by_uid = xcalloc(buckets, sizeof *streams->by_uid);
    for (struct stream *s = streams->newest; s; s = s->used_next)
        stream_link_tables(streams, s);
}

static void stream_link_used(struct streams *streams, struct stream *stream)
{
    stream->used_prev = NULL;
    stream->used_next = streams->newest;
    if (streams->newest)
        streams->newest->used_prev = stream;
    else
        streams->oldest = stream;
    streams->newest = stream;
}

static void stream_unlink_used(struct streams *streams, struct stream *stream)
{
    if (stream->used_prev)
        stream->used_prev->used_next = stream->used_next;
    else
        streams->newest = stream->used_next;
    if (stream->used_next)
        stream->used_next->used_prev = stream->used_prev;
    else
        streams->oldest = stream->used_prev;
}

static struct stream *stream_use(struct streams *streams, struct stream *stream)
{
    if (streams->newest != stream) {
        stream_unlink_used(streams, stream);
        stream_link_used(streams, stream);
    }
    return stream;
}

/* ---- one stream ---- */

/* Most of a row's texts are empty: they cost nothing. */
static struct slice stream_own(struct slice s)
{
    return s.len ? slice_of(xslicedup(s), s.len) : (struct slice){0};
}

static void stream_disown(struct slice *s)
{
    free((char *)s->data);
    *s = (struct slice){0};
}

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
    if (!lineage_decode(stream->row.lineage, &stream->lineage))
        fatal_never_restart("stream %llu: its lineage is damaged", (unsigned long long)row->uid);
    stream->tail = row->flushed;
    stream->bytes = row->bytes;
    stream->usage = usage_ref(&streams->usages, row->name);
    stream->json = media_type_is_json(row->content_type);
    stream_link_used(streams, stream);
    if (++streams->count > streams->buckets)
        stream_resize_tables(streams, streams->buckets * 2);
    else
        stream_link_tables(streams, stream);
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

static void stream_free(struct stream *stream)
{
    stream_disown(&stream->row.name);
    stream_disown(&stream->row.content_type);
    stream_disown(&stream->row.closer);
    stream_disown(&stream->row.stream_seq);
    stream_disown(&stream->row.expires_text);
    stream_disown(&stream->row.source_name);
    stream_disown(&stream->row.lineage);
    lineage_clear(&stream->lineage);
    for (size_t i = 0; i < stream->producer_count; i++)
        free(stream->producers[i].id);
    free(stream->producers);
    for (size_t i = 0; i < stream->pending_count; i++)
        batch_unref(stream->pending[i].batch);
    free(stream->pending);
    free(stream->watchers);
    buf_clear(&stream->fresh);
    free(stream);
}

static void stream_flush_list_remove(struct stream *stream)
{
    struct stream_list *list = stream->flush_list;
    if (!list)
        return;
    *(stream->flush_prev ? &stream->flush_prev->flush_next : &list->first) = stream->flush_next;
    *(stream->flush_next ? &stream->flush_next->flush_prev : &list->last) = stream->flush_prev;
    stream->flush_list = NULL;
}

static void stream_unlist_touched(struct streams *streams, struct stream *stream)
{
    if (!stream->touched)
        return;
    struct stream **at = &streams->touched_first;
    while (*at != stream)
        at = &(*at)->touched_next;
    *at = stream->touched_next;
    stream->touched = false;
}

/* What a pending append costs to settle. */
static uint64_t stream_weight(const struct pending *p)
{
    return p->shared ? SHARED_WEIGHT : p->boundaries + (uint64_t)p->bytes;
}

/* Drops the oldest `count` pending appends. */
static void stream_forget_pending(struct streams *streams, struct stream *stream, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        streams->journal_bytes -= stream_weight(&stream->pending[i]);
        batch_unref(stream->pending[i].batch);
    }
    streams->journal_entries -= count;
    stream->pending_count -= count;
    if (stream->pending_count)
        memmove(stream->pending, stream->pending + count, stream->pending_count * sizeof *stream->pending);
}

static void stream_forget(struct streams *streams, struct stream *stream)
{
    assert(!stream->is_fresh);
    stream_forget_pending(streams, stream, stream->pending_count);
    stream_flush_list_remove(stream);
    stream_unlist_touched(streams, stream);
    if (stream->unflushed)
        unflushed_remove(&streams->unflushed, stream);
    stream_unlink_tables(streams, stream);
    stream_unlink_used(streams, stream);
    feeds_forget(streams, stream);
    streams->count--;
    usage_unref(&streams->usages, stream->usage);
    stream_free(stream);
}

void stream_soft_deleted(struct streams *streams, struct stream *stream)
{
    stream->row.state = STREAM_SOFT_DELETED;
    usage_add(&streams->usages, stream->usage, -1, 0);
}

void streams_deleting(struct streams *streams, struct stream *stream)
{
    usage_add(&streams->usages, stream->usage, stream->row.state == STREAM_LIVE ? -1 : 0, -(int64_t)stream->bytes);
    if (stream->row.due)
        streams->backlog -= stream->row.hot_bytes;
    stream_forget(streams, stream);
}

static bool stream_evictable(const struct streams *streams, const struct stream *stream)
{
    return feeds_idle(streams, stream) && !stream->pending_count && !stream->watcher_count && !stream->touched &&
           !stream->is_fresh && !stream->flush_list;
}

size_t streams_evict(struct streams *streams, uint64_t keep)
{
    size_t before = streams->count;
    struct stream *stream = streams->oldest;
    while (stream && streams->count > keep) {
        struct stream *newer = stream->used_prev;
        if (stream_evictable(streams, stream))
            stream_forget(streams, stream);
        stream = newer;
    }
    return before - streams->count;
}

void streams_clear(struct streams *streams)
{
    for (struct stream *s = streams->newest, *next; s; s = next) {
        next = s->used_next;
        feeds_forget(streams, s);
        stream_free(s);
    }
    free(streams->by_name);
    free(streams->by_uid);
    buf_clear(&streams->may_end);
    usages_clear(&streams->usages);
    segments_clear(&streams->segments);
    *streams = (struct streams){0};
}

/* ---- finding ---- */

struct stream *streams_peek(const struct streams *streams, struct slice name)
{
    struct stream *s = streams->by_name[stream_hash_name(name) & (streams->buckets - 1)];
    while (s && !slice_equal(s->row.name, name))
        s = s->by_name;
    return s;
}

struct stream *streams_by_name(struct streams *streams, struct slice name)
{
    struct stream_row row;
    struct stream *s = streams_peek(streams, name);
    if (s)
        return stream_use(streams, s);
    if (!store_stream_by_name(streams->store, name, &row))
        return NULL;
    return streams_add(streams, &row);
}

struct stream *streams_by_uid(struct streams *streams, uint64_t uid)
{
    struct stream_row row;
    struct stream *s = streams->by_uid[stream_hash_uid(uid) & (streams->buckets - 1)];
    for (; s; s = s->by_uid)
        if (s->row.uid == uid)
            return stream_use(streams, s);
    if (!store_stream_by_uid(streams->store, uid, &row) || row.state == STREAM_DELETING)
        return NULL;
    return streams_add(streams, &row);
}

bool stream_held(const struct streams *streams, const struct stream *stream)
{
    return !feeds_level(stream) || store_pinned(streams->store, stream->row.uid);
}

/* By uid: the stream may leave memory before the list is worked off. */
static void stream_list_may_end(struct streams *streams, struct stream *stream)
{
    if (stream->may_end)
        return;
    stream->may_end = true;
    buf_add(&streams->may_end, &stream->row.uid, sizeof stream->row.uid);
}

void streams_released(struct streams *streams, struct stream *stream)
{
    if (stream->row.state == STREAM_SOFT_DELETED)
        stream_list_may_end(streams, stream);
}

struct stream *streams_live(struct streams *streams, struct slice name, uint64_t now_ms, enum error *error)
{
    struct stream *stream = streams_by_name(streams, name);
    bool gone = stream && stream->row.state == STREAM_SOFT_DELETED;
    bool expired = stream && stream_expired(stream, now_ms) && !stream->watcher_count;
    if (stream && !gone && !expired)
        return stream;
    if (expired)
        stream_list_may_end(streams, stream);
    *error = gone || (expired && stream_held(streams, stream)) ? ERR_STREAM_GONE : ERR_STREAM_NOT_FOUND;
    return NULL;
}

/* ---- what the journal adds ---- */

static struct producer *stream_find_producer(struct stream *stream, struct slice id)
{
    for (size_t i = 0; i < stream->producer_count; i++)
        if (slice_equal(slice_of(stream->producers[i].id, stream->producers[i].id_len), id))
            return &stream->producers[i];
    return NULL;
}

/* Writes what is newer than the store and forgets them all. On recovery the log then only says it again. */
static void stream_forget_producers(struct streams *streams, struct stream *stream)
{
    for (size_t i = 0; i < stream->producer_count; i++) {
        struct producer *p = &stream->producers[i];
        if (p->dirty) {
            store_begin(streams->store);
            (void)stream_write(streams, stream);
            store_producer_put(streams->store, stream->row.uid, slice_of(p->id, p->id_len), p->epoch, p->seq);
        }
        free(p->id);
    }
    free(stream->producers);
    stream->producers = NULL;
    stream->producer_count = 0;
}

static struct producer *stream_keep_producer(struct streams *streams, struct stream *stream, struct slice id)
{
    struct producer *p = stream_find_producer(stream, id);
    if (p)
        return p;
    /* A recovery writes nothing of a stream that the log may yet delete. */
    if (stream->producer_count >= PRODUCERS_KEPT && !(streams->recovering && stream->unflushed))
        stream_forget_producers(streams, stream);
    stream->producers = xrealloc(stream->producers, (stream->producer_count + 1) * sizeof *p);
    p = &stream->producers[stream->producer_count++];
    *p = (struct producer){.id = xslicedup(id), .id_len = id.len};
    return p;
}

bool stream_producer(struct streams *streams, struct stream *stream, struct slice id, uint64_t *epoch, uint64_t *seq)
{
    struct producer *p = stream_find_producer(stream, id);
    if (!p) {
        if (!store_producer(streams->store, stream->row.uid, id, epoch, seq))
            return false;
        p = stream_keep_producer(streams, stream, id);
        p->epoch = *epoch;
        p->seq = *seq;
    }
    *epoch = p->epoch;
    *seq = p->seq;
    return true;
}

static void stream_flush_list_add(struct stream_list *list, struct stream *stream)
{
    if (stream->flush_list)
        return;
    stream->flush_list = list;
    stream->flush_prev = list->last;
    stream->flush_next = NULL;
    *(list->last ? &list->last->flush_next : &list->first) = stream;
    list->last = stream;
}

static void stream_add_pending(struct streams *streams, struct stream *stream, const struct journal_entry *entry)
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
    streams->journal_bytes += stream_weight(&stream->pending[stream->pending_count - 1]);
    stream_flush_list_add(streams->waiting, stream);
}

struct extent pending_extent(const struct pending *p)
{
    const char *at = p->batch->data.data + p->at;
    return (struct extent){
        .start = p->start,
        .count = p->count,
        .time_ms = p->batch->time_ms,
        .boundaries = slice_of(at, p->boundaries),
        .data = slice_of(at + p->boundaries, p->bytes),
    };
}

void stream_apply(struct streams *streams, struct stream *stream, const struct journal_entry *entry)
{
    stream_add_pending(streams, stream, entry);
    stream->tail = entry->start + entry->count;
    stream->bytes += entry->data.len;
    usage_add(&streams->usages, stream->usage, 0, (int64_t)entry->data.len);
    if (entry->flags & ENTRY_STREAM_SEQ) {
        stream_disown(&stream->row.stream_seq);
        stream->row.stream_seq = stream_own(entry->stream_seq);
        stream->row.has_stream_seq = true;
    }
    if (entry->flags & ENTRY_PRODUCER) {
        struct producer *p = stream_keep_producer(streams, stream, entry->producer);
        p->epoch = entry->epoch;
        p->seq = entry->producer_seq;
        p->dirty = true;
    }
    if (entry->flags & ENTRY_CLOSES) {
        stream->row.closed = true;
        stream_disown(&stream->row.closer);
        stream->row.closer = stream_own(entry->producer);
        stream->row.closer_epoch = entry->epoch;
        stream->row.closer_seq = entry->producer_seq;
    }
}

/* NULL: the store has its row, and what came of it since. */
static struct stream *stream_recover_creation(struct streams *streams, const struct journal_entry *entry)
{
    struct stream_row there;
    struct stream_row row = {
        .uid = entry->uid,
        .name = entry->name,
        .content_type = entry->content_type,
        .ttl_s = entry->ttl_s,
        .expires_ms = entry->expires_ms,
        .expires_text = entry->expires_text,
        .accessed_ms = entry->time_ms,
        .source_uid = STORE_NONE,
        .is_public = (entry->flags & ENTRY_PUBLIC) != 0,
        .retention_s = entry->retention_s,
        .retention_bytes = entry->retention_bytes,
        .retain_ms = STORE_NONE,
    };
    if (entry->reader_key.len == READER_KEY_DIGITS)
        memcpy(row.reader_key, entry->reader_key.data, READER_KEY_DIGITS);
    store_uid_given(streams->store, entry->uid);
    if (store_stream_by_uid(streams->store, entry->uid, &there))
        return NULL;
    struct stream *stream = streams_add_new(streams, &row);
    stream_set_unflushed(streams, stream);
    return stream;
}

static void stream_recover_entry(void *ctx, const struct journal_entry *entry)
{
    struct streams *streams = ctx;
    struct stream *stream = streams_by_uid(streams, entry->uid);
    if (entry->flags & ENTRY_DELETES) {
        if (stream) /* it came back with its creation, and goes again */
            streams_deleting(streams, stream);
        return;
    }
    if (!stream && (entry->flags & ENTRY_CREATES))
        stream = stream_recover_creation(streams, entry);
    if (!stream || entry->start < stream->row.flushed)
        return; /* deleted since, or settled already */
    stream_apply(streams, stream, entry);
    if (entry->time_ms > stream->row.accessed_ms)
        stream->row.accessed_ms = entry->time_ms;
    if (stream->row.accessed_ms > streams->recovered_ms)
        stream->row.accessed_ms = streams->recovered_ms; /* the clock was ahead */
}

void streams_recover(struct streams *streams, uint64_t now_ms)
{
    streams->recovering = true;
    streams->recovered_ms = now_ms;
    journal_recover(streams->store, stream_recover_entry, streams);
    streams->recovering = false;
}

void stream_set_unflushed(struct streams *streams, struct stream *stream)
{
    stream->unflushed = true;
    unflushed_add(&streams->unflushed, stream);
}

bool stream_write(struct streams *streams, struct stream *stream)
{
    if (!stream->unflushed)
        return false;
    stream->unflushed = false;
    unflushed_remove(&streams->unflushed, stream);
    store_stream_insert(streams->store, &stream->row);
    return true;
}

static int stream_by_uid(const void *a, const void *b)
{
    const struct stream *x = *(struct stream *const *)a, *y = *(struct stream *const *)b;
    return x->row.uid < y->row.uid ? -1 : x->row.uid > y->row.uid;
}

/* In the order of the store's tables, so that what is written together lies together. */
static void stream_sort(struct stream_list *list)
{
    struct buf all = {0};
    for (struct stream *s = list->first; s; s = s->flush_next)
        buf_add(&all, &s, sizeof s);
    size_t count = buf_len(&all) / sizeof(struct stream *);
    struct stream **streams = (struct stream **)(void *)all.data;
    if (!count)
        return;
    qsort(streams, count, sizeof *streams, stream_by_uid);
    for (size_t i = 0; i < count; i++) {
        streams[i]->flush_prev = i ? streams[i - 1] : NULL;
        streams[i]->flush_next = i + 1 < count ? streams[i + 1] : NULL;
    }
    list->first = streams[0];
    list->last = streams[count - 1];
    buf_clear(&all);
}

void streams_begin_generation(struct streams *streams)
{
    struct stream_list *all = streams->waiting;
    stream_sort(all);
    assert(!streams->flushing->first);
    streams->waiting = streams->flushing;
    streams->flushing = all;
}

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
    if (cfg->segment_store == SEGMENT_STORE_NONE || (row->kind & STREAM_KIND_OWNED) || !row->hot_messages)
        return false;
    return row->hot_messages >= cfg->segment_max_messages || row->hot_bytes >= stream_segment_bytes(streams, stream) ||
           stream->aged || (row->closed && !stream->pending_count);
}

static void stream_set_due(struct streams *streams, struct stream *stream, bool due)
{
    if (due && !stream->row.due) {
        streams->backlog += stream->row.hot_bytes;
        streams->due_any = true;
    }
    if (!due && stream->row.due)
        streams->backlog -= stream->row.hot_bytes;
    stream->row.due = due;
}

void stream_cooled(struct streams *streams, struct stream *stream, uint64_t upto, uint64_t bytes, uint64_t messages)
{
    stream->row.cold = upto;
    stream->row.hot_bytes -= bytes;
    stream->row.hot_messages -= messages;
    stream->aged = false;
    streams->backlog -= bytes;
    store_stream_set_cold(streams->store, &stream->row);
}

void stream_cold_dropped(struct streams *streams, struct stream *stream)
{
    stream_set_due(streams, stream, stream_is_due(streams, stream));
    store_stream_set_cold(streams->store, &stream->row);
}

void stream_not_due(struct streams *streams, struct stream *stream)
{
    stream_set_due(streams, stream, false);
    store_begin(streams->store);
    store_stream_set_cold(streams->store, &stream->row);
}

void stream_age(struct streams *streams, struct stream *stream)
{
    stream->aged = true;
    if (stream->row.due || !stream_is_due(streams, stream))
        return;
    stream_set_due(streams, stream, true);
    store_stream_set_cold(streams->store, &stream->row);
}

void stream_let_go(struct streams *streams, struct stream *stream, uint64_t earliest, uint64_t bytes)
{
    stream->row.earliest = earliest;
    stream->row.bytes -= bytes;
    stream->bytes -= bytes;
    usage_add(&streams->usages, stream->usage, 0, -(int64_t)bytes);
}

static uint64_t stream_message_count(const struct pending *p, bool json)
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

static void stream_heat(struct streams *streams, struct stream *stream, const struct pending *p)
{
    stream->row.bytes += p->bytes;
    stream->row.hot_bytes += p->bytes;
    stream->row.hot_messages += stream_message_count(p, stream->json);
    if (stream->row.due)
        streams->backlog += p->bytes;
}

void stream_flushed(struct streams *streams, struct stream *stream, size_t count, int64_t upto)
{
    const struct pending *last = &stream->pending[count - 1];
    uint64_t time_ms = last->batch->time_ms;
    stream->row.flushed = last->start + last->count;
    for (size_t i = 0; i < count; i++)
        stream_heat(streams, stream, &stream->pending[i]);
    stream_forget_producers(streams, stream);
    stream_forget_pending(streams, stream, count);
    if (!stream->row.due)
        stream_set_due(streams, stream, stream_is_due(streams, stream));
    uint64_t retain_ms = time_ms + stream->row.retention_s * 1000;
    if (stream->row.retention_s && (stream->row.retain_ms == STORE_NONE || stream->row.retain_ms > retain_ms))
        stream->row.retain_ms = retain_ms; /* if it was there, the clock was ahead */
    if (!stream->pending_count && stream->pending_cap > PENDING_KEPT) {
        free(stream->pending);
        stream->pending = NULL;
        stream->pending_cap = 0;
    }
    if (!stream->pending_count || stream->pending[0].batch->seq > upto)
        stream_flush_list_remove(stream); /* nothing of this generation is left */
    if (stream->pending_count)
        stream_flush_list_add(streams->waiting, stream);
    if (!stream_write(streams, stream))
        store_stream_update(streams->store, &stream->row);
    feeds_flushed(streams, stream);
}

void stream_set_expiry_text(struct stream *stream, struct slice text)
{
    stream_disown(&stream->row.expires_text);
    stream->row.expires_text = stream_own(text);
}

void stream_touch(struct streams *streams, struct stream *stream, uint64_t now_ms)
{
    if (stream->row.ttl_s == STORE_NONE || stream->row.accessed_ms == now_ms)
        return;
    stream->row.accessed_ms = now_ms;
    if (stream->touched)
        return;
    stream->touched = true;
    stream->touched_next = streams->touched_first;
    streams->touched_first = stream;
}
