#include "router/live/reader.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/log.h"
#include "common/mem.h"
#include "router/conn/answer.h"
#include "router/handlers/read_answer.h"
#include "router/http/cursor.h"
#include "router/observe/request_log.h"
#include "router/router.h"

#define STOPPING_RETRIES 10u /* while the process stops, clients are to wait longer by this factor */

static struct router *reader_router_of(const struct reader *reader)
{
    return reader->request->router;
}

static bool reader_ends_stream(const struct wire_stream *stream)
{
    return (stream->flags & WIRE_STREAM_CLOSED) && stream->next == stream->tail;
}

/* What it has not had yet of the bytes before its place in the stream. */
static const struct sse_kept *reader_kept_of(const struct reader *reader)
{
    return reader->state == READER_AT_TAIL && reader->sse && !reader->apart ? &reader->entry->kept : &reader->kept;
}

static unsigned reader_kind(const struct reader *reader)
{
    return reader->sse ? METRIC_READER_SSE : METRIC_READER_LONG_POLL;
}

/* ---- life ---- */

static const struct job_ops reader_ops;

/* The request goes on without it. */
static void reader_free(struct reader *reader)
{
    struct request *req = reader->request;
    if (reader->asked)
        shard_request_abandon(&req->router->shards, reader->asked);
    if (reader->state == READER_AT_TAIL)
        live_leave(reader->entry, reader);
    live_release(reader->entry);
    deadline_clear(&reader->beat);
    tally_reader_gone(&req->router->tallies, reader->tally);
    metrics_add(req->router->metrics, METRIC_READERS + reader_kind(reader), UINT64_MAX); /* one less */
    request_end_job(req);
    free(reader);
}

/* The event stream ends as a whole: its reader reconnects, unless it was told that the stream is closed. */
static void reader_sse_close(struct reader *reader)
{
    struct request *req = reader->request;
    reader_free(reader);
    answer_close(req);
}

static void reader_send_kept(struct reader *reader);

static void reader_fail(struct reader *reader, const struct answer *answer)
{
    struct request *req = reader->request;
    if (reader->started) {
        if (answer->error == ERR_STREAM_NOT_FOUND || answer->error == ERR_STREAM_GONE)
            reader_send_kept(reader);
        reader_sse_close(reader);
        return;
    }
    reader_free(reader);
    answer_refusal(req, answer);
}

void reader_gone(struct reader *reader, enum error error)
{
    reader_fail(reader, &(struct answer){.error = error});
}

static void reader_read_on(struct reader *reader)
{
    const struct config *cfg = reader_router_of(reader)->cfg;
    struct wire_read read = {
        .flags = (uint8_t)((reader->sse ? WIRE_READ_CUT : WIRE_READ_WAIT) | (reader->now ? WIRE_READ_NOW : 0) |
                           (reader->earliest ? WIRE_READ_EARLIEST : 0) |
                           (reader->request->grant.anonymous ? WIRE_READ_ANONYMOUS : 0)),
        .position = reader->position,
        .max_bytes = reader->sse ? cfg->limits_sse_event : cfg->limits_read_page,
        .max_messages = reader->limit,
    };
    reader->state = READER_READING;
    reader->asked = live_read(reader->entry, reader->request, read);
    if (!reader->asked)
        reader_gone(reader, ERR_OVERLOADED);
}

static void reader_begin(struct reader *reader)
{
    struct request *req = reader->request;
    request_begin_job(req, &reader_ops, reader);
    account_live(req, reader->sse);
    metrics_add(req->router->metrics, METRIC_READERS + reader_kind(reader), 1);
}

/* What a callback has allowed is asked about again sooner or later: the client comes back for that. */
static uint64_t reader_longest_ms(const struct router *r, uint64_t ms)
{
    return r->callbacks.on && r->cfg->auth_callback_recheck < ms ? r->cfg->auth_callback_recheck : ms;
}

