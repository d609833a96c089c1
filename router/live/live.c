/* The streams that are watched. One entry stands between a stream's shard and all its readers here.
 *
 *                     READ (with the entry's watch)                       answer that says WATCHING
 *     nobody watches ───────────────────────────► a live read is under way ─────────────────────► watching
 *           ▲                                                                                      │   │
 *           │ UNWATCH: no reader is at the tail, and no live read is under way                     │   │
 *           └──────────────────────────────────────────────────────────────────────────────────────┘   │
 *                            the shard is gone, an event was too large, an event is missing            ▼
 *                            resuming: the entry itself reads on from its position ◄────────────── not sure
 *
 * Happy path: an append becomes one EVENT of the shard to each router that watches. live_event() finds the entry by its
 * watch, checks that the event begins at the entry's position, and passes it to every reader at the tail; the first one
 * renders it, the others send the same block. Order comes from the link: READs and events of a shard travel on one, so
 * an answer that says WATCHING leaves its reader exactly where the next event begins.
 *
 * Failure modes:
 *   - An event does not begin at the position, or says MOVED (it was too large): the entry reads on by itself. Readers
 *     with much queued are spared: they go on at their own pace.
 *   - The shard dies: nothing is watched. When it is up again, entries with readers at the tail read on; the answer
 * says WATCHING again. Nothing is lost or sent twice, since position is what both sides agree on.
 *   - The stream was deleted and made again meanwhile (another uid): its readers end with 410.
 *   - A READ is given up whose answer may still make the shard watch: the entry is `doubtful`, and an UNWATCH is sent
 * as if it were watching.
 *   - Writers (incremental appends) watch as readers do, but have no position. The answer to a READ at the tail tells
 *     them how the stream is, and events tell them that it was closed or deleted; their own data comes back as events
 *     too, which nobody uses.
 *   - A reader that ends inside a step takes its entry along if it was the last one: `held` keeps it for the step. */
#include "router/live/live.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "router/live/reader_state.h"
#include "router/observe/stats.h"
#include "router/observe/timing.h"
#include "router/router.h"

#define LOOKS 1u /* of a shard request: the answer is for writers, and has no data */

static struct entry *live_owner(const struct table_node *node)
{
    return TABLE_OWNER(node, struct entry, node);
}

static struct slice live_key(const struct table_node *node)
{
    const struct entry *e = live_owner(node);
    return slice_of(e->name, e->name_len);
}

void live_init(struct live *live, struct router *router, const struct live_ops *ops)
{
    *live = (struct live){.router = router, .ops = ops};
    table_init(&live->entries, live_key);
}

/* ---- entries ---- */

/* A watch is a slot and a number that is never used again: an event for an entry that is gone finds none. */
static void live_give_watch(struct live *live, struct entry *e)
{
    uint32_t slot;
    if (live->free_count) {
        slot = live->free_slots[--live->free_count];
    } else {
        slot = (uint32_t)live->slot_count++;
        live->slots = xrealloc(live->slots, live->slot_count * sizeof(struct entry *));
        live->free_slots = xrealloc(live->free_slots, live->slot_count * sizeof *live->free_slots);
    }
    live->slots[slot] = e;
    e->watch = ++live->serial << 32 | slot;
}

static struct entry *live_entry_by_watch(const struct live *live, uint64_t watch)
{
    uint32_t slot = (uint32_t)watch;
    struct entry *e = slot < live->slot_count ? live->slots[slot] : NULL;
    return e && e->watch == watch ? e : NULL;
}

size_t live_readers(const struct live *live, struct slice name)
{
    const struct table_node *node = table_find(&live->entries, name);
    return node ? live_owner(node)->users - list_count(&live_owner(node)->writers) : 0;
}

