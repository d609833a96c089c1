#include "shard/read.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "shard/answer.h"
#include "shard/page.h"
#include "shard/verbs.h"
#include "shard/watch.h"

#define REMOTE_READS_MAX 4096

/* A read under way. It fills its page extent by extent: the bytes inherited from each source, then the stream's own. */
struct reading {
    struct asker asker;
    uint64_t uid;
    uint64_t start;
    uint64_t watch; /* 0: not live */
    bool wait;
    struct page page;
};

/* A reading that waits for bytes from another shard. */
struct remote_read {
    struct remote_read *next;
    struct reading reading;
    char *name;
    size_t name_len;
    uint64_t id;
    unsigned owner;
    uint64_t from_uid, to; /* what is fetched: bytes of from_uid up to `to` */
    uint64_t deadline_ms;
};

enum progress { READING_DONE, READING_REMOTE, READING_BROKEN };

/* Reads on until the page is full, the tail is reached, or *extent lies in another shard. */
static enum progress advance(struct shard *shard, struct reading *reading, const struct stream *stream,
                             const struct extent **extent)
{
    struct page *page = &reading->page;
    while (!page->full && page->next < stream->tail) {
        *extent = lineage_find(&stream->lineage, page->next);
        if (!*extent) {
            if (!page_read(page, &shard->streams, stream, stream->tail))
                return READING_BROKEN;
            continue;
        }
        if (shard_owner_of_uid(shard, (*extent)->uid) != shard->index)
            return READING_REMOTE;
        const struct stream *source = streams_by_uid(&shard->streams, (*extent)->uid);
        if (!source || (*extent)->end > source->tail || !page_read(page, &shard->streams, source, (*extent)->end))
            return READING_BROKEN;
    }
    return READING_DONE;
}

static void finish(struct shard *shard, struct reading *reading, struct stream *stream)
{
    struct wire_stream answer = answer_stream(shard, stream, reading->asker.id);
    bool at_tail = reading->page.next == stream->tail;
    bool empty = buf_len(&reading->page.data) == 0;
    answer.start = reading->start;
    answer.next = reading->page.next;
    answer.time_ms = reading->page.time_ms;
    answer.data = buf_slice(&reading->page.data);
    watch_tell(shard, stream); /* what was appended before this answer is not told after it */
    if (reading->watch && at_tail && !stream->row.closed && (empty || !reading->wait)) {
        watch_add(shard, stream, reading->asker, reading->watch);
        answer.flags |= WIRE_STREAM_WATCHING;
    }
    answer_send(shard, reading->asker, &answer);
    buf_clear(&reading->page.data);
}

static void fail(struct shard *shard, struct reading *reading, enum error error)
{
    answer_error(shard, reading->asker, error);
    buf_clear(&reading->page.data);
}

/* ---- bytes from other shards ---- */

static void ask_owner(struct shard *shard, const struct remote_read *remote)
{
    const struct page *page = &remote->reading.page;
    struct buf *out = shard_out(shard, remote->owner);
    if (!out)
        return; /* asked again when it is up */
    struct wire_fetch fetch = {
        .id = remote->id,
        .uid = remote->from_uid,
        .from = page->next,
        .to = remote->to,
        .max_bytes = page->max_bytes - buf_len(&page->data),
        .max_messages = page->max_messages ? page->max_messages - page->count : 0,
        .cut = page->cut,
    };
    wire_put_fetch(out, &fetch);
}

static void aim(struct shard *shard, struct remote_read *remote, const struct extent *extent)
{
    remote->id = ++shard->last_id;
    remote->owner = shard_owner_of_uid(shard, extent->uid);
    remote->from_uid = extent->uid;
    remote->to = extent->end;
    ask_owner(shard, remote);
}

static void go_remote(struct shard *shard, struct reading *reading, const struct stream *stream,
                      const struct extent *extent)
{
    if (shard->remote_reads_count >= REMOTE_READS_MAX) {
        fail(shard, reading, ERR_OVERLOADED);
        return;
    }
    struct remote_read *remote = xcalloc(1, sizeof *remote);
    remote->reading = *reading; /* takes the page's buffer */
    remote->name = xslicedup(stream->row.name);
    remote->name_len = stream->row.name.len;
    remote->deadline_ms = shard->now_ms + shard->cfg->router_shard_wait;
    remote->next = shard->remote_reads;
    shard->remote_reads = remote;
    shard->remote_reads_count++;
    aim(shard, remote, extent);
}

static void remote_free(struct shard *shard, struct remote_read *remote)
{
    struct remote_read **at = &shard->remote_reads;
    while (*at != remote)
        at = &(*at)->next;
    *at = remote->next;
    shard->remote_reads_count--;
    free(remote->name);
    free(remote);
}

