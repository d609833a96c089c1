#include "shard/handlers/read.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "shard/peers/handlers.h"
#include "shard/shard.h"
#include "shard/streams/reply.h"
#include "shard/segments/fetch.h"
#include "shard/streams/page.h"
#include "shard/streams/watch.h"
#include "shard/store/store.h"
#include "shard/store/store_stream.h"

#define REMOTE_READS_MAX 4096
/* Read from the store in one turn before other catch-up reads wait for the next: appends do not stand behind readers.
 */
#define TURN_READ_MAX ((size_t)512 << 10)
#define PAGE_FILE_KEPT_MS 30000 /* after its last use */

/* A read under way: what is read, for whom, and how far it is. It fills its page part by part: the bytes inherited
 * from each source, then the stream's own. */
struct reading {
    struct asker asker;
    uint8_t flags;       /* WIRE_READ_* */
    uint64_t position;   /* asked for, unless the flags say NOW or EARLIEST */
    uint64_t watch;      /* 0: not live */
    uint64_t uid, start; /* known from when it begins */
    uint64_t began_us;   /* monotonic */
    struct page page;
};

/* A reading that is suspended before its first byte: this turn has no time for it, or it needs a segment. */
struct suspended_reading {
    struct suspended_reading *next; /* of those that wait for a turn */
    struct fetch_wait wait;
    struct reading reading;
    size_t name_len;
    char name[];
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

static void read_count(const struct shard *shard, const struct reading *reading, unsigned tier, uint64_t bytes)
{
    if (!bytes)
        return;
    metrics_observe_us(shard->metrics, METRIC_READ_US + tier * METRICS_HISTOGRAM,
                       clock_monotonic_us() - reading->began_us);
    metrics_add(shard->metrics, METRIC_READ_BYTES + tier, bytes);
}

/* As page_read(). A page that has bytes and ends where a segment must be fetched is an answer as it is: the segment is
 * fetched for whoever reads on. */
static struct outcome read_page(struct shard *shard, struct page *page, const struct stream *stream, uint64_t upto)
{
    struct outcome outcome = page_read(page, &shard->streams, stream, upto);
    if (outcome.kind != OUTCOME_NEEDS_SEGMENT || !buf_len(&page->data))
        return outcome;
    (void)!fetch_segment(&shard->streams.segments.fetches, &outcome.segment, NULL);
    return outcome_of(ERR_NONE);
}

/* Reads on until the page is full, the tail is reached, a segment must be fetched, or *ancestor lies in another shard.
 */
static struct outcome read_advance(struct shard *shard, struct reading *reading, const struct stream *stream,
                                   const struct ancestor **ancestor)
{
    struct page *page = &reading->page;
    struct outcome outcome = outcome_of(ERR_NONE);
    while (outcome.kind == OUTCOME_DONE && !page->full && page->next < stream->tail) {
        if (page->next < stream->row.earliest)
            return outcome_of(buf_len(&page->data) ? ERR_NONE : ERR_OFFSET_GONE);
        *ancestor = lineage_find(&stream->lineage, page->next);
        if (*ancestor && peers_owner_of_uid(&shard->peers, (*ancestor)->uid) != shard->peers.index)
            return outcome;
        const struct stream *source = *ancestor ? streams_by_uid(&shard->streams, (*ancestor)->uid) : stream;
        uint64_t end = *ancestor ? (*ancestor)->end : stream->tail;
        outcome = source && end <= source->tail ? read_page(shard, page, source, end) : outcome_of(ERR_INTERNAL);
    }
    *ancestor = NULL;
    return outcome;
}

static bool read_wants_file(const struct reading *reading)
{
    return reading->flags & WIRE_READ_FILE;
}

static struct page_key read_key_of(const struct reading *reading)
{
    return (struct page_key){reading->uid, reading->start, reading->page.max_bytes, reading->page.max_messages};
}

/* It is all in segments, is as long as it will ever be, and stays as long as the stream, which does not end by itself.
 */
static bool read_is_cold(const struct reading *reading, const struct stream *stream, uint64_t next)
{
    const struct stream_row *row = &stream->row;
    return reading->start >= row->base && next > reading->start && next <= row->cold && next < stream->tail &&
           !reading->page.broken && !row->retention_s && !row->retention_bytes &&
           stream_row_deadline(row) == STORE_NONE;
}

/* What a page says, whether it was read now or is a file that was kept. */
static struct wire_stream read_describe(struct shard *shard, const struct reading *reading, const struct stream *stream,
                                        uint64_t next, uint64_t time_ms)
{
    struct wire_stream answer = reply_describe(shard, stream, reading->asker.id);
    answer.start = reading->start;
    answer.next = next;
    answer.time_ms = time_ms;
    if (read_is_cold(reading, stream, next))
        answer.flags |= WIRE_STREAM_COLD;
    return answer;
}

static bool read_send_file(struct shard *shard, const struct reading *reading, const struct stream *stream,
                           const struct page_file *file)
{
    struct wire_stream answer = read_describe(shard, reading, stream, file->next, file->time_ms);
    return reply_send_file(shard, reading->asker, &answer, &(struct file_bytes){file->fd, 0, file->bytes});
}

/* Answers with bytes of a segment's file as they are. */
static bool read_answer_in_file(struct shard *shard, const struct reading *reading, const struct stream *stream)
{
    struct page page = reading->page;
    struct file_bytes bytes;
    if (!read_wants_file(reading) || reading->start < stream->row.base || reading->start >= stream->row.cold)
        return false;
    struct outcome outcome = page_in_file(&page, &shard->streams, stream, &bytes);
    if (bytes.bytes < PAGE_FILE_MIN)
        return false;
    if (outcome.kind == OUTCOME_NEEDS_SEGMENT) /* for whoever reads on */
        (void)!fetch_segment(&shard->streams.segments.fetches, &outcome.segment, NULL);
    struct reading done = *reading;
    page.broken = !page.full; /* it ends with the segment */
    done.page = page;
    struct wire_stream answer = read_describe(shard, &done, stream, page.next, page.time_ms);
    read_count(shard, reading, METRIC_TIER_SEGMENT, bytes.bytes);
    return reply_send_file(shard, reading->asker, &answer, &bytes);
}

/* Answers with a file that was kept. */
static bool read_answer_kept(struct shard *shard, const struct reading *reading, const struct stream *stream)
{
    struct page_key key = read_key_of(reading);
    if (!read_wants_file(reading) || reading->start == stream->tail)
        return false;
    const struct page_file *file = page_files_find(&shard->page_files, &key, stream->tail, shard->ticks_ms);
    if (!file || !read_send_file(shard, reading, stream, file))
        return false;
    read_count(shard, reading, METRIC_TIER_CACHE, file->bytes);
    return true;
}

/* Answers with a file that is made now. */
static bool read_answer_as_file(struct shard *shard, const struct reading *reading, const struct stream *stream)
{
    struct page_key key = read_key_of(reading);
    if (!read_wants_file(reading) || reading->page.broken || buf_len(&reading->page.data) < PAGE_FILE_MIN)
        return false;
    const struct page_file *file =
        page_files_add(&shard->page_files, &key, &reading->page, shard->cfg->shard_read_cache, shard->ticks_ms);
    return file && read_send_file(shard, reading, stream, file);
}

static void read_finish(struct shard *shard, struct reading *reading, struct stream *stream)
{
    shard->turn_read += buf_len(&reading->page.data);
    read_count(shard, reading, reading->page.tier, buf_len(&reading->page.data));
    if (read_answer_as_file(shard, reading, stream)) {
        buf_clear(&reading->page.data);
        return;
    }
    struct wire_stream answer = read_describe(shard, reading, stream, reading->page.next, reading->page.time_ms);
    bool at_tail = reading->page.next == stream->tail;
    bool empty = buf_len(&reading->page.data) == 0;
    answer.data = buf_slice(&reading->page.data);
    watch_tell(shard, stream); /* what was appended before this answer is not told after it */
    if (reading->watch && at_tail && !stream->row.closed && (empty || !(reading->flags & WIRE_READ_WAIT))) {
        watch_add(shard, stream, reading->asker, reading->watch);
        answer.flags |= WIRE_STREAM_WATCHING;
    }
    reply_send(shard, reading->asker, &answer);
    buf_clear(&reading->page.data);
}

static void read_fail(struct shard *shard, struct reading *reading, enum error error)
{
    reply_error(shard, reading->asker, error);
    buf_clear(&reading->page.data);
}

/* ---- bytes from other shards ---- */

static void read_ask_owner(struct shard *shard, const struct remote_read *remote)
{
    const struct page *page = &remote->reading.page;
    struct buf *out = peers_out(&shard->peers, remote->owner);
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

static void read_aim(struct shard *shard, struct remote_read *remote, const struct ancestor *ancestor)
{
    remote->id = ++shard->last_id;
    remote->owner = peers_owner_of_uid(&shard->peers, ancestor->uid);
    remote->from_uid = ancestor->uid;
    remote->to = ancestor->end;
    read_ask_owner(shard, remote);
}

static void read_go_remote(struct shard *shard, struct reading *reading, const struct stream *stream,
                           const struct ancestor *ancestor)
{
    if (shard->remote_reads_count >= REMOTE_READS_MAX) {
        read_fail(shard, reading, ERR_OVERLOADED);
        return;
    }
    struct remote_read *remote = xcalloc(1, sizeof *remote);
    remote->reading = *reading; /* takes the page's buffer */
    remote->name = xslicedup(stream->row.name);
    remote->name_len = stream->row.name.len;
    remote->deadline_ms = shard->ticks_ms + shard->cfg->router_shard_wait;
    remote->next = shard->remote_reads;
    shard->remote_reads = remote;
    shard->remote_reads_count++;
    read_aim(shard, remote, ancestor);
}

static void read_remote_free(struct shard *shard, struct remote_read *remote)
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
static void read_resume(struct shard *shard, struct remote_read *remote)
{
    struct reading *reading = &remote->reading;
    const struct ancestor *ancestor = NULL;
    enum error error = ERR_STREAM_NOT_FOUND;
    struct stream *stream =
        streams_live(&shard->streams, slice_of(remote->name, remote->name_len), shard->now_ms, &error);
    if (!stream || stream->row.uid != reading->uid) {
        read_fail(shard, reading, error);
        read_remote_free(shard, remote);
        return;
    }
    struct outcome outcome = read_advance(shard, reading, stream, &ancestor);
    if (ancestor) {
        read_aim(shard, remote, ancestor);
        return;
    }
    if (outcome.kind == OUTCOME_DONE)
        read_finish(shard, reading, stream);
    else
        read_fail(shard, reading, outcome_error(&outcome));
    read_remote_free(shard, remote);
}

void on_fetched(struct shard *shard, unsigned from, const struct wire_fetched *m)
{
    struct remote_read *remote = shard->remote_reads;
    while (remote && remote->id != m->id)
        remote = remote->next;
    if (!remote || remote->owner != from)
        return; /* given up since */
    struct page *page = &remote->reading.page;
    if (m->error != ERR_NONE && buf_len(&page->data)) {
        page->full = true; /* it is met again by whoever reads on */
        read_resume(shard, remote);
        return;
    }
    if (m->error != ERR_NONE || m->next <= page->next) {
        bool cold = m->error >= ERR_SEGMENT_MISSING && m->error <= ERR_SEGMENT_UNAVAILABLE;
        if (!cold)
            log_error("shard %u has no bytes of stream %llu at %llu", from, (unsigned long long)remote->from_uid,
                      (unsigned long long)page->next);
        read_fail(shard, &remote->reading, cold ? (enum error)m->error : ERR_INTERNAL);
        read_remote_free(shard, remote);
        return;
    }
    buf_add_slice(&page->data, m->data);
    page->tier = METRIC_TIER_REMOTE;
    page->next = m->next;
    page->count += m->count;
    page->time_ms = m->time_ms;
    page->full = buf_len(&page->data) >= page->max_bytes || (page->max_messages && page->count >= page->max_messages) ||
                 m->next < remote->to;
    read_resume(shard, remote);
}

/* ---- bytes for other shards ---- */

/* A FETCH that waits for a segment. */
struct suspended_fetch {
    struct fetch_wait wait;
    unsigned from, generation; /* the shard that asks, and which of its processes */
    struct wire_fetch fetch;
};

static void read_serve(struct shard *shard, unsigned from, const struct wire_fetch *m);

static void read_serve_again(struct fetch_wait *wait, void *ctx)
{
    struct suspended_fetch *suspended = LIST_OWNER(wait, struct suspended_fetch, wait);
    struct shard *shard = ctx;
    if (shard && shard->peers.shards[suspended->from].generation == suspended->generation)
        read_serve(shard, suspended->from, &suspended->fetch);
    free(suspended);
}

static bool read_suspend_fetch(struct shard *shard, unsigned from, const struct wire_fetch *m,
                               const struct object *segment)
{
    struct suspended_fetch *suspended = xmalloc(sizeof *suspended);
    *suspended = (struct suspended_fetch){{.resume = read_serve_again}, from, shard->peers.shards[from].generation, *m};
    if (fetch_segment(&shard->streams.segments.fetches, segment, &suspended->wait))
        return true;
    free(suspended);
    return false;
}

static void read_serve(struct shard *shard, unsigned from, const struct wire_fetch *m)
{
    struct wire_fetched answer = {.id = m->id};
    struct page page = {.next = m->from, .max_bytes = m->max_bytes, .max_messages = m->max_messages, .cut = m->cut};
    struct outcome outcome = outcome_of(ERR_STREAM_NOT_FOUND);
    struct buf *out = peers_out(&shard->peers, from);
    const struct stream *stream = streams_by_uid(&shard->streams, m->uid);
    if (stream && m->from >= stream->row.base && m->to <= stream->tail)
        outcome = read_page(shard, &page, stream, m->to);
    if (outcome.kind == OUTCOME_NEEDS_SEGMENT && read_suspend_fetch(shard, from, m, &outcome.segment))
        return;
    if (outcome.kind != OUTCOME_DONE)
        answer.error = (uint8_t)outcome_error(&outcome);
    else
        answer = (struct wire_fetched){.id = m->id,
                                       .next = page.next,
                                       .count = page.count,
                                       .time_ms = page.time_ms,
                                       .data = buf_slice(&page.data)};
    if (out)
        wire_put_fetched(out, &answer);
    buf_clear(&page.data);
}

void on_fetch(struct shard *shard, unsigned from, const struct wire_fetch *m)
{
    read_serve(shard, from, m);
}

void read_shard_up(struct shard *shard, unsigned index)
{
    for (struct remote_read *remote = shard->remote_reads; remote; remote = remote->next)
        if (remote->owner == index)
            read_ask_owner(shard, remote);
}

void read_tick(struct shard *shard)
{
    for (struct remote_read *remote = shard->remote_reads, *next; remote; remote = next) {
        next = remote->next;
        if (remote->deadline_ms > shard->ticks_ms)
            continue;
        read_fail(shard, &remote->reading, ERR_SHARD_UNAVAILABLE);
        read_remote_free(shard, remote);
    }
    if (shard->ticks_ms > PAGE_FILE_KEPT_MS)
        page_files_age(&shard->page_files, shard->ticks_ms - PAGE_FILE_KEPT_MS);
}

static struct suspended_reading *read_take_waiting(struct shard *shard)
{
    struct suspended_reading *waiting = shard->waiting_reads;
    shard->waiting_reads = waiting->next;
    if (!shard->waiting_reads)
        shard->waiting_reads_end = &shard->waiting_reads;
    return waiting;
}

void read_init(struct shard *shard)
{
    shard->waiting_reads_end = &shard->waiting_reads;
}

void read_clear(struct shard *shard)
{
    while (shard->remote_reads) {
        buf_clear(&shard->remote_reads->reading.page.data);
        read_remote_free(shard, shard->remote_reads);
    }
    while (shard->waiting_reads)
        free(read_take_waiting(shard));
    page_files_clear(&shard->page_files);
}

/* ---- the verbs ---- */

/* Whether there is a stream at all is for those who may read it. */
static bool read_is_hidden(const struct stream *stream, uint8_t flags)
{
    return (flags & WIRE_READ_ANONYMOUS) && (!stream || !stream->row.is_public);
}

/* Finds the stream and where the reading begins, or refuses it: NULL. */
static struct stream *read_admit(struct shard *shard, struct reading *reading, struct slice name)
{
    enum error error = ERR_NONE;
    struct detail detail = {0};
    struct stream *stream = streams_live(&shard->streams, name, shard->now_ms, &error);
    if (stream)
        reading->start = reading->flags & WIRE_READ_NOW        ? stream->tail
                         : reading->flags & WIRE_READ_EARLIEST ? stream->row.earliest
                                                               : reading->position;
    if (stream && reading->start > stream->tail)
        error = ERR_OFFSET_BEYOND_TAIL;
    if (stream && reading->start < stream->row.earliest)
        error = ERR_OFFSET_GONE;
    if (read_is_hidden(stream, reading->flags))
        error = ERR_UNAUTHORIZED;
    if (error == ERR_NONE)
        return stream;
    if (error == ERR_OFFSET_BEYOND_TAIL)
        error = reply_say_tail(&detail, error, stream->tail);
    reply_refuse(shard, reading->asker, error, error == ERR_OFFSET_GONE ? stream->row.earliest : 0,
                 slice_str(detail.text));
    return NULL;
}

static struct suspended_reading *read_keep(const struct reading *reading, struct slice name)
{
    struct suspended_reading *kept = xmalloc(sizeof *kept + name.len);
    *kept = (struct suspended_reading){.reading = *reading, .name_len = name.len};
    memcpy(kept->name, name.data, name.len);
    return kept;
}

static void read_on_segment(struct fetch_wait *wait, void *ctx);

/* The router is told, so that it lets other reads pass this one. */
static bool read_await_segment(struct shard *shard, const struct reading *reading, struct slice name,
                               const struct object *segment)
{
    struct buf *out = asker_out(&shard->peers, reading->asker);
    struct suspended_reading *kept = read_keep(reading, name);
    kept->wait.resume = read_on_segment;
    if (!fetch_segment(&shard->streams.segments.fetches, segment, &kept->wait)) {
        free(kept);
        return false;
    }
    if (out)
        wire_put_parked(out, &(struct wire_parked){.id = reading->asker.id});
    return true;
}

/* A reading that was suspended begins anew: its page is empty, and the stream may have changed or ended meanwhile. */
static void read_begin(struct shard *shard, struct reading *reading, struct slice name)
{
    const struct ancestor *ancestor = NULL;
    struct stream *stream = read_admit(shard, reading, name);
    if (!stream)
        return;
    stream_touch(&shard->streams, stream, shard->now_ms);
    reading->uid = stream->row.uid;
    reading->began_us = clock_monotonic_us();
    reading->page.next = reading->start;
    reading->page.tier = 0;
    if (read_answer_kept(shard, reading, stream) || read_answer_in_file(shard, reading, stream))
        return;
    struct outcome outcome = read_advance(shard, reading, stream, &ancestor);
    if (ancestor)
        read_go_remote(shard, reading, stream, ancestor);
    else if (outcome.kind == OUTCOME_DONE)
        read_finish(shard, reading, stream);
    else if (outcome.kind == OUTCOME_FAILED || !read_await_segment(shard, reading, name, &outcome.segment))
        read_fail(shard, reading, outcome_error(&outcome));
}

/* Only catch-up reads wait: a live one must keep its place before an UNWATCH. */
static bool read_has_time(const struct shard *shard, const struct reading *reading)
{
    return reading->watch || (!shard->waiting_reads && shard->turn_read < TURN_READ_MAX);
}

static void read_put_off(struct shard *shard, struct suspended_reading *kept)
{
    *shard->waiting_reads_end = kept;
    shard->waiting_reads_end = &kept->next;
    shard->turn_again = true;
}

static void read_on_segment(struct fetch_wait *wait, void *ctx)
{
    struct suspended_reading *kept = LIST_OWNER(wait, struct suspended_reading, wait);
    struct shard *shard = ctx;
    bool asked = shard && asker_out(&shard->peers, kept->reading.asker);
    if (asked && !read_has_time(shard, &kept->reading)) {
        read_put_off(shard, kept);
        return;
    }
    if (asked)
        read_begin(shard, &kept->reading, slice_of(kept->name, kept->name_len));
    free(kept);
}

void on_read(struct shard *shard, struct asker asker, const struct wire_read *m)
{
    struct reading reading = {
        .asker = asker,
        .flags = m->flags,
        .position = m->position,
        .watch = m->watch,
        .page = {.max_bytes = m->max_bytes, .max_messages = m->max_messages, .cut = (m->flags & WIRE_READ_CUT) != 0},
    };
    if (read_has_time(shard, &reading))
        read_begin(shard, &reading, m->name);
    else
        read_put_off(shard, read_keep(&reading, m->name));
}

void read_turn(struct shard *shard)
{
    while (shard->waiting_reads && shard->turn_read < TURN_READ_MAX) {
        struct suspended_reading *waiting = read_take_waiting(shard);
        read_begin(shard, &waiting->reading, slice_of(waiting->name, waiting->name_len));
        free(waiting);
    }
    if (shard->waiting_reads)
        shard->turn_again = true;
}

void on_head(struct shard *shard, struct asker asker, const struct wire_head *m)
{
    enum error error = ERR_NONE;
    struct stream *stream = streams_live(&shard->streams, m->name, shard->now_ms, &error);
    if (read_is_hidden(stream, m->flags))
        error = ERR_UNAUTHORIZED;
    if (error != ERR_NONE) {
        reply_error(shard, asker, error);
        return;
    }
    struct wire_stream answer = reply_describe(shard, stream, m->id);
    reply_send(shard, asker, &answer);
}