void reader_start(struct request *req, struct slice name, const struct query *query)
{
    struct router *r = req->router;
    struct reader *reader = xcalloc(1, sizeof *reader);
    reader->request = req;
    reader->entry = live_entry(&r->live, name);
    reader->tally = tally_reader(&r->tallies, name);
    reader->sse = query->live == QUERY_SSE;
    reader->now = query->now;
    reader->earliest = query->earliest;
    reader->position = query->position;
    reader->limit = reader->sse ? 0 : query->limit;
    reader->cursor = query->cursor;
    uint64_t lasts = reader_longest_ms(r, reader->sse ? r->cfg->live_sse_lifetime : r->cfg->live_long_poll_timeout);
    uint64_t left = grant_left_ms(&req->grant);
    reader->ends_ms = r->now_ms + (lasts < left ? lasts : left);
    reader_begin(reader);
    reader_read_on(reader);
}

static void reader_arm_end(struct reader *reader)
{
    uint64_t now = reader_router_of(reader)->now_ms;
    connection_arm(reader->request->connection, reader->sse ? DEADLINE_SSE_LIFETIME : DEADLINE_LONG_POLL,
                   reader->ends_ms > now ? reader->ends_ms - now : 0);
}

static void reader_beat_later(struct reader *reader)
{
    struct router *r = reader_router_of(reader);
    deadline_set(&r->deadlines, DEADLINE_HEARTBEAT, &reader->beat, r->now_ms + r->cfg->live_heartbeat);
}

void reader_resume(struct request *req, struct slice name, const struct reader *state)
{
    struct router *r = req->router;
    struct reader *reader = xmalloc(sizeof *reader);
    *reader = *state;
    reader->request = req;
    reader->entry = live_entry(&r->live, name);
    reader->tally = tally_reader(&r->tallies, name);
    if (reader->ends_ms > r->now_ms)
        reader->ends_ms = r->now_ms + reader_longest_ms(r, reader->ends_ms - r->now_ms);
    reader_begin(reader);
    if (reader->started)
        req->account.status = 200; /* it was answered where it came from */
    if (reader->sse) {
        reader_arm_end(reader);
        reader_beat_later(reader);
    }
    reader_read_on(reader);
}

bool reader_rests(const struct reader *reader)
{
    return reader->state == READER_AT_TAIL || reader->state == READER_PAUSED;
}

uint64_t reader_position(const struct reader *reader)
{
    uint64_t place = reader->state == READER_AT_TAIL ? reader->entry->position : reader->position;
    return place - reader_kept_of(reader)->len;
}

static uint64_t reader_next_cursor(const struct reader *reader)
{
    return cursor_next(reader->cursor, (uint64_t)time(NULL), router_random(reader_router_of(reader)));
}

static uint64_t reader_later_cursor(uint64_t cursor)
{
    uint64_t now = cursor_interval((uint64_t)time(NULL));
    return cursor > now ? cursor : now;
}

/* ---- long-poll ---- */

static void reader_poll_nothing(struct reader *reader, uint64_t next, bool closed)
{
    struct request *req = reader->request;
    uint64_t cursor = reader_next_cursor(reader);
    reader_free(reader);
    read_answer_nothing(req, next, cursor, closed);
}

static void reader_poll_data(struct reader *reader, const struct wire_stream *stream, struct block *body)
{
    struct request *req = reader->request;
    uint64_t cursor = reader_next_cursor(reader);
    reader_free(reader);
    read_answer_poll(req, stream, cursor, body);
}

static void reader_poll_answered(struct reader *reader, const struct wire_stream *stream)
{
    if (stream->data.len) {
        struct block *body = read_answer_body(reader_router_of(reader), stream);
        reader_poll_data(reader, stream, body);
        block_unref(body);
    } else if (reader_ends_stream(stream)) {
        reader_poll_nothing(reader, stream->next, true);
    } else if (!(stream->flags & WIRE_STREAM_WATCHING) || reader_router_of(reader)->stopping) {
        reader_poll_nothing(reader, stream->next, false);
    } else if (reader->request->connection->eof) {
        connection_close(reader->request->connection);
    } else if (live_join(reader->entry, reader, stream->next)) {
        reader->state = READER_AT_TAIL;
        account_waits(reader->request);
        reader_arm_end(reader);
    } else {
        reader->position = stream->next;
        reader_read_on(reader);
    }
}

