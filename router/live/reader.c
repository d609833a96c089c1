/* A live read, from its request to its end.
 *
 *     reader_start(), or reader_resume() after a handover
 *          │
 *          ▼       an answer that says WATCHING, and the entry is at the same position
 *     ┌─────────┐ ─────────────────────────────────────────────────────────────────────► ┌─────────┐
 *     │ READING │                                                                        │ AT_TAIL │
 *     └─────────┘ ◄───────────────────────────────────────────────────────────────────── └─────────┘
 *       ▲     │    an event that it cannot share: it is apart, or has a limit of messages     │
 *       │     │                                                                               │
 *       │     │ a page, and the client is slow, or is handed over        ┌────────┐           │ the entry reads on,
 *       │     └────────────────────────────────────────────────────────► │ PAUSED │ ◄─────────┘ and much is queued
 *       └─────────────────────────────────────────────────────────────── └────────┘
 *                             the client has taken what was queued
 *
 * Only event streams pause: a long-poll ends with its first data.
 *
 * Happy path: the first READ says what the stream is, and brings what is there. While pages follow, the reader is
 * behind and reads for itself. At the tail it costs nothing until its entry (live.c) has an event, which it shares with
 * the others. It ends at its time (live.sse_lifetime, live.long_poll_timeout), or with the stream.
 *
 * Failure modes:
 *   - The shard dies: a READ that is under way is sent to its successor; a reader at the tail waits for its entry.
 *   - The stream is deleted, or deleted and made again (another uid): 404 or 410, or the end of
 *     the event stream, which says so.
 *   - The client does not take its events: it is closed at limits.reader_buffer, or after limits.write_timeout.
 *   - The client hangs up: a reader at the tail is gone; one that is behind still gets what is there.
 *   - Its right ends: 401, or the end of the event stream. If an operator's change may have ended it, the reader is
 * sent back: its client comes again with its token.
 *   - The process stops, or hands its clients over: a reader that rests ends with the offset to go on from, or goes to
 * the other process with its position (router/handover.c). One that is owed an answer gets it first. */
#include "router/live/reader.h"

#include <stddef.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "router/auth/cors.h"
#include "router/conn/answer.h"
#include "router/live/reader_poll.h"
#include "router/live/reader_sse.h"
#include "router/router.h"

static const struct job_ops reader_ops;

/* Nothing comes behind what an event stream has kept of a stream that is gone, and its last event says that it is. */
static void reader_refuse(struct reader *reader, const struct answer *answer)
{
    bool recreated = answer->error == ERR_STREAM_RECREATED && answer_stream(answer);
    bool gone = recreated || answer->error == ERR_STREAM_NOT_FOUND || answer->error == ERR_STREAM_GONE;
    if (reader->started && gone) {
        reader_sse_send_kept(reader);
        reader_sse_send_gone(reader, recreated ? answer_stream(answer) : NULL);
    }
    reader_fail(reader, answer);
}

/* A grant of the callback is asked for again after auth.callback_recheck: the client comes back for that. */
static uint64_t reader_longest_ms(const struct router *r, uint64_t ms)
{
    return r->callbacks.on && r->cfg->auth_callback_recheck < ms ? r->cfg->auth_callback_recheck : ms;
}

void reader_start(struct request *req, struct slice name, const struct query *query,
                  const struct wire_condition *condition)
{
    struct router *r = req->router;
    struct reader *reader = xcalloc(1, sizeof *reader);
    reader->sse = query->live == QUERY_SSE;
    reader->now = query->now;
    reader->earliest = query->earliest;
    reader->asked_now = query->now;
    reader->asked_earliest = query->earliest;
    reader->from = reader->asked_from = query->from;
    reader->position = query->from == WIRE_FROM_OFFSET ? query->offset.position : query->amount;
    reader->limit = reader->sse ? 0 : reader_limit(query->limit);
    reader->cursor = query->cursor;
    uint64_t lasts = reader_longest_ms(r, reader->sse ? r->cfg->live_sse_lifetime : r->cfg->live_long_poll_timeout);
    uint64_t left = grant_left_ms(&req->grant);
    /* The loop's own time may be old, and both are cut to milliseconds: neither makes a long-poll end early. */
    reader->ends_ms = clock_monotonic_ms() + 1 + (lasts < left ? lasts : left);
    reader_begin(reader, req, name, &reader_ops);
    reader_read_from(reader, query->offset.life, condition);
}

