/* Every answer begins here, so that the rules for all of them stand in one place: counters, log, id, times, CORS, and
 * the framing that the request allows.
 *
 *     answer_begin() --> headers of the handler --> answer_end...()     a whole answer
 *                                              `--> answer_open() --> answer_add() ... --> answer_close()    in chunks
 *
 * The head is built in router->head, which all requests share: between begin and end no other answer may begin. A head
 * and a short body become one block and usually one send(); a body that others share is queued behind the head as it
 * is, without a copy.
 *
 * The order of an answer's end matters: its last piece is queued before request_done(), after which the connection may
 * take up the next request. */
#include "router/conn/answer.h"

#include <stdio.h>

#include "common/lives.h"
#include "router/conn/cors_headers.h"
#include "router/http/etag.h"
#include "router/observe/request_log.h"
#include "router/observe/timing.h"
#include "router/router.h"

bool answer_memory_full(const struct router *r)
{
    return r->outputs.block_bytes + r->connections.rows_bytes > r->cfg->router_answer_memory;
}

struct buf *answer_begin(struct request *req, int status)
{
    struct buf *head = &req->router->head;
    buf_reset(head);
    if (req->router->stopping || req->router->handover.draining)
        req->keep_alive = false; /* this process ends: the next request goes to another one */
    request_stats_answered(req, status);
    response_begin(head, status, &req->router->date);
    request_log_answer(req, head, status);
    timing_answer(req, head);
    cors_headers_add(req, head);
    return head;
}

/* Queues the head and room for `extra` bytes behind it, which it returns. */
static char *answer_queue_head(struct request *req, size_t extra)
{
    struct slice head = buf_slice(&req->router->head);
    struct block *block = block_new(&req->router->outputs, head.len + extra);
    char *room = block->data + head.len;
    memcpy(block->data, head.data, head.len);
    request_send(req, block, 0, block->len);
    block_unref(block);
    return room;
}

void answer_end(struct request *req, const struct slice *parts, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    response_end(&req->router->head, RESPONSE_LENGTH, len, req->keep_alive, req->http10);
    char *at = answer_queue_head(req, req->head_only ? 0 : len);
    for (size_t i = 0; i < count && !req->head_only; i++) {
        if (parts[i].len)
            memcpy(at, parts[i].data, parts[i].len);
        at += parts[i].len;
    }
    request_done(req);
}

void answer_end_block(struct request *req, struct block *body)
{
    response_end(&req->router->head, RESPONSE_LENGTH, body->len, req->keep_alive, req->http10);
    (void)answer_queue_head(req, 0);
    request_send(req, body, 0, body->len);
    request_done(req);
}

void answer_end_pieces(struct request *req, const struct output *body)
{
    response_end(&req->router->head, RESPONSE_LENGTH, body->bytes, req->keep_alive, req->http10);
    (void)answer_queue_head(req, 0);
    for (const struct piece *piece = body->first; piece; piece = piece->next)
        request_send(req, piece->block, piece->start, piece->len);
    request_done(req);
}

void answer_end_bare(struct request *req)
{
    response_end(&req->router->head, RESPONSE_NO_BODY, 0, req->keep_alive, req->http10);
    (void)answer_queue_head(req, 0);
    request_done(req);
}

void answer_json(struct request *req, struct slice body)
{
    struct buf *head = answer_begin(req, 200);
    response_add(head, "Content-Type", SLICE("application/json"));
    response_add(head, "Cache-Control", SLICE("no-store"));
    answer_end(req, &body, 1);
}

void answer_open(struct request *req)
{
    if (req->http10) /* HTTP/1.0 has no chunks: the end of the body is the end of the connection */
        req->keep_alive = false;
    response_end(&req->router->head, req->http10 ? RESPONSE_UNTIL_CLOSE : RESPONSE_CHUNKED, 0, req->keep_alive,
                 req->http10);
    (void)answer_queue_head(req, 0);
    req->chunked = !req->http10;
}

struct chunk answer_chunk(struct output_pool *pool, struct slice bytes)
{
    char size[RESPONSE_CHUNK_MAX];
    struct slice end = RESPONSE_CHUNK_END;
    size_t start = response_chunk(size, bytes.len);
    struct block *block = block_new(pool, start + bytes.len + end.len);
    memcpy(block->data, size, start);
    memcpy(block->data + start, bytes.data, bytes.len);
    memcpy(block->data + start + bytes.len, end.data, end.len);
    return (struct chunk){.block = block, .start = start, .len = bytes.len};
}

void answer_add(struct request *req, const struct chunk *chunk)
{
    if (req->chunked)
        request_send(req, chunk->block, 0, chunk->block->len);
    else
        request_send(req, chunk->block, chunk->start, chunk->len);
}

void answer_close(struct request *req)
{
    struct block *last = req->router->last_chunk;
    if (req->chunked)
        request_send(req, last, 0, last->len);
    req->chunked = false;
    request_done(req);
}

static void answer_count_error(const struct request *req, enum error error)
{
    struct metrics *metrics = req->router->metrics;
    metrics_add(metrics, METRIC_ERRORS + error, 1);
    if (error_class(error) == ERROR_ACCESS)
        metrics_add(metrics, METRIC_REFUSED + grant_refusal(&req->grant, error), 1);
}

/* The body that the protocol gives an error, word for word; NULL: JSON. */
static const char *answer_plain(enum error error)
{
    return error == ERR_EXPECTED_OFFSET_CONFLICT ? "Expected offset conflict"
           : error == ERR_STREAM_SEQ_REGRESSION  ? "Sequence conflict"
                                                 : NULL;
}

