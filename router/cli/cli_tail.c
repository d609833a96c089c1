/* `streamd tail`: prints a stream's messages as they come, each once, however often the connection or the server
 * goes.
 *
 *     look (GET ?offset=now or ?tail=: type, place) --> go_on --> take_answer --200, 204--> print, new offset --> go_on
 *                                                           |--5xx, 408, 429, no answer--> pause --> go_on
 *                                                           |--410--> the earliest offset --> go_on
 *                                                           |--Stream-Closed--> the end, exit 0
 *                                                           `--anything else--> the end, exit 1
 *     With --sse, go_on reads one event stream; its control events bring the new offsets.
 *
 * A whole answer, or a data event whose control event has come, is printed; the offset to go on from changes with
 * it. So there is neither a gap nor a double after a broken connection.
 *
 * Failure modes: the very first request gets no answer: exit 1 at once, since the URL is probably wrong; later ones
 * are retried, 100 ms doubling up to 5 s. A stream that was deleted and created again (410 STREAM_RECREATED) ends
 * the command. Damaged JSON or base64 ends the command too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/document.h"
#include "common/errors.h"
#include "common/media_type.h"
#include "common/mem.h"
#include "common/offset.h"
#include "router/cli/cli.h"
#include "router/cli/cli_request.h"
#include "router/cli/commands.h"
#include "router/cli/event_stream.h"
#include "router/cli/messages.h"
#include "router/http/integer.h"
#include "router/live/sse.h"

#define RETRY_MS 100u
#define RETRY_MAX_MS 5000u
#define EVENT_MAX ((size_t)256 << 20) /* no event of ours is longer */

struct tail {
    struct cli *cli;
    struct cli_target target;
    char *token;
    bool sse;
    char offset[OFFSET_LEN + 1]; /* where to go on; or "now", "-1" */
    struct buf cursor;
    bool looked; /* it is known what the stream is */
    bool live;   /* nothing is behind the offset yet: the next request waits for it */
    bool began;  /* the server has answered before */
    bool over;
    int status;
    unsigned failures; /* in a row */

    /* Of the event stream that is being read. */
    struct cli_request request;
    struct event_stream events;
    bool got_control; /* a control event came */
    struct buf data;  /* of an event, until its control event is there */
    enum sse_kind kind;
};

static void cli_tail_end(struct tail *t, int status)
{
    t->over = true;
    t->status = status;
}

/* The stream's bytes were changed on the way here. */
static void cli_tail_broken(struct tail *t, const char *what)
{
    cli_tail_end(t, cli_fail(t->cli, "%s came damaged: is there a proxy that changes bodies?", what));
}

/* ---- answers ---- */

static bool cli_tail_copy_offset(struct tail *t, struct slice offset)
{
    struct offset place;
    if (!offset_parse(offset, &place))
        return false;
    memcpy(t->offset, offset.data, OFFSET_LEN);
    t->offset[OFFSET_LEN] = '\0';
    return true;
}

static void cli_tail_take_place(struct tail *t, const struct cli_request *request)
{
    struct slice cursor = cli_request_header(request, "stream-cursor");
    t->live = cli_request_says(request, "stream-up-to-date", "true");
    buf_reset(&t->cursor);
    buf_add_slice(&t->cursor, cursor);
    if (cli_request_says(request, "stream-closed", "true"))
        cli_tail_end(t, 0);
    else if (!cli_tail_copy_offset(t, cli_request_header(request, "stream-next-offset")))
        cli_tail_end(t, cli_fail(t->cli, "an answer without Stream-Next-Offset: is there a proxy that removes it?"));
}

static void cli_tail_take_page(struct tail *t, const struct cli_request *request)
{
    struct slice body = buf_slice(&request->text), type = cli_request_header(request, "content-type");
    bool printed = media_type_is_json(type) && messages_print(body);
    if (!printed && media_type_is_application_json(type)) {
        cli_tail_broken(t, "an answer");
        return;
    }
    if (!printed) /* an old stream of a type with "+json" may hold bytes */
        messages_print_bytes(body);
    cli_tail_take_place(t, request);
}

/* Offsets of another stream mean other messages. */
static bool cli_tail_is_recreated(const struct cli_request *request)
{
    cJSON *answer = document_parse(buf_slice(&request->text));
    const char *code = document_text(answer, "code");
    bool recreated = code && strcmp(code, error_code(ERR_STREAM_RECREATED)) == 0;
    cJSON_Delete(answer);
    return recreated;
}

/* The offset is gone: goes on with the first that the stream still has. */
static bool cli_tail_skip_gone(struct tail *t, const struct cli_request *request)
{
    struct slice earliest = cli_request_header(request, "stream-earliest-offset");
    if (request->status != 410 || !earliest.len)
        return false;
    if (cli_tail_is_recreated(request)) {
        cli_tail_end(t, cli_fail(t->cli, "the stream was deleted and created again, or restored"));
        return true;
    }
    if (!cli_tail_copy_offset(t, earliest))
        return false;
    cli_say(t->cli, "the stream no longer keeps the next messages; continuing at %s", t->offset);
    t->live = false;
    return true;
}

