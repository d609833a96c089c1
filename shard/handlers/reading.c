/* A page is made of parts, from the oldest bytes to the newest:
 *
 *     inherited from A | inherited from B | own: segments | chunks | journal
 *     (lineage: each in the shard that owns that stream)
 *
 * reading_advance() goes through as many as this shard has. It stops early where bytes are elsewhere: in another shard
 * (shard/handlers/remote_read.c asks for them, and the reading goes on) or in a segment that has to be fetched (the
 * reading is suspended and begins anew). A page that has bytes already is not held up: it is an answer as it is, unless
 * it must reach its end (page.whole).
 *
 * Where a read of the last messages, in front of an offset, or since a time begins, is searched through the same parts,
 * from the newest to the oldest (reading_seek, shard/streams/seek.c). */
#include "shard/handlers/reading.h"

#include "common/clock.h"
#include "shard/segments/fetch.h"
#include "shard/shard.h"
#include "shard/store/store.h"
#include "shard/streams/reply.h"
#include "shard/streams/watch.h"

#define LOOK_WEIGHT 1024 /* what a look of a seek counts of a turn's time for reading, in bytes */

static void reading_count(const struct shard *shard, const struct reading *reading, unsigned tier, uint64_t bytes)
{
    if (!bytes)
        return;
    metrics_observe_us(shard->metrics, METRIC_READ_US + tier * METRICS_HISTOGRAM,
                       clock_monotonic_us() - reading->began_us);
    metrics_add(shard->metrics, METRIC_READ_BYTES + tier, bytes);
}

uint64_t reading_end(const struct reading *reading, const struct stream *stream)
{
    return reading->from == WIRE_FROM_BEFORE ? reading->asked.position : stream->tail;
}

void reading_reset(struct reading *reading)
{
    struct page *page = &reading->page;
    buf_clear(&page->data);
    *page = (struct page){
        .max_bytes = page->max_bytes, .max_messages = page->max_messages, .cut = page->cut, .whole = page->whole};
    reading->seek = (struct seek){0};
}

/* ---- where it begins ---- */

static void reading_seek_begin(struct reading *reading, const struct stream *stream)
{
    bool back = reading->from != WIRE_FROM_SINCE;
    reading->seek = (struct seek){
        .from = reading->from,
        .at = reading_end(reading, stream),
        .messages = back ? reading->amount : 0,
        .bytes = reading->from == WIRE_FROM_BEFORE ? reading->page.max_bytes : UINT64_MAX,
        .since_ms = back ? 0 : reading->amount,
        .done = back && !reading->amount,
    };
}

struct outcome reading_seek_in(struct shard *shard, struct seek *seek, const struct stream *stream, uint64_t floor)
{
    if (floor < stream->row.base || seek->at > stream->tail)
        return outcome_of(ERR_INTERNAL);
    struct outcome outcome = seek_own(seek, &shard->streams, stream, floor);
    shard->turn_read += seek->looks * LOOK_WEIGHT;
    metrics_add(shard->metrics, METRIC_SEEK_LOOKS, seek->looks);
    seek->looks = 0;
    return outcome;
}

/* A position of a JSON stream counts messages: nothing has to be looked at. */
static void reading_count_back(struct seek *seek, uint64_t earliest)
{
    uint64_t most = seek->at - earliest;
    seek->at -= seek->messages < most ? seek->messages : most;
    seek->done = true;
}

