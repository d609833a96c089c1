#include "router/conn/answer.h"

#include <stdio.h>

#include "router/auth/cors.h"
#include "router/observe/request_log.h"
#include "router/observe/timing.h"
#include "router/router.h"

bool answer_memory_full(const struct router *r)
{
    return r->outputs.block_bytes + r->clients.rows_bytes > r->cfg->router_answer_memory;
}

struct buf *answer_begin(struct client *c, int status)
{
    struct buf *head = &c->router->head;
    buf_reset(head);
    if (c->router->stopping || c->router->handover.draining)
        c->keep_alive = false;
    account_answered(c, status);
    response_begin(head, status, &c->router->date);
    request_log_answer(c, head, status);
    timing_answer(c, head);
    cors_add(c, head);
    return head;
}

/* Queues the head and room for `extra` bytes behind it, which it returns. */
static char *answer_queue_head(struct client *c, size_t extra)
{
    struct slice head = buf_slice(&c->router->head);
    struct block *block = block_new(&c->router->outputs, head.len + extra);
    char *room = block->data + head.len;
    memcpy(block->data, head.data, head.len);
    client_send(c, block, 0, block->len);
    block_unref(block);
    return room;
}

void answer_end(struct client *c, const struct slice *parts, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    response_end(&c->router->head, RESPONSE_LENGTH, len, c->keep_alive, c->http10);
    char *at = answer_queue_head(c, c->head_only ? 0 : len);
    for (size_t i = 0; i < count && !c->head_only; i++) {
        if (parts[i].len)
            memcpy(at, parts[i].data, parts[i].len);
        at += parts[i].len;
    }
    client_done(c);
}

void answer_end_block(struct client *c, struct block *body)
{
    response_end(&c->router->head, RESPONSE_LENGTH, body->len, c->keep_alive, c->http10);
    (void)answer_queue_head(c, 0);
    client_send(c, body, 0, body->len);
    client_done(c);
}

void answer_end_pieces(struct client *c, const struct output *body)
{
    response_end(&c->router->head, RESPONSE_LENGTH, body->bytes, c->keep_alive, c->http10);
    (void)answer_queue_head(c, 0);
    for (const struct piece *piece = body->first; piece; piece = piece->next)
        client_send(c, piece->block, piece->start, piece->len);
    client_done(c);
}

void answer_end_bare(struct client *c)
{
    response_end(&c->router->head, RESPONSE_NO_BODY, 0, c->keep_alive, c->http10);
    (void)answer_queue_head(c, 0);
    client_done(c);
}

void answer_json(struct client *c, struct slice body)
{
    struct buf *head = answer_begin(c, 200);
    response_add(head, "Content-Type", SLICE("application/json"));
    response_add(head, "Cache-Control", SLICE("no-store"));
    answer_end(c, &body, 1);
}

void answer_open(struct client *c)
{
    if (c->http10)
        c->keep_alive = false;
    response_end(&c->router->head, c->http10 ? RESPONSE_UNTIL_CLOSE : RESPONSE_CHUNKED, 0, c->keep_alive, c->http10);
    (void)answer_queue_head(c, 0);
}

static void answer_count_error(const struct client *c, enum error error)
{
    struct metrics *metrics = c->router->metrics;
    metrics_add(metrics, METRIC_ERRORS + error, 1);
    if (error == ERR_UNAUTHORIZED || error == ERR_FORBIDDEN || error == ERR_RATE_LIMITED ||
        error == ERR_AUTH_UNAVAILABLE)
        metrics_add(metrics, METRIC_REFUSED + auth_refusal(&c->grant, error), 1);
}

struct buf *answer_error_begin(struct client *c, enum error error)
{
    error = auth_told(&c->grant, error, NULL);
    int status = error_status(error);
    answer_count_error(c, error);
    struct buf *head = answer_begin(c, status);
    account_refused(c, error);
    response_add(head, "Content-Type", SLICE("application/json"));
    response_add(head, "Cache-Control", SLICE("no-store"));
    auth_challenge(&c->grant, error, head);
    if (status == 415)
        response_add(head, "Accept-Encoding", SLICE("identity"));
    if (error == ERR_RATE_LIMITED)
        response_add(head, "Retry-After", SLICE("60"));
    if (error == ERR_INSUFFICIENT_STORAGE || error == ERR_SEGMENT_BACKLOG)
        response_add(head, "Retry-After", SLICE("10"));
    if (status == 503)
        response_add(head, "Retry-After", SLICE("1"));
    return head;
}

void answer_error_end(struct client *c, enum error error, const char *text)
{
    struct buf body = {0};
    struct detail detail = {0};
    if (error == ERR_STREAM_NOT_FOUND && c->exchange.slash)
        text = "stream not found: the '/' at its end belongs to its name, which is another one without it";
    error = auth_told(&c->grant, error, &detail);
    response_error_body(&body, error, *detail.text ? detail.text : text);
    const struct slice part = buf_slice(&body);
    answer_end(c, &part, 1);
    buf_clear(&body);
}

void answer_error_text(struct client *c, enum error error, const char *text)
{
    (void)answer_error_begin(c, error);
    answer_error_end(c, error, text);
}

void answer_refusal(struct client *c, const struct answer *answer)
{
    struct buf *head = answer_error_begin(c, answer->error);
    if (answer->error == ERR_OFFSET_GONE && answer->stream)
        response_add_offset(head, "Stream-Earliest-Offset", answer->stream->earliest);
    answer_error_end(c, answer->error, answer->text);
}

void answer_error(struct client *c, enum error error)
{
    answer_error_text(c, error, NULL);
}

void answer_add_metadata(struct buf *head, const struct wire_stream *stream)
{
    response_add(head, "Content-Type", stream->content_type);
    response_add(head, "Cache-Control", SLICE("no-store"));
    if (stream->reader_key.len && !(stream->flags & WIRE_STREAM_PUBLIC)) {
        char key[64];
        int len = snprintf(key, sizeof key, "rk_%.*s", (int)stream->reader_key.len, stream->reader_key.data);
        response_add(head, "Stream-Reader-Key", slice_of(key, (size_t)len));
    }
    response_add_offset(head, "Stream-Next-Offset", stream->tail);
    if (stream->flags & WIRE_STREAM_CLOSED)
        response_add(head, "Stream-Closed", SLICE("true"));
    if (stream->flags & WIRE_STREAM_TTL)
        response_add_number(head, "Stream-TTL", stream->ttl_s);
    if (stream->flags & WIRE_STREAM_EXPIRES)
        response_add(head, "Stream-Expires-At", stream->expires_text);
    if (stream->retention_s)
        response_add_number(head, "Stream-Retention-Seconds", stream->retention_s);
    if (stream->retention_bytes)
        response_add_number(head, "Stream-Retention-Bytes", stream->retention_bytes);
    if (stream->retention_s || stream->retention_bytes || stream->earliest)
        response_add_offset(head, "Stream-Earliest-Offset", stream->earliest);
}