static bool cli_tail_may_pass(const struct cli_request *request)
{
    return request->failure || request->status >= 500 || request->status == 429 || request->status == 408;
}

static void cli_tail_retry(struct tail *t, const struct cli_request *request)
{
    /* The shift is bounded, because `failures` grows as long as the server is away. */
    uint64_t wait = RETRY_MS << (t->failures < 6 ? t->failures : 6);
    if (request->failure && !t->began) {
        cli_tail_end(t, cli_request_fail(t->cli, request));
        return;
    }
    /* One connection that ends is nothing to speak of. */
    if (t->failures++ == 1 && request->failure)
        cli_say(t->cli, "no answer (%s); retrying", request->failure);
    else if (t->failures == 2)
        cli_say(t->cli, "status %ld; retrying", request->status);
    cli_pause(t->cli, wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS);
}

static void cli_tail_take_answer(struct tail *t, const struct cli_request *request)
{
    if (cli_tail_may_pass(request)) {
        cli_tail_retry(t, request);
        return;
    }
    t->began = true;
    t->failures = 0;
    if (request->status == 200)
        cli_tail_take_page(t, request);
    else if (request->status == 204)
        cli_tail_take_place(t, request);
    else if (!cli_tail_skip_gone(t, request))
        cli_tail_end(t, cli_request_fail(t->cli, request));
}

/* ---- asking ---- */

static char *cli_tail_path_of(const struct tail *t)
{
    struct buf path = {0};
    buf_add_slice(&path, SLICE("/v1/stream/"));
    buf_add_text(&path, t->target.path);
    buf_add_slice(&path, SLICE("?offset="));
    buf_add_text(&path, t->offset);
    if (t->sse)
        buf_add_slice(&path, SLICE("&live=sse"));
    else if (t->live)
        buf_add_slice(&path, SLICE("&live=long-poll"));
    if (t->live && buf_len(&t->cursor)) {
        buf_add_slice(&path, SLICE("&cursor="));
        buf_add_slice(&path, buf_slice(&t->cursor));
    }
    char *text = xslicedup(buf_slice(&path));
    buf_clear(&path);
    return text;
}

static void cli_tail_poll_once(struct tail *t)
{
    struct cli_request request = {.token = t->token};
    char *path = cli_tail_path_of(t);
    cli_request_start(t->cli, &request, path);
    cli_request_wait(t->cli, &request);
    if (!t->cli->interrupted)
        cli_tail_take_answer(t, &request);
    free(path);
    cli_request_clear(&request);
}

/* ---- the same as an event stream ---- */

static void cli_tail_take_control(struct tail *t, struct slice json)
{
    cJSON *control = document_parse(json);
    const char *next = document_text(control, "streamNextOffset");
    const char *cursor = document_text(control, "streamCursor");
    struct slice data = buf_slice(&t->data);
    bool good = next && cli_tail_copy_offset(t, slice_str(next));
    if (good && data.len && t->kind == SSE_JSON)
        good = messages_print(data) || messages_print_base64(data);
    else if (good)
        good = messages_print_base64(data);
    buf_reset(&t->data);
    buf_reset(&t->cursor);
    if (cursor)
        buf_add_text(&t->cursor, cursor);
    t->failures = 0;
    t->got_control = true;
    if (!good)
        cli_tail_broken(t, "an event");
    else if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(control, "streamClosed")))
        cli_tail_end(t, 0);
    cJSON_Delete(control);
    cli_flush(t->cli);
}

static void cli_tail_on_event(void *ctx, struct slice type, struct slice data)
{
    struct tail *t = ctx;
    if (t->over)
        return;
    if (slice_equal(type, SLICE("control")))
        cli_tail_take_control(t, data);
    else if (slice_equal(type, SLICE("data")))
        buf_add_slice(&t->data, data);
}

/* The body of an error is no event: cli_tail_take_answer() reads it. */
static bool cli_tail_on_piece(void *ctx, struct slice piece)
{
    struct tail *t = ctx;
    struct slice type = cli_request_header(&t->request, "content-type");
    if (!slice_begins(type, SLICE("text/event-stream"))) {
        buf_add_slice(&t->request.text, piece);
        return buf_len(&t->request.text) < 1 << 16;
    }
    t->began = true;
    event_stream_feed(&t->events, piece);
    if (buf_len(&t->data) + buf_len(&t->events.data) + buf_len(&t->events.line) > EVENT_MAX)
        cli_tail_broken(t, "an event");
    return !t->over;
}

