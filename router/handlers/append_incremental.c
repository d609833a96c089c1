/* An incremental append: a body that is stored as it arrives, in pieces. Each piece is an APPEND of its own, so it is
 * as durable as any other, and readers see it while the request goes on.
 *
 *                    body: bytes are held                        append.piece_bytes, or append.piece_delay passed
 *     begin --> GATHERING ------------------> something to send ------------------------------------> UNDER WAY
 *                   ^                                                                                  |  |  |
 *                   |        the piece is stored, and the body goes on                                 |  |  |
 *                   +----------------------------------------------------------------------------------+  |  |
 *                                            the piece is stored, and the body was whole: 204 <-----------+  |
 *                                            refused, or something has ended the append: an error <----------+
 *
 * Happy path: the first bytes after a pause of append.piece_delay leave in the same turn; later ones wait for that
 * time, or until append.piece_bytes have come. One piece is under way at a time. With a JSON type a piece is whole
 * lines, each read like the body of an append (an array has its elements for messages); a partial line waits. The
 * headers' conditions and Stream-Seq go with the first piece, Stream-Closed with the last.
 *
 * Failure modes: whatever ends the append keeps what is stored, and the answer has Stream-Next-Offset, the tail as far
 * as it is known. Before the body's end the connection ends behind the answer.
 *   - The stream is closed or deleted by someone else: the append watches it like a live reader (live_writer), and is
 *     answered 409 or 404 while its client is silent.
 *   - A line is not valid: the lines before it are stored, then 400 says which line.
 *   - The shard dies: a piece that it may have is lost or stored, 503. Without such a piece the append goes on with
 *     the next process.
 *   - The shard is slow, or the project may append no faster: no more is read of the client than sixteen times
 *     append.piece_bytes, and one read of the socket. What is held counts in router.body_memory.
 *   - The client is silent for append.silence: 408. Its right ends, or the process stops: 401 or 503, behind the piece
 *     that is under way.
 *   - The client is gone: bytes that are held are dropped. */
#include "router/handlers/append_incremental.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/lives.h"
#include "common/log.h"
#include "common/media_type.h"
#include "common/mem.h"
#include "router/auth/cors.h"
#include "router/auth/quota.h"
#include "router/conn/answer.h"
#include "router/conn/incoming.h"
#include "router/conn/request_reader.h"
#include "router/handlers/append.h"
#include "router/handlers/rules.h"
#include "router/observe/request_stats.h"
#include "router/router.h"

#define HELD_PIECES 16 /* so many times append.piece_bytes are read while a piece is under way */

struct incremental {
    struct request *request;
    struct live_writer writer;
    struct shard_request *piece; /* under way, or NULL */
    struct list ready;           /* of incrementals.ready */
    struct deadline due;         /* DEADLINE_PIECE */
    struct json_lines lines;     /* JSON: how many were sent */
    size_t line_bytes;           /* JSON: of what is held, whole lines */
    uint64_t stored;             /* pieces */
    struct place at;             /* of the stream, if that is known */
    uint64_t sent_ms;            /* the last piece */
    uint64_t ends_ms;            /* the right to append */
    bool json;
    bool knows_place;
    bool whole;       /* all of the body has come */
    bool closing;     /* the piece under way closes the stream */
    bool slowed;      /* by the project's quota of appends a second: `due` tries again */
    enum error error; /* ends the append when the piece under way is answered */
    struct detail error_text;
};

static void incremental_free(struct incremental *a)
{
    if (a->piece)
        shard_request_abandon(&a->request->router->shards, a->piece);
    live_writer_leave(&a->writer);
    list_remove(&a->ready);
    deadline_clear(&a->due);
    free(a);
}

static struct slice incremental_name(const struct incremental *a)
{
    return a->request->incoming->route.name;
}

/* Bytes that could be sent now. */
static size_t incremental_there(const struct incremental *a)
{
    return a->json && !a->whole ? a->line_bytes : buf_len(&a->request->incoming->held);
}

/* ---- the answer ---- */

