/* What caches may keep. An answer that begins at an offset, or ends before one, never changes as far as it goes, so it
 * has an ETag and a max-age; one that begins "now", so many messages before the tail, at a time, or at the start of a
 * stream that drops its oldest data, is another one next time, and no cache keeps it. Shared caches keep an answer only
 * if everyone may read the stream. A long-poll's answer is kept for a moment, so that a crowd that waits for the same
 * is one request to streamd. */
#include "router/live/read_answer.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/lives.h"
#include "router/conn/answer.h"
#include "router/http/etag.h"
#include "router/router.h"

#define PAGE_AGE 60u
#define POLL_AGE 20u

static bool read_answer_at_tail(const struct wire_stream *stream)
{
    return stream->next == stream->tail;
}

/* A closed stream says so only where nothing follows (PROTOCOL.md 5.6). */
static bool read_answer_at_end(const struct wire_stream *stream)
{
    return read_answer_at_tail(stream) && (stream->flags & WIRE_STREAM_CLOSED);
}

static bool read_answer_is_json(const struct wire_stream *stream)
{
    return (stream->flags & WIRE_STREAM_JSON) != 0;
}

/* JSON is stored with a comma after each message: an array is all of it but the last, in brackets. */
static size_t read_answer_body_parts(const struct wire_stream *stream, struct slice parts[3])
{
    parts[0] = stream->data;
    if (!read_answer_is_json(stream))
        return 1;
    parts[0] = SLICE("[");
    parts[1] = slice_of(stream->data.data, stream->data.len ? stream->data.len - 1 : 0);
    parts[2] = SLICE("]");
    return 3;
}

struct block *read_answer_body(struct router *router, const struct wire_stream *stream)
{
    struct slice parts[3];
    size_t count = read_answer_body_parts(stream, parts), len = 0, at = 0;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    struct block *block = block_new(&router->outputs, len);
    for (size_t i = 0; i < count; at += parts[i++].len)
        if (parts[i].len)
            memcpy(block->data + at, parts[i].data, parts[i].len);
    return block;
}

static void read_answer_add_text(struct router *router, struct output *body, struct slice text)
{
    struct block *block = block_copy(&router->outputs, text);
    output_add(body, &router->outputs, block, 0, block->len);
    block_unref(block);
}

void read_answer_add(struct router *router, struct output *body, const struct wire_stream *stream, struct block *page)
{
    if (!page && !stream->data.len)
        return;
    if (read_answer_is_json(stream) && !body->bytes)
        read_answer_add_text(router, body, SLICE("["));
    if (page)
        output_add(body, &router->outputs, page, 0, page->len);
    else
        read_answer_add_text(router, body, stream->data);
}

void read_answer_whole(struct router *router, struct output *body, const struct wire_stream *stream)
{
    if (!read_answer_is_json(stream) || !body->bytes)
        return;
    output_shorten(body, 1);
    read_answer_add_text(router, body, SLICE("]"));
}

static void read_answer_add_etag(struct buf *head, const struct wire_stream *stream)
{
    char etag[ETAG_MAX];
    response_add(head, "ETag",
                 slice_of(etag, etag_print(etag, lives_newest(stream->lives).life, stream->start, stream->next,
                                           read_answer_at_end(stream))));
}

/* Nothing may be kept longer than the stream lives. */
static void read_answer_add_caching(const struct request *req, struct buf *head, const struct wire_stream *stream,
                                    unsigned age, const char *more)
{
    char text[80];
    uint64_t left_s = stream->remaining_ms / 1000;
    bool expires = stream->remaining_ms != UINT64_MAX;
    int len = snprintf(text, sizeof text, "%s, max-age=%u%s", req->shared_answer ? "public" : "private",
                       expires && left_s < age ? (unsigned)left_s : age, expires ? "" : more);
    response_add(head, "Cache-Control", slice_of(text, (size_t)len));
    if (!req->shared_answer) /* a browser's own cache must not serve it to a request without a token */
        response_add(head, "Vary",
                     *req->router->cfg->auth_cookie ? SLICE("Authorization, Cookie") : SLICE("Authorization"));
}

void read_answer_add_start(struct buf *head, const struct wire_stream *stream)
{
    response_add_offset(head, "Stream-Start-Offset", lives_offset(stream->lives, stream->start));
    if (stream->start <= stream->earliest)
        response_add(head, "Stream-At-Start", SLICE("true"));
}

static void read_answer_add_place(struct buf *head, const struct read_asked *asked, const struct wire_stream *stream)
{
    answer_add_incarnation(head, stream->lives);
    if (asked->from != WIRE_FROM_OFFSET)
        read_answer_add_start(head, stream);
    response_add_offset(head, "Stream-Next-Offset", lives_offset(stream->lives, stream->next));
    if (read_answer_at_tail(stream))
        response_add(head, "Stream-Up-To-Date", SLICE("true"));
    if (read_answer_at_end(stream))
        response_add(head, "Stream-Closed", SLICE("true"));
}