/* One connection. When it ends, the next one goes on from the offset. */
static void cli_tail_listen_once(struct tail *t)
{
    char *path = cli_tail_path_of(t);
    t->request = (struct cli_request){.token = t->token, .piece = cli_tail_on_piece, .ctx = t};
    t->got_control = false;
    t->events = (struct event_stream){.event = cli_tail_on_event, .ctx = t};
    cli_request_start(t->cli, &t->request, path);
    while (!t->request.done && !t->over && !t->cli->interrupted)
        cli_turn(t->cli, CLI_TIMEOUT_MS);
    bool events = slice_begins(cli_request_header(&t->request, "content-type"), SLICE("text/event-stream"));
    if (t->request.done && !t->over && (!events || t->request.failure))
        cli_tail_take_answer(t, &t->request);
    else if (t->request.done && !t->over && !t->got_control) /* a server that ends it at once is not asked at once */
        cli_pause(t->cli, RETRY_MAX_MS);
    buf_reset(&t->data);
    event_stream_clear(&t->events);
    cli_request_clear(&t->request);
    free(path);
}

/* ---- where to begin ---- */

/* Asks what the stream is, and where to begin: at its tail, or `last` messages before that. */
static void cli_tail_look(struct tail *t, const char *last)
{
    struct cli_request request = {.token = t->token};
    struct buf path = {0};
    buf_add_slice(&path, SLICE("/v1/stream/"));
    buf_add_text(&path, t->target.path);
    buf_add_text(&path, last ? "?limit=1&tail=" : "?offset=now");
    buf_add_text(&path, last ? last : "");
    buf_add_byte(&path, '\0');
    cli_request_make(t->cli, &request, path.data);
    struct slice type = cli_request_header(&request, "content-type");
    t->kind = sse_kind_of(type, media_type_is_json(type));
    if (t->kind == SSE_TEXT)
        t->sse = false; /* events carry no CR: what is printed would not be what was written */
    if (!t->cli->interrupted && (request.failure || request.status != 200)) {
        cli_tail_take_answer(t, &request);
    } else if (!t->cli->interrupted) {
        t->began = t->looked = true;
        if (last && !cli_tail_copy_offset(t, cli_request_header(&request, "stream-start-offset")))
            cli_tail_end(t, cli_fail(t->cli, "an answer without Stream-Start-Offset: is the server an older one?"));
        else if (strcmp(t->offset, "now") == 0)
            cli_tail_take_place(t, &request);
    }
    buf_clear(&path);
    cli_request_clear(&request);
}

static bool cli_tail_begin_at(struct tail *t, const char *from)
{
    if (strcmp(from, "now") == 0 || strcmp(from, "start") == 0)
        strcpy(t->offset, *from == 'n' ? "now" : "-1");
    else if (!cli_tail_copy_offset(t, slice_str(from)))
        return false;
    return true;
}

/* One request. After an answer that came at once and had nothing, the next one waits. */
static void cli_tail_go_on(struct tail *t)
{
    char before[sizeof t->offset];
    uint64_t began = clock_monotonic_ms();
    /* The offset before the request shows whether the answer brought anything. */
    strcpy(before, t->offset);
    if (t->sse)
        cli_tail_listen_once(t);
    else
        cli_tail_poll_once(t);
    cli_flush(t->cli);
    if (!t->over && strcmp(before, t->offset) == 0 && clock_monotonic_ms() - began < RETRY_MS)
        cli_pause(t->cli, RETRY_MS);
}

static int cli_tail_follow(struct tail *t, const char *last)
{
    if (!cli_token(t->cli, t->target.project, &t->token))
        return 1;
    while (!t->looked && !t->over && !t->cli->interrupted)
        cli_tail_look(t, last);
    while (!t->over && !t->cli->interrupted) {
        /* A token that this command signs lives ten minutes, and tail runs for days: each request gets a new one. */
        cli_token_free(t->token);
        if (!cli_token(t->cli, t->target.project, &t->token))
            return 1;
        cli_tail_go_on(t);
    }
    return t->status;
}

int cli_tail(struct cli *c)
{
    const char *from = cli_option(c, "--from", "now"), *last = cli_option(c, "--last", NULL);
    struct tail t = {.cli = c, .sse = cli_flag(c, "--sse")};
    const char *stream = cli_argument(c);
    uint64_t number;
    if (cli_misused(c))
        return 1;
    if (last && !integer_valid(slice_str(last), INTEGER_MAX, &number))
        return cli_fail(c, "%s: --last is a number", last);
    if (!cli_tail_begin_at(&t, from))
        return cli_fail(c, "%s: --from is start, now, or an offset", from);
    if (!cli_target_parse(c, stream, &t.target))
        return 1;
    int status = cli_tail_follow(&t, last);
    cli_token_free(t.token);
    cli_target_clear(&t.target);
    buf_clear(&t.cursor);
    buf_clear(&t.data);
    return status;
}