static void incremental_finish(struct incremental *a, bool closed)
{
    struct request *req = a->request;
    const struct place at = a->at;
    request_drop_job(req);
    struct buf *head = answer_begin(req, 204);
    answer_add_place(head, 204, at);
    if (closed)
        response_add(head, "Stream-Closed", SLICE("true"));
    response_add(head, "Cache-Control", SLICE("no-store"));
    answer_end_bare(req);
}

/* No piece is under way. text: of STREAM_SEQ_REGRESSION, the last Stream-Seq. */
static void incremental_refuse(struct incremental *a, enum error error, const char *text)
{
    struct request *req = a->request;
    const struct place at = a->at;
    bool has_place = a->knows_place && error != ERR_STREAM_NOT_FOUND && error != ERR_STREAM_GONE;
    struct detail detail = {0};
    snprintf(detail.text, sizeof detail.text, "%s", text ? text : "");
    if (a->whole)
        request_drop_job(req);
    else
        answer_cut_short(req);
    struct buf *head =
        error_class(error) == ERROR_QUOTA ? quota_refuse_begin(req, error, &detail) : answer_error_begin(req, error);
    if (error == ERR_STREAM_CLOSED)
        response_add(head, "Stream-Closed", SLICE("true"));
    if (error == ERR_STREAM_SEQ_REGRESSION)
        response_add(head, "Stream-Seq", slice_str(detail.text));
    if (has_place)
        answer_add_place(head, error_status(error), at);
    answer_error_end(req, error, detail.text);
}

/* Ends it at once, or behind the piece that is under way; what comes until then is dropped. text NULL: error_text(). */
static void incremental_end(struct incremental *a, enum error error, const char *text)
{
    if (a->error != ERR_NONE)
        return;
    if (!a->piece) {
        incremental_refuse(a, error, text);
        return;
    }
    a->error = error;
    snprintf(a->error_text.text, sizeof a->error_text.text, "%s", text ? text : "");
    connection_pause_body(a->request->connection, false);
}

/* ---- pieces ---- */

/* Sends the bytes that have come in this turn, or when they are due. */
static void incremental_plan(struct incremental *a)
{
    struct router *r = a->request->router;
    const struct config *cfg = r->cfg;
    size_t there = incremental_there(a);
    bool waits = a->piece || a->slowed;
    bool now = there >= cfg->append_piece_bytes || (there && r->now_ms - a->sent_ms >= cfg->append_piece_delay);
    if (!waits && now && list_empty(&a->ready))
        list_add_last(&r->incrementals.ready, &a->ready);
    else if (!waits && there && !now && !deadline_armed(&a->due))
        deadline_set(&r->deadlines, DEADLINE_PIECE, &a->due, r->now_ms + cfg->append_piece_delay);
    connection_pause_body(a->request->connection, waits && there >= HELD_PIECES * cfg->append_piece_bytes);
}

/* What is held as it is stored, up to `bytes`. A wrong line ends the append behind those before it. */
static void incremental_take(struct incremental *a, size_t bytes, struct wire_append *append)
{
    struct router *r = a->request->router;
    struct slice data = slice_of(buf_slice(&a->request->incoming->held).data, bytes);
    append->data = data;
    append->count = bytes;
    if (!a->json)
        return;
    buf_reset(&r->messages);
    buf_reset(&r->boundaries);
    a->error = json_lines(data, &r->messages, &r->boundaries, &a->lines, &a->error_text);
    append->data = buf_slice(&r->messages);
    append->count = a->lines.count;
    if (append->count > 1)
        append->boundaries = buf_slice(&r->boundaries);
}

static void incremental_answered(struct shard_request *q, const struct answer *answer);

static void incremental_submit(struct incremental *a, struct wire_append *append)
{
    struct shards *shards = &a->request->router->shards;
    struct shard_request *q = shard_request_new(shards, shards_of(shards, append->name), incremental_answered, a);
    q->request = a->request;
    append->id = q->id;
    wire_put_append(&q->frame, append);
    a->closing = append->flags & WIRE_APPEND_CLOSE;
    a->sent_ms = a->request->router->now_ms;
    a->piece = q;
    if (!shard_request_send(shards, q))
        a->piece = NULL; /* it is forgotten */
}