struct outcome reading_seek(struct shard *shard, struct reading *reading, const struct stream *stream,
                            const struct ancestor **ancestor)
{
    struct seek *seek = &reading->seek;
    uint64_t earliest = stream->row.earliest;
    struct outcome outcome = outcome_of(ERR_NONE);
    if (reading->from == WIRE_FROM_OFFSET)
        return outcome;
    if (!seek->from)
        reading_seek_begin(reading, stream);
    if (stream->json && seek->from == WIRE_FROM_TAIL)
        reading_count_back(seek, earliest);
    while (!seek->done && seek->at > earliest && outcome.kind == OUTCOME_DONE) {
        *ancestor = lineage_find(&stream->lineage, seek->at - 1);
        if (*ancestor && peers_owner_of_uid(&shard->peers, (*ancestor)->uid) != shard->peers.index)
            return outcome;
        const struct stream *source = *ancestor ? streams_by_uid(&shard->streams, (*ancestor)->uid) : stream;
        uint64_t floor = *ancestor ? lineage_start(&stream->lineage, *ancestor) : stream->row.base;
        outcome = source ? reading_seek_in(shard, seek, source, floor > earliest ? floor : earliest)
                         : outcome_of(ERR_INTERNAL);
    }
    *ancestor = NULL;
    seek->done |= outcome.kind == OUTCOME_DONE;
    reading->start = seek->at > earliest ? seek->at : earliest; /* retention may go on while other shards are asked */
    return outcome;
}

/* ---- what it reads ---- */

/* As page_read(). A page that has bytes and ends where a segment must be fetched is an answer as it is: the segment is
 * fetched for the next read. */
struct outcome reading_page(struct shard *shard, struct page *page, const struct stream *stream, uint64_t upto)
{
    struct outcome outcome = page_read(page, &shard->streams, stream, upto);
    if (outcome.kind != OUTCOME_NEEDS_SEGMENT || !buf_len(&page->data) || page->whole)
        return outcome;
    (void)!fetch_segment(&shard->streams.segments.fetches, &outcome.segment, NULL);
    return outcome_of(ERR_NONE);
}

struct outcome reading_advance(struct shard *shard, struct reading *reading, const struct stream *stream,
                               const struct ancestor **ancestor)
{
    struct page *page = &reading->page;
    struct outcome outcome = outcome_of(ERR_NONE);
    uint64_t upto = reading_end(reading, stream);
    while (outcome.kind == OUTCOME_DONE && !page->full && page->next < upto) {
        if (page->next < stream->row.earliest)
            return outcome_of(buf_len(&page->data) ? ERR_NONE : ERR_OFFSET_GONE);
        *ancestor = lineage_find(&stream->lineage, page->next);
        if (*ancestor && peers_owner_of_uid(&shard->peers, (*ancestor)->uid) != shard->peers.index)
            return outcome;
        const struct stream *source = *ancestor ? streams_by_uid(&shard->streams, (*ancestor)->uid) : stream;
        uint64_t end = *ancestor && (*ancestor)->end < upto ? (*ancestor)->end : upto;
        outcome = source && end <= source->tail ? reading_page(shard, page, source, end) : outcome_of(ERR_INTERNAL);
    }
    *ancestor = NULL;
    return outcome;
}

static bool reading_wants_file(const struct reading *reading)
{
    return reading->flags & WIRE_READ_FILE;
}

static struct page_key reading_key_of(const struct reading *reading)
{
    return (struct page_key){reading->uid, reading->start, reading->page.max_bytes, reading->page.max_messages};
}

/* The page lies in segments, or was asked for by its end. */
static bool reading_cannot_grow(const struct reading *reading, const struct stream *stream, uint64_t next)
{
    return reading->from == WIRE_FROM_BEFORE || (reading->start >= stream->row.base && next <= stream->row.offloaded);
}

/* The page cannot grow, and stays as long as the stream, which has no expiry and no retention. */
static bool reading_is_cold(const struct reading *reading, const struct stream *stream, uint64_t next)
{
    const struct stream_row *row = &stream->row;
    return reading_cannot_grow(reading, stream, next) && next > reading->start && next < stream->tail &&
           !reading->page.broken && !row->retention_s && !row->retention_bytes &&
           stream_row_deadline(row) == STORE_NONE;
}

/* The answer's fields for a page, which was read now or is a file that was kept. */
static struct wire_stream reading_describe(struct shard *shard, const struct reading *reading,
                                           const struct stream *stream, uint64_t next, uint64_t time_ms)
{
    struct wire_stream answer = reply_describe(shard, stream, reading->asker.id);
    answer.start = reading->start;
    answer.next = next;
    answer.time_ms = time_ms;
    if (reading_is_cold(reading, stream, next))
        answer.flags |= WIRE_STREAM_COLD;
    return answer;
}

