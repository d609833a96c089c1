/* An event stream is one answer without an end: a data event and a control event for all that comes, a heartbeat where
 * nothing does. Behind the tail it sends page after page, only as fast as its client takes them; at the tail, its
 * entry's events, which are rendered once for all.
 *
 * A client that does not take its events is closed when limits.reader_buffer waits for it. It loses nothing: it comes
 * back with the last offset that it has seen. */
#include "router/live/reader_sse.h"

#include "common/lives.h"
#include "common/log.h"
#include "common/random.h"
#include "router/conn/answer.h"
#include "router/live/read_answer.h"
#include "router/live/reader_state.h"
#include "router/observe/request_stats.h"
#include "router/observe/request_log.h"
#include "router/router.h"

#define STOPPING_RETRIES 10u /* while the process stops, clients are to wait longer by this factor */

void reader_sse_beat_later(struct reader *reader)
{
    struct router *r = reader_router(reader);
    deadline_set(&r->deadlines, DEADLINE_HEARTBEAT, &reader->beat, r->now_ms + r->cfg->live_heartbeat);
}

/* The caller's reference is the block's. */
static struct chunk reader_sse_render_event(struct router *r, const struct sse_event *event)
{
    buf_reset(&r->event);
    sse_render(&r->event, event);
    struct chunk chunk = answer_chunk(&r->outputs, buf_slice(&r->event));
    if (r->event.cap > ((size_t)1 << 20))
        buf_clear(&r->event);
    return chunk;
}

static struct chunk reader_sse_render(struct router *r, const struct wire_stream *stream, uint64_t cursor,
                                      uint64_t retry_ms)
{
    const struct sse_event event = {
        .kind = sse_kind_of(stream->content_type, stream->flags & WIRE_STREAM_JSON),
        .data = stream->data,
        .next = lives_offset(stream->lives, stream->next),
        .time_ms = stream->time_ms,
        .cursor = cursor,
        .retry_ms = retry_ms,
        .up_to_date = stream->next == stream->tail,
        .closed = reader_ends_stream(stream),
    };
    return reader_sse_render_event(r, &event);
}

static void reader_sse_send(struct reader *reader, const struct chunk *event)
{
    answer_add(reader->request, event);
    reader_sse_beat_later(reader);
}

/* After how long the client is to come back. Chance parts those whose connections end together; while the process stops
 * there is nobody to come back to for a while. */
static uint64_t reader_sse_retry_ms(struct router *r)
{
    uint64_t least = r->cfg->live_sse_retry * (r->stopping ? STOPPING_RETRIES : 1);
    return least ? least + random_next(&r->random) % least : 0;
}

/* An event for this reader only. */
static void reader_sse_send_own(struct reader *reader, const struct wire_stream *stream, uint64_t retry)
{
    struct chunk event = reader_sse_render(reader_router(reader), stream, reader->cursor, retry);
    reader_sse_send(reader, &event);
    block_unref(event.block);
}

/* The stream has ended, so the kept bytes go out as they are. */
void reader_sse_send_kept(struct reader *reader)
{
    const struct sse_kept *kept = reader_kept_of(reader);
    uint64_t position = reader_position(reader);
    const struct wire_stream last = {.content_type = SLICE("text/plain"),
                                     .start = position,
                                     .next = position + kept->len,
                                     .tail = UINT64_MAX,
                                     .lives = reader->entry->facts.lives,
                                     .time_ms = reader->entry->facts.time_ms,
                                     .data = slice_of(kept->bytes, kept->len)};
    if (kept->len)
        reader_sse_send_own(reader, &last, 0);
}

void reader_sse_send_gone(struct reader *reader, const struct wire_stream *now)
{
    struct router *r = reader_router(reader);
    uint64_t position = reader->state == READER_AT_TAIL ? reader->entry->position : reader->position;
    const struct sse_event event = {
        .next = reader_offset(reader, position),
        .cursor = reader->cursor,
        .deleted = !now,
        .recreated = now != NULL,
        .earliest = now ? lives_offset(now->lives, now->earliest) : (struct offset){0},
    };
    struct chunk chunk = reader_sse_render_event(r, &event);
    reader_sse_send(reader, &chunk);
    block_unref(chunk.block);
}

static void reader_sse_open(struct reader *reader, const struct wire_stream *stream)
{
    struct request *req = reader->request;
    struct buf *head = answer_begin(req, 200);
    response_add(head, "Content-Type", SLICE("text/event-stream"));
    response_add(head, "Cache-Control", SLICE("no-cache"));
    response_add(head, "X-Accel-Buffering", SLICE("no"));
    answer_add_incarnation(head, stream->lives);
    if (reader->asked_from != WIRE_FROM_OFFSET)
        read_answer_add_start(head, stream);
    if (sse_kind_of(stream->content_type, stream->flags & WIRE_STREAM_JSON) == SSE_BASE64)
        response_add(head, "Stream-SSE-Data-Encoding", SLICE("base64"));
    answer_open(req);
    reader->started = true;
    reader->cursor = reader_next_cursor(reader);
    reader_arm_end(reader);
}