/* Goes on with a reading whose page has grown. The stream may have ended meanwhile. */
static void resume(struct shard *shard, struct remote_read *remote)
{
    struct reading *reading = &remote->reading;
    const struct extent *extent = NULL;
    enum error error = ERR_STREAM_NOT_FOUND;
    struct stream *stream = shard_stream(shard, slice_of(remote->name, remote->name_len), &error);
    if (!stream || stream->row.uid != reading->uid) {
        fail(shard, reading, error);
        remote_free(shard, remote);
        return;
    }
    switch (advance(shard, reading, stream, &extent)) {
    case READING_REMOTE:
        aim(shard, remote, extent);
        return;
    case READING_DONE:
        finish(shard, reading, stream);
        break;
    case READING_BROKEN:
        fail(shard, reading, ERR_INTERNAL);
        break;
    }
    remote_free(shard, remote);
}

void handle_fetched(struct shard *shard, unsigned from, const struct wire_fetched *m)
{
    struct remote_read *remote = shard->remote_reads;
    while (remote && remote->id != m->id)
        remote = remote->next;
    if (!remote || remote->owner != from)
        return; /* given up since */
    struct page *page = &remote->reading.page;
    if (m->error != ERR_NONE || m->next <= page->next) {
        log_error("shard %u has no bytes of stream %llu at %llu", from, (unsigned long long)remote->from_uid,
                  (unsigned long long)page->next);
        fail(shard, &remote->reading, ERR_INTERNAL);
        remote_free(shard, remote);
        return;
    }
    buf_add_slice(&page->data, m->data);
    page->next = m->next;
    page->count += m->count;
    page->time_ms = m->time_ms;
    page->full = buf_len(&page->data) >= page->max_bytes || (page->max_messages && page->count >= page->max_messages) ||
                 m->next < remote->to;
    resume(shard, remote);
}

void handle_fetch(struct shard *shard, unsigned from, const struct wire_fetch *m)
{
    struct wire_fetched answer = {.id = m->id, .error = ERR_STREAM_NOT_FOUND};
    struct page page = {.next = m->from, .max_bytes = m->max_bytes, .max_messages = m->max_messages, .cut = m->cut};
    struct buf *out = shard_out(shard, from);
    const struct stream *stream = streams_by_uid(&shard->streams, m->uid);
    if (stream && m->from >= stream->row.base && m->to <= stream->tail &&
        page_read(&page, &shard->streams, stream, m->to)) {
        answer = (struct wire_fetched){.id = m->id,
                                       .next = page.next,
                                       .count = page.count,
                                       .time_ms = page.time_ms,
                                       .data = buf_slice(&page.data)};
    }
    if (out)
        wire_put_fetched(out, &answer);
    buf_clear(&page.data);
}

void read_shard_up(struct shard *shard, unsigned index)
{
    for (struct remote_read *remote = shard->remote_reads; remote; remote = remote->next)
        if (remote->owner == index)
            ask_owner(shard, remote);
}

void read_tick(struct shard *shard)
{
    for (struct remote_read *remote = shard->remote_reads, *next; remote; remote = next) {
        next = remote->next;
        if (remote->deadline_ms > shard->now_ms)
            continue;
        fail(shard, &remote->reading, ERR_SHARD_UNAVAILABLE);
        remote_free(shard, remote);
    }
}

void read_clear(struct shard *shard)
{
    while (shard->remote_reads) {
        buf_clear(&shard->remote_reads->reading.page.data);
        remote_free(shard, shard->remote_reads);
    }
}

/* ---- the verbs ---- */

void handle_read(struct shard *shard, struct asker asker, const struct wire_read *m)
{
    enum error error = ERR_NONE;
    const struct extent *extent = NULL;
    struct stream *stream = shard_stream(shard, m->name, &error);
    uint64_t position = stream && (m->flags & WIRE_READ_NOW) ? stream->tail : m->position;
    if (stream && position > stream->tail)
        error = ERR_OFFSET_BEYOND_TAIL;
    if (error != ERR_NONE) {
        answer_error(shard, asker, error);
        return;
    }
    stream_touch(&shard->streams, stream, shard->now_ms);
    struct reading reading = {
        .asker = asker,
        .uid = stream->row.uid,
        .start = position,
        .watch = m->watch,
        .wait = (m->flags & WIRE_READ_WAIT) != 0,
        .page = {.next = position,
                 .max_bytes = m->max_bytes,
                 .max_messages = m->max_messages,
                 .cut = (m->flags & WIRE_READ_CUT) != 0},
    };
    switch (advance(shard, &reading, stream, &extent)) {
    case READING_DONE:
        finish(shard, &reading, stream);
        return;
    case READING_REMOTE:
        go_remote(shard, &reading, stream, extent);
        return;
    case READING_BROKEN:
        fail(shard, &reading, ERR_INTERNAL);
        return;
    }
}

void handle_head(struct shard *shard, struct asker asker, const struct wire_head *m)
{
    enum error error = ERR_NONE;
    struct stream *stream = shard_stream(shard, m->name, &error);
    if (!stream) {
        answer_error(shard, asker, error);
        return;
    }
    struct wire_stream answer = answer_stream(shard, stream, m->id);
    answer_send(shard, asker, &answer);
}