void reader_resume(struct request *req, struct slice name, const struct reader *state)
{
    struct router *r = req->router;
    struct reader *reader = xmalloc(sizeof *reader);
    *reader = *state;
    if (reader->ends_ms > r->now_ms)
        reader->ends_ms = r->now_ms + reader_longest_ms(r, reader->ends_ms - r->now_ms);
    reader_begin(reader, req, name, &reader_ops);
    if (reader->started)
        req->stats.status = 200; /* it was answered where it came from */
    if (reader->sse) {
        reader_arm_end(reader);
        reader_sse_beat_later(reader);
    }
    reader_read_on(reader);
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

/* The right to read has ended: 401, or the end of the event stream, also where an answer is on its way: it would come
 * too late. */
static void reader_expire(struct reader *reader)
{
    if (reader->started)
        reader_sse_end(reader);
    else
        reader_refuse(reader, &(struct answer){.error = ERR_UNAUTHORIZED});
}

static void reader_answered(struct reader *reader, const struct answer *answer)
{
    const struct wire_stream *stream = answer_stream(answer);
    reader->asked = NULL;
    if (answer->error != ERR_NONE) {
        reader_refuse(reader, answer);
        return;
    }
    reader->answered_once = true;
    reader->uid = stream->uid;
    reader->now = reader->earliest = false;
    reader->from = WIRE_FROM_OFFSET;
    reader_learn(reader, stream);
    if (!reader_may_read(reader))
        reader_expire(reader); /* its right has ended meanwhile */
    else if (reader->sse)
        reader_sse_answered(reader, stream);
    else
        reader_poll_answered(reader, stream);
}

static void reader_deliver(struct reader *reader, struct delivery *delivery)
{
    if (reader->sse)
        reader_sse_deliver(reader, delivery);
    else
        reader_poll_deliver(reader, delivery);
}

static void reader_end(struct reader *reader)
{
    if (reader->sse)
        reader_sse_end(reader);
    else if (reader->state == READER_AT_TAIL)
        reader_poll_nothing(reader, reader->entry->position, false);
    /* else an answer is on its way */
}

/* The grant has changed. A reader that waits for an answer is looked at when that has come. */
static void reader_granted(struct reader *reader)
{
    if (!reader_rests(reader))
        return;
    reader_share(reader);
    if (!reader_may_read(reader))
        reader_expire(reader);
}

static bool reader_stop(struct reader *reader)
{
    if (!reader->started && reader->state != READER_AT_TAIL)
        return false;
    reader_end(reader);
    return true;
}

/* An answer that is on its way still goes out; a client whose reader waits at the tail is taken for gone. */
static void reader_hang_up(struct request *req)
{
    struct reader *reader = req->job;
    if (reader->state != READER_AT_TAIL)
        return; /* it gets as far as the tail */
    if (reader->sse)
        reader_close(reader);
    else
        connection_close(reader->request->connection);
}

/* Ends a reader, with its answer if that is on its way, so that its client comes back and is checked again. */
static void reader_send_back(struct request *req)
{
    struct reader *reader = req->job;
    reader->ends_ms = req->router->now_ms; /* of one whose answer is on its way */
    (void)reader_stop(reader);
}

/* Live reads outlast what they were granted with. A reader ends if no key of its project verifies its token any more,
 * or if it came without one and neither project nor stream is public; if the origin of its page is not listed any more,
 * it is sent back. */
static void reader_recheck(struct request *req)
{
    struct reader *reader = req->job;
    if (!auth_renew(&req->router->auth, &req->grant, reader_project(reader)))
        reader_expire(reader);
    else if (!cors_holds(req, reader_project(reader)))
        reader_send_back(req);
    else
        reader_granted(reader);
}

void reader_heartbeat(struct deadline *beat)
{
    reader_sse_heartbeat((struct reader *)((char *)beat - offsetof(struct reader, beat)));
}

/* ---- what its entry and its request call ---- */

static void reader_spare(struct reader *reader)
{
    if (reader->sse)
        reader_sse_spare(reader);
}

const struct live_ops reader_live_ops = {
    .answered = reader_answered,
    .deliver = reader_deliver,
    .spare = reader_spare,
    .gone = reader_refuse,
};

static void reader_drop(struct request *req)
{
    reader_free(req->job);
}

static void reader_drained(struct request *req)
{
    reader_sse_drained(req->job);
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
    .recheck = reader_recheck,
    .send_back = reader_send_back,
};

struct reader *reader_of(const struct request *req)
{
    return req->ops == &reader_ops ? req->job : NULL;
}