static void read_answer_add_facts(struct buf *head, const struct wire_stream *stream)
{
    response_add(head, "Content-Type", stream->content_type);
    if (stream->next > stream->start)
        response_add_number(head, "Stream-Write-Timestamp", stream->time_ms);
    if (stream->flags & WIRE_STREAM_TTL)
        response_add_number(head, "Stream-TTL", stream->ttl_s);
    if (stream->flags & WIRE_STREAM_EXPIRES)
        response_add(head, "Stream-Expires-At", stream->expires_text);
}

void read_asked_clear(struct read_asked *asked)
{
    free(asked->none_match);
    asked->none_match = NULL;
}

static const char *const read_answer_page_more = ", stale-while-revalidate=300";
static const char *const read_answer_cold_more = ", stale-while-revalidate=300, immutable"; /* while it is fresh */

/* Another time the same URL is another place in the stream. */
static bool read_answer_is_fleeting(const struct read_asked *asked, const struct wire_stream *stream)
{
    return asked->now || asked->from == WIRE_FROM_TAIL || asked->from == WIRE_FROM_SINCE ||
           (asked->earliest && (stream->retention_s || stream->retention_bytes));
}

static bool read_answer_not_modified(const struct read_asked *asked, const struct wire_stream *stream)
{
    char etag[ETAG_MAX];
    if (!asked->none_match || read_answer_is_fleeting(asked, stream))
        return false;
    size_t len =
        etag_print(etag, lives_newest(stream->lives).life, stream->start, stream->next, read_answer_at_end(stream));
    return etag_listed(slice_str(asked->none_match), slice_of(etag, len), ETAG_WEAK);
}

void read_answer_page(struct request *req, const struct read_asked *asked, const struct wire_stream *stream,
                      const struct output *body)
{
    struct slice parts[3];
    bool unchanged = read_answer_not_modified(asked, stream);
    req->shared_answer = grant_shared(&req->grant, stream);
    req->kept = req->shared_answer && !read_answer_is_fleeting(asked, stream);
    struct buf *head = answer_begin(req, unchanged ? 304 : 200);
    read_answer_add_place(head, asked, stream);
    if (read_answer_is_fleeting(asked, stream)) {
        response_add(head, "Cache-Control", SLICE("no-store"));
    } else {
        read_answer_add_caching(req, head, stream, PAGE_AGE,
                                stream->flags & WIRE_STREAM_COLD ? read_answer_cold_more : read_answer_page_more);
        read_answer_add_etag(head, stream);
    }
    if (unchanged) {
        answer_end_bare(req);
        return;
    }
    read_answer_add_facts(head, stream);
    if (body->bytes)
        answer_end_pieces(req, body);
    else
        answer_end(req, parts, read_answer_body_parts(stream, parts));
}

void read_answer_poll(struct request *req, const struct read_asked *asked, const struct wire_stream *stream,
                      uint64_t cursor, struct block *body)
{
    req->kept = req->shared_answer && !read_answer_is_fleeting(asked, stream);
    struct buf *head = answer_begin(req, 200);
    read_answer_add_place(head, asked, stream);
    if (read_answer_is_fleeting(asked, stream)) {
        response_add(head, "Cache-Control", SLICE("no-store"));
    } else {
        read_answer_add_caching(req, head, stream, POLL_AGE, "");
        read_answer_add_etag(head, stream);
    }
    read_answer_add_facts(head, stream);
    response_add_number(head, "Stream-Cursor", cursor);
    answer_end_block(req, body);
}

void read_answer_nothing(struct request *req, const struct read_asked *asked, const struct wire_stream *stream,
                         uint64_t cursor, bool closed)
{
    req->kept = req->shared_answer && !asked->now && asked->from == WIRE_FROM_OFFSET;
    struct buf *head = answer_begin(req, 204);
    if (asked->from != WIRE_FROM_OFFSET)
        read_answer_add_start(head, stream);
    answer_add_incarnation(head, stream->lives);
    response_add_offset(head, "Stream-Next-Offset", lives_offset(stream->lives, stream->next));
    response_add(head, "Stream-Up-To-Date", SLICE("true"));
    if (req->kept) /* nginx has it for those who wait for the same; it obeys the first */
        response_add(head, "X-Accel-Expires", SLICE("1"));
    response_add(head, "Cache-Control", SLICE("no-store"));
    if (closed)
        response_add(head, "Stream-Closed", SLICE("true"));
    else
        response_add_number(head, "Stream-Cursor", cursor);
    answer_end_bare(req);
}