/* The headers of the request, as far as they are this piece's. They were checked at the beginning. Once the life of the
 * stream is known, pieces are for that one: the watch may tell too late that another stream has the name. The tail is
 * another one behind the first piece. */
static enum error incremental_head(const struct incremental *a, struct wire_append *append)
{
    struct wire_append all = {.name = incremental_name(a)};
    enum error error = rules_append(&a->request->incoming->head, true, &all, NULL);
    bool first = !a->stored;
    *append = first ? all : (struct wire_append){.name = all.name, .content_type = all.content_type};
    append->condition = all.condition;
    if (!first)
        append->condition.flags &= WIRE_IF_LIFE;
    if (a->knows_place && !(append->condition.flags & WIRE_IF_LIFE)) {
        append->condition.flags |= WIRE_IF_LIFE;
        append->condition.life = a->at.life;
    }
    append->flags = (uint8_t)((first ? all.flags : 0) & ~WIRE_APPEND_CLOSE);
    if (a->whole)
        append->flags |= all.flags & WIRE_APPEND_CLOSE;
    return error;
}

/* Whether the project may have the bytes. False: the append waits, or was answered. */
static bool incremental_pays(struct incremental *a, size_t bytes)
{
    struct router *r = a->request->router;
    enum error error = quota_append(a->request, incremental_name(a), bytes);
    a->slowed = error == ERR_QUOTA_RATE_EXCEEDED && a->stored;
    if (a->slowed) {
        deadline_set(&r->deadlines, DEADLINE_PIECE, &a->due, r->now_ms + r->cfg->append_piece_delay);
        incremental_plan(a);
    } else if (error != ERR_NONE) {
        incremental_refuse(a, error, NULL);
    }
    return error == ERR_NONE;
}

/* The piece has no messages: its lines are empty, or the first is wrong, or there are no bytes. */
static void incremental_send_nothing(struct incremental *a)
{
    if (a->error != ERR_NONE)
        incremental_refuse(a, a->error, a->error_text.text);
    else if (a->whole && !a->stored)
        incremental_refuse(a, ERR_EMPTY_BODY, NULL);
    else if (a->whole)
        incremental_finish(a, false);
}

/* Sends what there is. No piece is under way. */
static void incremental_send(struct incremental *a)
{
    struct request *req = a->request;
    struct wire_append append;
    size_t bytes = incremental_there(a);
    list_remove(&a->ready);
    deadline_clear(&a->due);
    if (bytes && !incremental_pays(a, bytes))
        return;
    enum error error = incremental_head(a, &append);
    incremental_take(a, bytes, &append);
    if (a->error != ERR_NONE)
        append.flags &= (uint8_t)~WIRE_APPEND_CLOSE;
    if (!append.count)
        append.content_type = SLICE("");
    bool something = append.count || (append.flags & WIRE_APPEND_CLOSE);
    if (something && error == ERR_NONE)
        incremental_submit(a, &append);
    append_give_back(req->router);
    incoming_consume(req, bytes);
    a->line_bytes -= a->json && !a->whole ? bytes : 0;
    if (!something)
        incremental_send_nothing(a);
    else if (!a->piece)
        incremental_refuse(a, ERR_OVERLOADED, NULL);
}

static void incremental_go_on(struct incremental *a)
{
    if (a->whole)
        incremental_send(a);
    else
        incremental_plan(a);
}

static void incremental_learn_place(struct incremental *a, struct slice lives, uint64_t tail)
{
    a->at = lives_place(lives, tail);
    a->knows_place = true;
}

/* Another stream has the name, and the client has not asked for a life: its stream is gone. */
static bool incremental_is_of_another(const struct incremental *a, const struct answer *answer)
{
    const struct wire_appended *m = answer_appended(answer);
    return m && answer->error == ERR_PRECONDITION_FAILED && a->knows_place &&
           lives_newest(m->lives).life != a->at.life &&
           !a->request->incoming->head.headers[HTTP_STREAM_INCARNATION_HEADER].data;
}