struct buf *answer_error_begin(struct request *req, enum error error)
{
    error = grant_told(&req->grant, error, NULL); /* the error as the client sees it, before anything counts it */
    int status = error_status(error);
    answer_count_error(req, error);
    struct buf *head = answer_begin(req, status);
    request_stats_refused(req, error);
    response_add(head, "Cache-Control", SLICE("no-store"));
    grant_challenge(&req->grant, error, head);
    if (status == 415)
        response_add(head, "Accept-Encoding", SLICE("identity"));
    if (error_retry_after(error))
        response_add_number(head, "Retry-After", error_retry_after(error));
    return head;
}

void answer_error_end(struct request *req, enum error error, const char *text)
{
    const char *plain = answer_plain(error);
    if (!plain) {
        answer_error_more(req, error, text, (struct slice){0});
        return;
    }
    const struct slice body = slice_str(plain);
    response_add(&req->router->head, "Content-Type", SLICE("text/plain"));
    response_add(&req->router->head, "Stream-Error-Code", slice_str(error_code(error)));
    answer_end(req, &body, 1);
}

void answer_error_more(struct request *req, enum error error, const char *text, struct slice more)
{
    struct buf body = {0};
    struct detail detail = {0};
    if (error == ERR_STREAM_NOT_FOUND && req->slash)
        text = "stream not found: the '/' at its end belongs to its name, which is another one without it";
    error = grant_told(&req->grant, error, &detail);
    response_error_body(&body, error, *detail.text ? detail.text : text, *detail.text ? (struct slice){0} : more);
    const struct slice part = buf_slice(&body);
    response_add(&req->router->head, "Content-Type", SLICE("application/json"));
    answer_end(req, &part, 1);
    buf_clear(&body);
}

void answer_error_text(struct request *req, enum error error, const char *text)
{
    (void)answer_error_begin(req, error);
    answer_error_end(req, error, text);
}

void answer_add_place(struct buf *head, int status, struct place at)
{
    char etag[ETAG_MAX];
    size_t len = etag_print_offset(etag, at.tail);
    if (status < 400 || status == 409 || status == 412)
        response_add(head, "ETag", slice_of(etag, len));
    response_add_number(head, "Stream-Incarnation", at.life);
    response_add(head, "Stream-Next-Offset", slice_of(etag + 1, len - 2)); /* what the tag has in quotes */
}

/* Where the stream is, for a client whose picture of it is another one. */
static void answer_add_state(struct buf *head, int status, const struct wire_stream *stream)
{
    answer_add_place(head, status, lives_place(stream->lives, stream->tail));
    if (stream->flags & WIRE_STREAM_CLOSED)
        response_add(head, "Stream-Closed", SLICE("true"));
}

void answer_refusal(struct request *req, const struct answer *answer)
{
    struct buf *head = answer_error_begin(req, answer->error);
    const struct wire_stream *stream = answer_stream(answer);
    int status = error_status(answer->error);
    if (stream && stream->uid && (status == 409 || status == 412))
        answer_add_state(head, status, stream);
    else if (stream && stream->uid)
        answer_add_incarnation(head, stream->lives);
    if (stream && (answer->error == ERR_OFFSET_GONE || answer->error == ERR_STREAM_RECREATED))
        response_add_offset(head, "Stream-Earliest-Offset", lives_offset(stream->lives, stream->earliest));
    answer_error_end(req, answer->error, answer->text);
}

void answer_error(struct request *req, enum error error)
{
    answer_error_text(req, error, NULL);
}

void answer_add_incarnation(struct buf *head, struct slice lives)
{
    response_add_number(head, "Stream-Incarnation", lives_newest(lives).life);
}

/* A restored stream: the life before, and the place where that ended. */
static void answer_add_restored(struct buf *head, struct slice lives)
{
    struct offset inherited = lives_offset(lives, lives_newest(lives).start);
    response_add_number(head, "Stream-Previous-Incarnation", inherited.life);
    response_add_offset(head, "Stream-Inherited-Offset", inherited);
}

void answer_add_metadata(struct buf *head, const struct wire_stream *stream)
{
    answer_add_state(head, 200, stream);
    if (stream->flags & WIRE_STREAM_RESTORED)
        answer_add_restored(head, stream->lives);
    response_add(head, "Content-Type", stream->content_type);
    response_add(head, "Cache-Control", SLICE("no-store"));
    if (stream->reader_key.len && !(stream->flags & WIRE_STREAM_PUBLIC)) {
        char key[64];
        int len = snprintf(key, sizeof key, "rk_%.*s", (int)stream->reader_key.len, stream->reader_key.data);
        response_add(head, "Stream-Reader-Key", slice_of(key, (size_t)len));
    }
    if (stream->flags & WIRE_STREAM_TTL)
        response_add_number(head, "Stream-TTL", stream->ttl_s);
    if (stream->flags & WIRE_STREAM_EXPIRES)
        response_add(head, "Stream-Expires-At", stream->expires_text);
    if (stream->retention_s)
        response_add_number(head, "Stream-Retention-Seconds", stream->retention_s);
    if (stream->retention_bytes)
        response_add_number(head, "Stream-Retention-Bytes", stream->retention_bytes);
    if (stream->retention_s || stream->retention_bytes || stream->earliest)
        response_add_offset(head, "Stream-Earliest-Offset", lives_offset(stream->lives, stream->earliest));
}

void answer_cut_short(struct request *req)
{
    request_drop_job(req);
    req->keep_alive = false;
    req->connection->linger = true; /* the rest of the request may be on its way */
}

void answer_refuse(struct request *req, enum error error, const char *text)
{
    answer_cut_short(req);
    answer_error_text(req, error, text);
}