static bool reading_send_file(struct shard *shard, const struct reading *reading, const struct stream *stream,
                              const struct page_file *file)
{
    struct wire_stream answer = reading_describe(shard, reading, stream, file->next, file->time_ms);
    return reply_send_file(shard, reading->asker, &answer, &(struct file_bytes){file->fd, 0, file->bytes});
}

/* Answers with bytes of a segment's file as they are. */
static bool reading_answer_in_file(struct shard *shard, const struct reading *reading, const struct stream *stream)
{
    struct page page = reading->page;
    struct file_bytes bytes;
    if (!reading_wants_file(reading) || reading->start < stream->row.base || reading->start >= stream->row.offloaded)
        return false;
    struct outcome outcome = page_in_file(&page, &shard->streams, stream, &bytes);
    if (bytes.bytes < PAGE_FILE_MIN)
        return false;
    if (outcome.kind == OUTCOME_NEEDS_SEGMENT) /* for the next read */
        (void)!fetch_segment(&shard->streams.segments.fetches, &outcome.segment, NULL);
    struct reading done = *reading;
    page.broken = !page.full; /* it ends with the segment */
    done.page = page;
    struct wire_stream answer = reading_describe(shard, &done, stream, page.next, page.time_ms);
    reading_count(shard, reading, METRIC_TIER_SEGMENT, bytes.bytes);
    return reply_send_file(shard, reading->asker, &answer, &bytes);
}

/* Answers with a file that was kept. */
static bool reading_answer_kept(struct shard *shard, const struct reading *reading, const struct stream *stream)
{
    struct page_key key = reading_key_of(reading);
    if (!reading_wants_file(reading) || reading->start == stream->tail)
        return false;
    const struct page_file *file = page_files_find(&shard->page_files, &key, stream->tail, shard->ticks_ms);
    if (!file || !reading_send_file(shard, reading, stream, file))
        return false;
    reading_count(shard, reading, METRIC_TIER_CACHE, file->bytes);
    return true;
}

/* Answers with a file that is made now. */
static bool reading_answer_as_file(struct shard *shard, const struct reading *reading, const struct stream *stream)
{
    struct page_key key = reading_key_of(reading);
    if (!reading_wants_file(reading) || reading->page.broken || buf_len(&reading->page.data) < PAGE_FILE_MIN)
        return false;
    const struct page_file *file =
        page_files_add(&shard->page_files, &key, &reading->page, shard->cfg->shard_read_cache, shard->ticks_ms);
    return file && reading_send_file(shard, reading, stream, file);
}

bool reading_answer_from_file(struct shard *shard, struct reading *reading, const struct stream *stream)
{
    return reading_answer_kept(shard, reading, stream) || reading_answer_in_file(shard, reading, stream);
}

void reading_finish(struct shard *shard, struct reading *reading, struct stream *stream)
{
    shard->turn_read += buf_len(&reading->page.data);
    reading_count(shard, reading, reading->page.tier, buf_len(&reading->page.data));
    if (reading_answer_as_file(shard, reading, stream)) {
        buf_clear(&reading->page.data);
        return;
    }
    struct wire_stream answer = reading_describe(shard, reading, stream, reading->page.next, reading->page.time_ms);
    bool at_tail = reading->page.next == stream->tail;
    bool empty = buf_len(&reading->page.data) == 0;
    answer.data = buf_slice(&reading->page.data);
    watch_notify(shard, stream); /* what was appended before this answer is not sent after it */
    if (reading->watch && at_tail && !stream->row.closed && (empty || !(reading->flags & WIRE_READ_WAIT))) {
        watch_add(shard, stream, reading->asker, reading->watch);
        answer.flags |= WIRE_STREAM_WATCHING;
    }
    reply_send(shard, reading->asker, &answer);
    buf_clear(&reading->page.data);
}

void reading_fail(struct shard *shard, struct reading *reading, enum error error)
{
    reply_error(shard, reading->asker, error);
    buf_clear(&reading->page.data);
}