static void incremental_answered(struct shard_request *q, const struct answer *answer)
{
    struct incremental *a = q->owner;
    const struct wire_appended *m = answer_appended(answer);
    a->piece = NULL;
    if (incremental_is_of_another(a, answer)) {
        incremental_refuse(a, ERR_STREAM_NOT_FOUND, NULL);
        return;
    }
    if (m)
        incremental_learn_place(a, m->lives, m->tail);
    if (answer->error != ERR_NONE) {
        bool seq = answer->error == ERR_STREAM_SEQ_REGRESSION;
        snprintf(a->error_text.text, sizeof a->error_text.text, "%.*s", seq ? (int)m->last_seq.len : DETAIL_MAX,
                 seq            ? m->last_seq.data
                 : answer->text ? answer->text
                                : "");
        incremental_refuse(a, answer->error, a->error_text.text);
        return;
    }
    a->stored++;
    metrics_add(a->request->router->metrics, METRIC_PIECES, 1);
    if (a->error != ERR_NONE)
        incremental_refuse(a, a->error, a->error_text.text);
    else if (a->closing)
        incremental_finish(a, true);
    else
        incremental_go_on(a);
}

/* ---- the body ---- */

/* The timer of the connection: silence, or the end of the right. */
static void incremental_arm(struct incremental *a)
{
    const struct router *r = a->request->router;
    uint64_t left = a->ends_ms > r->now_ms ? a->ends_ms - r->now_ms : 0;
    uint64_t silence = r->cfg->append_silence;
    connection_arm(a->request->connection, DEADLINE_SILENCE, silence < left ? silence : left);
}

/* How much of what is held is whole lines. False: a line is too long. */
static bool incremental_see_lines(struct incremental *a, struct slice data)
{
    size_t held = buf_len(&a->request->incoming->held);
    const char *feed = memrchr(data.data, '\n', data.len);
    if (feed)
        a->line_bytes = held - (data.len - (size_t)(feed + 1 - data.data));
    return held - a->line_bytes <= a->request->router->cfg->limits_max_body;
}

static void incremental_body(struct request *req, struct slice data)
{
    struct incremental *a = req->job;
    struct detail detail;
    incremental_arm(a);
    if (!data.len || a->error != ERR_NONE)
        return;
    if (!incoming_add(req, data))
        incremental_end(a, ERR_OVERLOADED, "bodies that are arriving fill router.body_memory; try again");
    else if (a->json && !incremental_see_lines(a, data))
        incremental_end(a,
                        detail_say(&detail, ERR_PAYLOAD_TOO_LARGE,
                                   "a line of the body is larger than limits.max_body, %llu bytes",
                                   (unsigned long long)req->router->cfg->limits_max_body),
                        detail.text);
    else
        incremental_plan(a);
}

static void incremental_body_end(struct request *req)
{
    struct incremental *a = req->job;
    a->whole = true;
    connection_set_state(req->connection, CONNECTION_WAITING);
    if (!a->piece && !a->slowed)
        incremental_send(a);
}

/* ---- what ends it ---- */

static void incremental_told(struct live_writer *writer, enum error error, const struct wire_stream *stream)
{
    struct incremental *a = LIST_OWNER(writer, struct incremental, writer);
    if (error != ERR_NONE) {
        incremental_end(a, error, NULL);
        return;
    }
    bool closed = (stream->flags & WIRE_STREAM_CLOSED) && !a->closing;
    if (closed || !a->knows_place)
        incremental_learn_place(a, stream->lives, stream->tail);
    if (closed)
        incremental_end(a, ERR_STREAM_CLOSED, NULL);
}

static void incremental_drop(struct request *req)
{
    incremental_free(req->job);
}

static void incremental_send_back(struct request *req)
{
    struct incremental *a = req->job;
    if (!a->whole)
        incremental_end(a, ERR_APPEND_INTERRUPTED, NULL);
}

