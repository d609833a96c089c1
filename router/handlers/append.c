/* POST: an append, a close, or both.
 *
 *     quota --> headers (rules.c) --> body as it is stored --> APPEND to the stream's shard
 *                                                                   |
 *          200, 204 or an error <-- append_answered() <-- APPENDED, after the commit
 *
 *     body [{"a":1}, 2] of application/json --> data `{"a":1},2,` and the boundaries of 2 messages
 *     body hello of text/plain              --> data `hello`, no boundaries
 *
 * Failure modes:
 *   - Quota, headers or JSON are wrong: the answer says so, and the shard is never asked.
 *   - The shard refuses (closed, stale epoch, a gap in the sequence): the answer has the headers by which a producer
 *     finds its place again.
 *   - The shard dies: an append with producer headers is sent to the next process, which recognises a duplicate. One
 *     without them, once sent, could be stored twice: it fails, and the client decides. */
#include "router/handlers/append.h"

#include "common/json.h"
#include "common/lives.h"
#include "common/media_type.h"
#include "router/auth/quota.h"
#include "router/conn/answer.h"
#include "router/conn/ask.h"
#include "router/handlers/handlers.h"
#include "router/handlers/rules.h"
#include "router/observe/timing.h"
#include "router/router.h"

/* Flags of the shard request: what the answer depends on beside the shard's reply. shard_request.number is the
 * Producer-Seq that came. */
#define APPEND_PRODUCER 1u   /* with producer headers */
#define APPEND_CLOSE_ONLY 2u /* without a body */

#define MESSAGES_KEEP ((size_t)1 << 20) /* a larger buffer is freed after the append that needed it */

static void append_add_fanout(struct buf *head, const struct wire_appended *m)
{
    static const struct slice modes[] = {
        [WIRE_FANOUT_INLINE] = {"inline", 6},
        [WIRE_FANOUT_QUEUED] = {"queued", 6},
        [WIRE_FANOUT_CIRCUIT_OPEN] = {"circuit-open", 12},
    };
    if (m->fanout == WIRE_FANOUT_NONE || m->fanout > WIRE_FANOUT_CIRCUIT_OPEN)
        return;
    response_add_number(head, "Stream-Fanout-Count", m->subscribers);
    response_add(head, "Stream-Fanout-Mode", modes[m->fanout]);
    if (m->fanout != WIRE_FANOUT_INLINE) /* nobody has waited for the subscribers, so there is nothing to count */
        return;
    response_add_number(head, "Stream-Fanout-Successes", m->successes);
    response_add_number(head, "Stream-Fanout-Failures", m->failures);
}

static void append_answer_appended(const struct shard_request *q, const struct wire_appended *m)
{
    struct request *req = q->request;
    bool producer = q->flags & APPEND_PRODUCER;
    bool created = producer && !(q->flags & APPEND_CLOSE_ONLY) && !(m->flags & WIRE_APPENDED_DUPLICATE);
    struct buf *head = answer_begin(req, created ? 200 : 204);
    answer_add_place(head, 200, lives_place(m->lives, m->tail));
    if (m->flags & WIRE_APPENDED_CLOSED)
        response_add(head, "Stream-Closed", SLICE("true"));
    if (producer) {
        response_add_number(head, "Producer-Epoch", m->epoch);
        response_add_number(head, "Producer-Seq", m->seq);
    }
    append_add_fanout(head, m);
    response_add(head, "Cache-Control", SLICE("no-store"));
    if (created)
        answer_end(req, NULL, 0);
    else
        answer_end_bare(req);
}

/* Where the stream is, for a client whose picture of it is another one. */
static void append_add_state(struct buf *head, const struct answer *answer)
{
    const struct wire_appended *m = answer_appended(answer);
    int status = error_status(answer->error);
    if ((m->flags & WIRE_APPENDED_NO_STREAM) || status >= 500)
        return;
    answer_add_place(head, status, lives_place(m->lives, m->tail));
    if ((m->flags & WIRE_APPENDED_CLOSED) && (status == 409 || status == 412))
        response_add(head, "Stream-Closed", SLICE("true"));
}

/* A refusal says where the stream is. Each 409 to a producer also names the next sequence number. Clients read a
 * missing Producer-Expected-Seq as 0: they then wait for batches that were stored long ago, or retry without end. */