static void reader_poll_deliver(struct reader *reader, struct delivery *delivery)
{
    const struct wire_stream *stream = delivery->stream;
    if (!stream->data.len) {
        reader_poll_nothing(reader, stream->next, reader_ends_stream(stream));
    } else if (reader->limit) {
        live_leave(reader->entry, reader);
        reader->position = stream->start;
        reader_read_on(reader);
    } else {
        if (!delivery->body)
            delivery->body = read_answer_body(reader_router_of(reader), stream);
        metrics_add(reader_router_of(reader)->metrics, METRIC_DELIVERIES + METRIC_READER_LONG_POLL, 1);
        reader_poll_data(reader, stream, delivery->body);
    }
}

/* ---- events ---- */

/* The caller's reference is the block's. */
static struct chunk reader_render(struct router *r, const struct wire_stream *stream, uint64_t cursor,
                                  uint64_t retry_ms)
{
    const struct sse_event event = {
        .kind = sse_kind_of(stream->content_type),
        .data = stream->data,
        .next = stream->next,
        .time_ms = stream->time_ms,
        .cursor = cursor,
        .retry_ms = retry_ms,
        .up_to_date = stream->next == stream->tail,
        .closed = reader_ends_stream(stream),
    };
    buf_reset(&r->event);
    sse_render(&r->event, &event);
    struct chunk chunk = answer_chunk(&r->outputs, buf_slice(&r->event));
    if (r->event.cap > ((size_t)1 << 20))
        buf_clear(&r->event);
    return chunk;
}

static void reader_send_event(struct reader *reader, const struct chunk *event)
{
    answer_add(reader->request, event);
    reader_beat_later(reader);
}

/* After how long the client is to come back. Chance parts those whose connections end together; while the process stops
 * there is nobody to come back to for a while. */
static uint64_t reader_retry_ms(struct router *r)
{
    uint64_t least = r->cfg->live_sse_retry * (r->stopping ? STOPPING_RETRIES : 1);
    return least ? least + router_random(r) % least : 0;
}

/* An event for this reader only. */
static void reader_send_own(struct reader *reader, const struct wire_stream *stream, uint64_t retry)
{
    struct chunk event = reader_render(reader_router_of(reader), stream, reader->cursor, retry);
    reader_send_event(reader, &event);
    block_unref(event.block);
}

/* Nothing comes after it any more. */
static void reader_send_kept(struct reader *reader)
{
    const struct sse_kept *kept = reader_kept_of(reader);
    uint64_t position = reader_position(reader);
    const struct wire_stream last = {.content_type = SLICE("text/plain"),
                                     .start = position,
                                     .next = position + kept->len,
                                     .tail = UINT64_MAX,
                                     .time_ms = reader->entry->facts.time_ms,
                                     .data = slice_of(kept->bytes, kept->len)};
    if (kept->len)
        reader_send_own(reader, &last, 0);
}

static void reader_sse_open(struct reader *reader, const struct wire_stream *stream)
{
    struct request *req = reader->request;
    struct buf *head = answer_begin(req, 200);
    response_add(head, "Content-Type", SLICE("text/event-stream"));
    response_add(head, "Cache-Control", SLICE("no-cache"));
    response_add(head, "X-Accel-Buffering", SLICE("no"));
    if (sse_kind_of(stream->content_type) == SSE_BASE64)
        response_add(head, "Stream-SSE-Data-Encoding", SLICE("base64"));
    answer_open(req);
    reader->started = true;
    reader->cursor = reader_next_cursor(reader);
    reader_arm_end(reader);
}

/* While clients are handed over it rests until it is its turn. */
static void reader_sse_go_on(struct reader *reader)
{
    if (!reader_router_of(reader)->handover.leaving &&
        reader->request->connection->out.bytes < reader_router_of(reader)->cfg->limits_reader_buffer / 2)
        reader_read_on(reader);
    else
        reader->state = READER_PAUSED;
}