/* While clients are handed over it rests until it is its turn. */
static void reader_sse_go_on(struct reader *reader)
{
    if (!reader_router(reader)->handover.leaving &&
        reader->request->connection->out.bytes < reader_router(reader)->cfg->limits_reader_buffer / 2)
        reader_read_on(reader);
    else
        reader->state = READER_PAUSED;
}

/* A page of a reader that is behind. */
void reader_sse_answered(struct reader *reader, const struct wire_stream *answer)
{
    struct router *r = reader_router(reader);
    struct wire_stream stream = *answer;
    bool first = !reader->started;
    live_keep(reader->entry, &reader->kept, &stream);
    if (first)
        reader_sse_open(reader, &stream);
    if (first || stream.data.len || reader_ends_stream(&stream)) {
        reader->cursor = reader_later_cursor(reader->cursor);
        reader_sse_send_own(reader, &stream, first || r->stopping ? reader_sse_retry_ms(r) : 0);
    }
    reader->position = answer->next;
    bool over = reader->request->connection->eof && (stream.flags & WIRE_STREAM_WATCHING);
    if (reader_ends_stream(&stream) || r->stopping || over) {
        reader_close(reader);
    } else if ((stream.flags & WIRE_STREAM_WATCHING) && live_join(reader->entry, reader, reader->position)) {
        reader->state = READER_AT_TAIL;
        request_stats_waits(reader->request);
    } else {
        reader_sse_go_on(reader);
    }
}

/* One event may be larger than the buffer. */
static bool reader_sse_overflows(const struct request *req, size_t len)
{
    return req->connection->out.bytes && req->connection->out.bytes + len > req->router->cfg->limits_reader_buffer;
}

void reader_sse_deliver(struct reader *reader, struct delivery *delivery)
{
    struct request *req = reader->request;
    struct entry *e = delivery->entry;
    if (reader->apart) {
        live_leave(reader);
        reader->position = delivery->stream->start;
        reader_sse_go_on(reader);
        return;
    }
    if (!delivery->text->data.len && !reader_ends_stream(delivery->text))
        return; /* all of it is kept */
    if (!delivery->event.block) {
        e->cursor = reader_later_cursor(e->cursor);
        delivery->event = reader_sse_render(req->router, delivery->text, e->cursor, 0);
    }
    if (reader_sse_overflows(req, delivery->event.len))
        connection_push(req->connection);
    if (req->connection->state == CONNECTION_DEAD)
        return;
    if (reader_sse_overflows(req, delivery->event.len)) {
        struct slice id = request_log_id(req);
        log_debug("a reader of %s does not read and is disconnected%s%.*s", e->name, id.len ? ", request " : "",
                  (int)id.len, id.data);
        metrics_add(req->router->metrics, METRIC_DROPPED + METRIC_DROPPED_BUFFER, 1);
        connection_close(req->connection);
        return;
    }
    reader->cursor = e->cursor;
    metrics_add(req->router->metrics, METRIC_DELIVERIES + METRIC_READER_SSE, 1);
    reader_sse_send(reader, &delivery->event);
    if (reader_ends_stream(delivery->text))
        reader_close(reader);
}

void reader_sse_spare(struct reader *reader)
{
    if (!reader->sse || reader->request->connection->out.bytes <= reader_router(reader)->cfg->limits_reader_buffer / 2)
        return;
    live_leave(reader);
    reader->position = reader->entry->position;
    reader->kept = *reader_kept_of(reader);
    reader->state = READER_PAUSED;
}

/* The last event says where the client can go on. */
void reader_sse_end(struct reader *reader)
{
    if (reader_rests(reader)) {
        struct router *r = reader_router(reader);
        uint64_t position = reader_position(reader);
        uint64_t tail = reader->state == READER_AT_TAIL ? reader->entry->position : UINT64_MAX; /* or it is not known */
        const struct wire_stream here = {
            .start = position, .next = position, .tail = tail, .lives = reader->entry->facts.lives};
        reader_sse_send_own(reader, &here, r->stopping ? reader_sse_retry_ms(r) : 0);
    }
    reader_close(reader);
}

void reader_sse_heartbeat(struct reader *reader)
{
    if (reader->request->connection->out.bytes == 0)
        reader_sse_send(reader, &reader_router(reader)->heartbeat);
    else
        reader_sse_beat_later(reader);
}

void reader_sse_drained(struct reader *reader)
{
    if (reader->state == READER_PAUSED)
        reader_sse_go_on(reader);
}