static void append_answer_refused(const struct shard_request *q, const struct answer *answer)
{
    struct request *req = q->request;
    const struct wire_appended *m = answer_appended(answer);
    struct buf *head = answer_error_begin(req, answer->error);
    append_add_state(head, answer);
    if (answer->error == ERR_STALE_PRODUCER_EPOCH)
        response_add_number(head, "Producer-Epoch", m->epoch);
    if (answer->error == ERR_STREAM_SEQ_REGRESSION)
        response_add(head, "Stream-Seq", m->last_seq);
    if ((q->flags & APPEND_PRODUCER) && error_status(answer->error) == 409) {
        response_add_number(head, "Producer-Expected-Seq", m->expected);
        response_add_number(head, "Producer-Received-Seq", q->number);
    }
    answer_error_end(req, answer->error, answer->text);
}

/* This router sent the append twice because a shard died; the client sent it once. The first one was stored, and the
 * stream was closed after it: for the client that is a success. */
static bool append_taken_before(const struct shard_request *q, const struct answer *answer)
{
    return q->repeated && answer->error == ERR_STREAM_CLOSED && answer_appended(answer) &&
           (answer_appended(answer)->flags & WIRE_APPENDED_DUPLICATE);
}

static void append_answered(struct shard_request *q, const struct answer *answer)
{
    struct request *req = q->request;
    if (answer_appended(answer) && answer_appended(answer)->fanout == WIRE_FANOUT_INLINE)
        timing_fanned(req);
    if (answer->error == ERR_NONE || append_taken_before(q, answer))
        append_answer_appended(q, answer_appended(answer));
    else if (answer_appended(answer))
        append_answer_refused(q, answer);
    else
        answer_error_text(req, answer->error, answer->text);
}

/* The body as it is stored. JSON is written to the router's two buffers, which all appends share: wire_put_append()
 * copies from them in the same call. An empty array has no message, which is an error of its own
 * (PROTOCOL.md 9.1.2). */
static enum error append_take_body(struct router *r, struct slice body, struct wire_append *append,
                                   struct detail *detail)
{
    append->count = body.len;
    append->data = body;
    if (!body.len || !media_type_is_json(append->content_type))
        return ERR_NONE;
    if (!media_type_is_application_json(append->content_type)) {
        append->flags |= WIRE_APPEND_BODY; /* an old stream of such a type may hold bytes: the shard knows */
        return ERR_NONE;
    }
    buf_reset(&r->messages);
    buf_reset(&r->boundaries);
    if (!json_messages(body, &r->messages, &r->boundaries, &append->count, detail))
        return ERR_INVALID_JSON;
    if (!append->count)
        return ERR_EMPTY_JSON_ARRAY;
    append->data = buf_slice(&r->messages);
    if (append->count > 1)
        append->boundaries = buf_slice(&r->boundaries);
    return ERR_NONE;
}

void append_give_back(struct router *r)
{
    if (r->messages.cap > MESSAGES_KEEP)
        buf_clear(&r->messages);
    if (r->boundaries.cap > MESSAGES_KEEP)
        buf_clear(&r->boundaries);
}

static void append_submit(struct request *req, struct wire_append *append)
{
    struct shards *shards = &req->router->shards;
    struct shard_request *q = ask_shard(req, shards_of(shards, append->name), append_answered);
    append->id = q->id;
    wire_put_append(&q->frame, append);
    q->flags = (append->flags & WIRE_APPEND_PRODUCER ? APPEND_PRODUCER : 0) | (append->count ? 0 : APPEND_CLOSE_ONLY);
    q->number = append->seq;
    q->repeatable = q->flags & APPEND_PRODUCER; /* the shard knows a repeated one by its epoch and sequence */
    ask_send(q);
}

void handle_append(struct request *req, const struct http_head *head, struct slice name, struct slice body)
{
    struct wire_append append = {.name = name};
    struct detail detail = {0};
    enum error error = quota_append(req, name, body.len);
    if (error != ERR_NONE) {
        quota_refuse(req, error);
        return;
    }
    error = rules_append(head, body.len > 0, &append, &detail);
    if (error == ERR_NONE)
        error = append_take_body(req->router, body, &append, &detail);
    if (error == ERR_NONE)
        append_submit(req, &append);
    else
        answer_error_text(req, error, detail.text);
    append_give_back(req->router);
}