/* A page of a reader that is behind. */
static void reader_sse_answered(struct reader *reader, const struct wire_stream *answer)
{
    struct router *r = reader_router_of(reader);
    struct wire_stream stream = *answer;
    bool first = !reader->started;
    live_keep(reader->entry, &reader->kept, &stream);
    if (first)
        reader_sse_open(reader, &stream);
    if (first || stream.data.len || reader_ends_stream(&stream)) {
        reader->cursor = reader_later_cursor(reader->cursor);
        reader_send_own(reader, &stream, first || r->stopping ? reader_retry_ms(r) : 0);
    }
    reader->position = answer->next;
    bool over = reader->request->connection->eof && (stream.flags & WIRE_STREAM_WATCHING);
    if (reader_ends_stream(&stream) || r->stopping || over) {
        reader_sse_close(reader);
    } else if ((stream.flags & WIRE_STREAM_WATCHING) && live_join(reader->entry, reader, reader->position)) {
        reader->state = READER_AT_TAIL;
        account_waits(reader->request);
    } else {
        reader_sse_go_on(reader);
    }
}

/* One event may be larger than the buffer. */
static bool reader_overflows(const struct request *req, size_t len)
{
    return req->connection->out.bytes && req->connection->out.bytes + len > req->router->cfg->limits_reader_buffer;
}

static void reader_sse_deliver(struct reader *reader, struct delivery *delivery)
{
    struct request *req = reader->request;
    struct entry *e = delivery->entry;
    if (reader->apart) {
        live_leave(e, reader);
        reader->position = delivery->stream->start;
        reader_sse_go_on(reader);
        return;
    }
    if (!delivery->text->data.len && !reader_ends_stream(delivery->text))
        return; /* all of it is kept */
    if (!delivery->event.block) {
        e->cursor = reader_later_cursor(e->cursor);
        delivery->event = reader_render(req->router, delivery->text, e->cursor, 0);
    }
    if (reader_overflows(req, delivery->event.len))
        connection_push(req->connection);
    if (req->connection->state == CONNECTION_DEAD)
        return;
    if (reader_overflows(req, delivery->event.len)) {
        struct slice id = request_log_id(req);
        log_debug("a reader of %s does not read and is let go%s%.*s", e->name, id.len ? ", request " : "", (int)id.len,
                  id.data);
        metrics_add(req->router->metrics, METRIC_DROPPED + METRIC_DROPPED_BUFFER, 1);
        connection_close(req->connection);
        return;
    }
    reader->cursor = e->cursor;
    metrics_add(req->router->metrics, METRIC_DELIVERIES + METRIC_READER_SSE, 1);
    reader_send_event(reader, &delivery->event);
    if (reader_ends_stream(delivery->text))
        reader_sse_close(reader);
}

/* ---- what happens to a reader ---- */

static bool reader_may_read(const struct reader *reader)
{
    return reader->is_public || !reader->request->grant.anonymous;
}

static void reader_share(struct reader *reader)
{
    reader->request->shared_answer = reader->open || reader->request->grant.shared;
}

static void reader_learn(struct reader *reader, const struct wire_stream *stream)
{
    struct grant grant = reader->request->grant;
    grant.shared = false;
    reader->is_public = stream->flags & WIRE_STREAM_PUBLIC;
    reader->open = grant_shared(&grant, stream);
    reader_share(reader);
}

void reader_answered(struct reader *reader, const struct answer *answer)
{
    const struct wire_stream *stream = answer->stream;
    reader->asked = NULL;
    if (answer->error != ERR_NONE) {
        reader_fail(reader, answer);
        return;
    }
    if (reader->answered_once && reader->uid != stream->uid) {
        reader_gone(reader, ERR_STREAM_NOT_FOUND); /* another stream has taken its name */
        return;
    }
    reader->answered_once = true;
    reader->uid = stream->uid;
    reader->now = reader->earliest = false;
    reader_learn(reader, stream);
    if (!reader_may_read(reader))
        reader_expire(reader); /* its right has ended meanwhile */
    else if (reader->sse)
        reader_sse_answered(reader, stream);
    else
        reader_poll_answered(reader, stream);
}