struct entry *live_entry(struct live *live, struct slice name)
{
    struct table_node *node = table_find(&live->entries, name);
    if (node) {
        live_owner(node)->users++;
        return live_owner(node);
    }
    struct entry *e = xcalloc(1, sizeof *e);
    e->users = 1;
    e->live = live;
    e->name = xslicedup(name);
    e->name_len = name.len;
    e->shard = shards_of(&live->router->shards, name);
    list_init(&e->readers);
    list_init(&e->writers);
    table_add(&live->entries, &e->node);
    live_give_watch(live, e);
    return e;
}

static void live_entry_free(struct entry *e)
{
    struct live *live = e->live;
    table_remove(&live->entries, &e->node);
    live->slots[(uint32_t)e->watch] = NULL;
    live->free_slots[live->free_count++] = (uint32_t)e->watch;
    free(e->name);
    free((char *)e->content_type.data);
    free((char *)e->expires_text.data);
    free((char *)e->lives.data);
    free(e);
}

/* Whether a reader is at the tail. */
static bool live_any(const struct entry *e)
{
    return !list_empty(&e->readers);
}

/* Ends the watch if no reader is at the tail and nobody writes, and the entry if none is left. With a live read under
 * way the watch stays: an UNWATCH would cross its answer. */
static void live_flush(struct entry *e)
{
    if (e->held || e->reads || live_any(e) || !list_empty(&e->writers))
        return;
    if (e->watching || e->doubtful)
        shards_unwatch(&e->live->router->shards, e->shard, slice_of(e->name, e->name_len), e->watch);
    e->watching = e->doubtful = false;
    if (!e->users)
        live_entry_free(e);
}

void live_release(struct entry *e)
{
    e->users--;
    live_flush(e);
}

/* ---- readers at the tail ---- */