static void incremental_expired(struct request *req)
{
    struct incremental *a = req->job;
    const struct router *r = req->router;
    struct detail detail;
    if (r->now_ms >= a->ends_ms && !r->callbacks.on)
        incremental_end(a, ERR_UNAUTHORIZED, "the token expired during the append");
    else if (r->now_ms >= a->ends_ms)
        incremental_send_back(req);
    else if (a->piece || a->slowed)
        incremental_arm(a); /* the client may have been kept waiting */
    else
        incremental_end(a,
                        detail_say(&detail, ERR_REQUEST_TIMEOUT, "nothing came for append.silence, %llu ms",
                                   (unsigned long long)r->cfg->append_silence),
                        detail.text);
}

/* An answer to a whole body is on its way. */
static bool incremental_stop(struct request *req)
{
    const struct incremental *a = req->job;
    bool now = !a->piece && !a->whole;
    incremental_send_back(req);
    return now;
}

static void incremental_recheck(struct request *req)
{
    struct incremental *a = req->job;
    struct slice project = project_of(incremental_name(a));
    if (a->whole)
        return;
    if (!auth_renew(&req->router->auth, &req->grant, project) || req->grant.anonymous)
        incremental_end(a, ERR_UNAUTHORIZED, "no key of the project verifies the token any more");
    else if (!cors_holds(req, project))
        incremental_send_back(req);
}

static const struct job_ops incremental_ops = {
    .drop = incremental_drop,
    .expired = incremental_expired,
    .stop = incremental_stop,
    .body = incremental_body,
    .body_end = incremental_body_end,
    .recheck = incremental_recheck,
    .send_back = incremental_send_back,
};

/* ---- the beginning ---- */

/* A grant of the callback is asked for again after auth.callback_recheck: the client comes back for that. */
static uint64_t incremental_ends_ms(const struct request *req)
{
    const struct router *r = req->router;
    uint64_t left = grant_left_ms(&req->grant);
    if (r->callbacks.on && r->cfg->auth_callback_recheck < left)
        left = r->cfg->auth_callback_recheck;
    return left < UINT64_MAX - r->now_ms ? r->now_ms + left : UINT64_MAX;
}

void append_incremental_begin(struct request *req)
{
    struct wire_append append = {0};
    struct detail detail = {0};
    enum error error = rules_append(&req->incoming->head, true, &append, &detail);
    if (error != ERR_NONE) {
        answer_refuse(req, error, detail.text);
        return;
    }
    struct incremental *a = xcalloc(1, sizeof *a);
    a->request = req;
    a->json = media_type_is_json(append.content_type);
    a->ends_ms = incremental_ends_ms(req);
    a->writer.told = incremental_told;
    list_init(&a->ready);
    request_reader_give_body(req, &incremental_ops, a);
    live_writer_join(&req->router->live, incremental_name(a), &a->writer);
    request_stats_incremental(req);
    incremental_arm(a);
}

/* ---- all of a router ---- */

static void incrementals_on_due(evutil_socket_t fd, short what, void *arg)
{
    struct router *r = arg;
    (void)fd;
    (void)what;
    r->now_ms = clock_monotonic_ms(); /* the turn follows */
}

void incrementals_init(struct router *r)
{
    list_init(&r->incrementals.ready);
    r->incrementals.timer = evtimer_new(r->base, incrementals_on_due, r);
    if (!r->incrementals.timer)
        fatalx("cannot make a timer");
}

/* Those that are due later come later in the list, so a timer that is set need not be moved. */
static void incrementals_arm(struct router *r)
{
    const struct deadline *first = deadline_first(&r->deadlines, DEADLINE_PIECE);
    if (!first || evtimer_pending(r->incrementals.timer, NULL))
        return;
    uint64_t ms = first->at_ms > r->now_ms ? first->at_ms - r->now_ms : 0;
    const struct timeval after = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    evtimer_add(r->incrementals.timer, &after);
}

void incrementals_send(struct router *r)
{
    struct deadline *due;
    struct list *link;
    while ((due = deadline_expired(&r->deadlines, DEADLINE_PIECE, r->now_ms)))
        incremental_send(LIST_OWNER(due, struct incremental, due));
    while ((link = list_pop(&r->incrementals.ready)))
        incremental_send(LIST_OWNER(link, struct incremental, ready));
    incrementals_arm(r);
}