void reader_deliver(struct reader *reader, struct delivery *delivery)
{
    if (reader->sse)
        reader_sse_deliver(reader, delivery);
    else
        reader_poll_deliver(reader, delivery);
}

void reader_spare(struct reader *reader)
{
    if (!reader->sse ||
        reader->request->connection->out.bytes <= reader_router_of(reader)->cfg->limits_reader_buffer / 2)
        return;
    live_leave(reader->entry, reader);
    reader->position = reader->entry->position;
    reader->kept = *reader_kept_of(reader);
    reader->state = READER_PAUSED;
}

/* The last thing it hears is where it can go on. */
static void reader_sse_end(struct reader *reader)
{
    if (reader_rests(reader)) {
        struct router *r = reader_router_of(reader);
        uint64_t position = reader_position(reader);
        uint64_t tail = reader->state == READER_AT_TAIL ? reader->entry->position : UINT64_MAX; /* or it is not known */
        const struct wire_stream here = {.start = position, .next = position, .tail = tail};
        reader_send_own(reader, &here, r->stopping ? reader_retry_ms(r) : 0);
    }
    reader_sse_close(reader);
}

static void reader_end(struct reader *reader)
{
    if (reader->sse)
        reader_sse_end(reader);
    else if (reader->state == READER_AT_TAIL)
        reader_poll_nothing(reader, reader->entry->position, false);
    /* else an answer is on its way */
}

struct slice reader_project(const struct reader *reader)
{
    return project_of(slice_str(reader->entry->name));
}

/* One that has nothing yet is looked at when it has. */
void reader_granted(struct reader *reader)
{
    if (!reader_rests(reader))
        return;
    reader_share(reader);
    if (!reader_may_read(reader))
        reader_expire(reader);
}

/* Also where an answer is on its way: it would come too late. */
void reader_expire(struct reader *reader)
{
    if (reader->started)
        reader_sse_end(reader);
    else
        reader_gone(reader, ERR_UNAUTHORIZED);
}

static bool reader_stop(struct reader *reader)
{
    if (!reader->started && reader->state != READER_AT_TAIL)
        return false;
    reader_end(reader);
    return true;
}

/* What is on its way still goes out; a reader that waits at the tail is taken for gone. */
static void reader_hang_up(struct request *req)
{
    struct reader *reader = req->job;
    if (reader->state != READER_AT_TAIL)
        return; /* it gets as far as the tail */
    if (reader->sse)
        reader_sse_close(reader);
    else
        connection_close(reader->request->connection);
}

void reader_send_back(struct reader *reader)
{
    reader->ends_ms = reader_router_of(reader)->now_ms; /* of one whose answer is on its way */
    (void)reader_stop(reader);
}

void readers_send_back(struct router *router)
{
    for (struct connection *c = router->connections.first, *next; c; c = next) {
        next = c->next;
        if (reader_of(&c->request))
            reader_send_back(reader_of(&c->request));
    }
}

void reader_heartbeat(struct deadline *beat)
{
    struct reader *reader = (struct reader *)((char *)beat - offsetof(struct reader, beat));
    if (reader->request->connection->out.bytes == 0)
        reader_send_event(reader, &reader_router_of(reader)->heartbeat);
    else
        reader_beat_later(reader);
}

static void reader_drained(struct request *req)
{
    struct reader *reader = req->job;
    if (reader->state == READER_PAUSED)
        reader_sse_go_on(reader);
}

/* ---- the job ---- */

static void reader_drop(struct request *req)
{
    reader_free(req->job);
}

static void reader_expired(struct request *req)
{
    reader_end(req->job);
}

static bool reader_stop_job(struct request *req)
{
    return reader_stop(req->job);
}

static const struct job_ops reader_ops = {
    .drop = reader_drop,
    .drained = reader_drained,
    .expired = reader_expired,
    .hang_up = reader_hang_up,
    .stop = reader_stop_job,
};

struct reader *reader_of(const struct request *req)
{
    return req->ops == &reader_ops ? req->job : NULL;
}