static bool live_same_kept(const struct sse_kept *a, const struct sse_kept *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

bool live_join(struct entry *e, struct reader *reader, uint64_t position)
{
    if (live_any(e) && e->position != position)
        return false;
    if (!live_any(e)) {
        e->cursor = 0;
        e->kept = reader->kept;
    }
    reader->apart = reader->sse && !live_same_kept(&e->kept, &reader->kept);
    e->position = position;
    if (reader->cursor > e->cursor)
        e->cursor = reader->cursor;
    list_add_last(&e->readers, &reader->link);
    return true;
}

void live_leave(struct reader *reader)
{
    list_remove(&reader->link);
}

/* A reader that ends leaves the list, and only that one. */
static void live_end_all(struct entry *e, const struct answer *answer)
{
    LIST_EACH_SAFE(link, after, &e->readers)
    {
        e->live->ops->gone(LIST_OWNER(link, struct reader, link), answer);
    }
}

/* Brings data to all readers at the position, and the position forward. */
static void live_deliver(struct entry *e, const struct wire_stream *stream)
{
    struct wire_stream text = *stream;
    struct delivery delivery = {.entry = e, .stream = stream, .text = &text};
    live_keep(e, &e->kept, &text);
    e->position = stream->next;
    LIST_EACH_SAFE(link, after, &e->readers)
    {
        e->live->ops->deliver(LIST_OWNER(link, struct reader, link), &delivery);
    }
    block_unref(delivery.event.block);
    block_unref(delivery.body);
}

/* ---- reading ---- */

static void live_answered(struct shard_request *q, const struct answer *answer);

struct shard_request *live_read(struct entry *e, struct request *req, struct wire_read read)
{
    struct shards *shards = &e->live->router->shards;
    if (req && answer_memory_full(e->live->router))
        return NULL;
    struct shard_request *q = shard_request_new(shards, e->shard, live_answered, e);
    q->request = req;
    q->always = true; /* the entry counts its reads */
    q->repeatable = true;
    q->is_read = true;
    q->patient = req == NULL;
    read.id = q->id;
    read.name = slice_of(e->name, e->name_len);
    read.watch = e->watch;
    wire_put_read(&q->frame, &read);
    if (req)
        timing_mark(req, TIMING_SENT);
    if (!shard_request_send(shards, q))
        return NULL;
    e->reads++;
    return q;
}

/* Reads on for all readers at the position. Those with much queued are spared: they go on at their own pace. */
static void live_resume(struct entry *e)
{
    if (e->resuming)
        return;
    LIST_EACH_SAFE(link, after, &e->readers)
    {
        e->live->ops->spare(LIST_OWNER(link, struct reader, link));
    }
    if (!live_any(e))
        return;
    e->resuming = live_read(e, NULL,
                            (struct wire_read){.flags = WIRE_READ_CUT,
                                               .position = e->position,
                                               .uid = e->facts.uid,
                                               .max_bytes = e->live->router->cfg->limits_sse_event}) != NULL;
}

/* ---- writers ---- */

/* The answer says how the stream is, and makes the shard watch it if it is open. */
static void live_look(struct entry *e)
{
    const struct wire_read read = {.flags = WIRE_READ_NOW | WIRE_READ_CUT, .max_bytes = 1};
    struct shard_request *q = live_read(e, NULL, read);
    if (q)
        q->flags = LOOKS;
}

/* stream: NULL if it is gone. One that was made after a writer has begun is another stream. */
static void live_tell_writers(struct entry *e, enum error error, const struct wire_stream *stream)
{
    LIST_EACH_SAFE(link, after, &e->writers)
    {
        struct live_writer *writer = LIST_OWNER(link, struct live_writer, link);
        bool other = stream && writer->uid && writer->uid != stream->uid;
        if (stream)
            writer->uid = stream->uid;
        writer->told(writer, other ? ERR_STREAM_NOT_FOUND : error, stream);
    }
}

static void live_writers_answered(struct entry *e, const struct answer *answer)
{
    if (answer->error == ERR_NONE)
        live_tell_writers(e, ERR_NONE, answer_stream(answer));
    else if (answer->error == ERR_STREAM_NOT_FOUND || answer->error == ERR_STREAM_GONE)
        live_tell_writers(e, answer->error, NULL);
}

void live_writer_join(struct live *live, struct slice name, struct live_writer *writer)
{
    writer->entry = live_entry(live, name);
    writer->uid = 0;
    list_add_last(&writer->entry->writers, &writer->link);
    live_look(writer->entry);
}

void live_writer_leave(struct live_writer *writer)
{
    list_remove(&writer->link);
    live_release(writer->entry);
}

static void live_own(struct slice *own, struct slice *fact)
{
    if (!slice_equal(*own, *fact)) {
        free((char *)own->data);
        *own = slice_of(xslicedup(*fact), fact->len);
    }
    *fact = *own;
}

static void live_learn(struct entry *e, const struct wire_stream *stream)
{
    if (live_any(e) && stream->uid != e->facts.uid) /* it was deleted and made again while its shard was away */
        live_end_all(e, &(struct answer){.type = WIRE_STREAM, .error = ERR_STREAM_RECREATED, .stream = stream});
    uint64_t time_ms = stream->data.len ? stream->time_ms : e->facts.time_ms;
    e->facts = *stream;
    e->facts.time_ms = time_ms;
    e->facts.remaining_ms = UINT64_MAX;
    e->facts.data = (struct slice){0};
    live_own(&e->content_type, &e->facts.content_type);
    live_own(&e->expires_text, &e->facts.expires_text);
    live_own(&e->lives, &e->facts.lives);
    if (stream->flags & WIRE_STREAM_WATCHING)
        e->watching = true;
}

void live_keep(const struct entry *e, struct sse_kept *kept, struct wire_stream *stream)
{
    struct live *live = e->live;
    if (sse_kind_of(stream->content_type, stream->flags & WIRE_STREAM_JSON) != SSE_TEXT)
        return;
    if (kept->len) {
        if (live->text.cap > ((size_t)1 << 20))
            buf_clear(&live->text);
        buf_reset(&live->text);
        buf_add(&live->text, kept->bytes, kept->len);
        buf_add_slice(&live->text, stream->data);
        stream->data = buf_slice(&live->text);
        stream->start -= kept->len;
        if (stream->time_ms < e->facts.time_ms)
            stream->time_ms = e->facts.time_ms; /* if nothing else came */
    }
    bool ends = (stream->flags & WIRE_STREAM_CLOSED) && stream->next == stream->tail;
    size_t len = ends ? stream->data.len : sse_text_cut(stream->data);
    kept->len = (unsigned char)(stream->data.len - len);
    if (kept->len)
        memcpy(kept->bytes, slice_from(stream->data, len).data, kept->len);
    stream->next -= kept->len;
    stream->data.len = len;
}

/* The entry's own read. */
static void live_resumed(struct entry *e, const struct answer *answer)
{
    e->resuming = false;
    if (!live_any(e))
        return;
    if (answer->error != ERR_NONE) {
        live_end_all(e, answer);
        return;
    }
    struct wire_stream stream = *answer_stream(answer);
    if (stream.start != e->position) {
        live_resume(e); /* those it was for have left, and others have come */
        return;
    }
    if (stream.data.len || ((stream.flags & WIRE_STREAM_CLOSED) && stream.next == stream.tail))
        live_deliver(e, &stream);
    if (live_any(e) && !(stream.flags & WIRE_STREAM_WATCHING))
        live_resume(e);
}

static void live_answered(struct shard_request *q, const struct answer *answer)
{
    struct entry *e = q->owner;
    e->held++;
    e->reads--;
    if (answer->error == ERR_NONE)
        live_learn(e, answer_stream(answer));
    else if (!answer_stream(answer))
        e->doubtful = true;
    live_writers_answered(e, answer);
    if (q->request) {
        timing_of_shard(q->request, q);
        e->live->ops->answered(q->request->job, answer);
    } else if (q->patient && q->flags != LOOKS) {
        live_resumed(e, answer);
    }
    e->held--;
    live_flush(e);
}

/* ---- events ---- */

void live_event(struct live *live, const struct wire_event *event)
{
    struct entry *e = live_entry_by_watch(live, event->watch);
    if (!e)
        return;
    e->held++;
    if (event->flags & WIRE_EVENT_CLOSED)
        live_tell_writers(e, ERR_NONE,
                          &(struct wire_stream){.uid = e->facts.uid,
                                                .flags = WIRE_STREAM_CLOSED,
                                                .next = event->next,
                                                .tail = event->next,
                                                .lives = e->facts.lives});
    if (event->flags & WIRE_EVENT_DELETED) {
        e->watching = false;
        live_tell_writers(e, ERR_STREAM_NOT_FOUND, NULL);
        live_end_all(e, &(struct answer){.error = ERR_STREAM_NOT_FOUND});
    } else if (!live_any(e) || e->resuming) {
        /* Nobody needs it, or it is part of what is being read. */
    } else if ((event->flags & WIRE_EVENT_MOVED) || event->from != e->position) {
        live_resume(e);
    } else {
        struct wire_stream stream = e->facts;
        stream.flags &= ~WIRE_STREAM_CLOSED;
        if (event->flags & WIRE_EVENT_CLOSED)
            stream.flags |= WIRE_STREAM_CLOSED;
        stream.start = event->from;
        stream.next = stream.tail = event->next;
        if (event->data.len)
            e->facts.time_ms = event->time_ms;
        stream.time_ms = e->facts.time_ms;
        stream.data = event->data;
        stats_event(live->router, event->time_ms);
        live_deliver(e, &stream);
    }
    e->held--;
    live_flush(e);
}

/* ---- shards ---- */

void live_shard_down(struct live *live, unsigned shard)
{
    for (size_t i = 0; i < live->slot_count; i++)
        if (live->slots[i] && live->slots[i]->shard == shard)
            live->slots[i]->watching = live->slots[i]->doubtful = false;
}

void live_shard_up(struct live *live, unsigned shard)
{
    for (size_t i = 0; i < live->slot_count; i++) {
        struct entry *e = live->slots[i];
        if (!e || e->shard != shard || (!live_any(e) && list_empty(&e->writers)))
            continue;
        e->held++;
        if (!list_empty(&e->writers))
            live_look(e);
        live_resume(e);
        e->held--;
        live_flush(e);
    }
}
