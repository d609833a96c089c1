/* `streamd tail`: prints a stream's messages as they come, once each, however often the connection or the server goes.
 *
 * What is printed is always a whole answer, or a data event whose control event has come; and the offset to go on from
 * changes with it, so there is neither a gap nor a double. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/boundaries.h"
#include "common/clock.h"
#include "common/document.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/offset.h"
#include "router/cli/cli.h"
#include "router/cli/cli_request.h"
#include "router/cli/event_stream.h"
#include "router/handlers/rules.h"
#include "router/live/sse.h"

#define RETRY_MS 100u
#define RETRY_MAX_MS 5000u
#define EVENT_MAX ((size_t)256 << 20) /* no event of ours is longer */

struct tail {
    struct command *command;
    struct target target;
    char *token;
    bool sse;
    char offset[OFFSET_LEN + 1]; /* where to go on; or "now", "-1" */
    struct buf cursor, incarnation;
    bool looked; /* it is known what the stream is */
    bool live;   /* nothing is behind the offset yet: the next request waits for it */
    bool began;  /* the server has answered before */
    bool over;
    int status;
    unsigned failures; /* in a row */

    /* Of the event stream that is being read. */
    struct call call;
    struct event_stream events;
    bool heard;      /* a control event came */
    struct buf data; /* of an event, until its control event is there */
    enum sse_kind kind;
};

static void cli_tail_end(struct tail *t, int status)
{
    t->over = true;
    t->status = status;
}

/* ---- printing ---- */

/* As it is; but what moves the cursor of a terminal is none of a stream's business. */
static void cli_tail_put(struct slice text)
{
    if (text.len && isatty(STDOUT_FILENO))
        command_print_text(text);
    else if (text.len)
        fwrite(text.data, 1, text.len, stdout);
}

/* One message a line: line ends inside of it are whitespace. */
static void cli_tail_put_message(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\n' || text[i] == '\r')
            text[i] = ' ';
    cli_tail_put(slice_of(text, len));
    cli_tail_put(SLICE("\n"));
}

static bool cli_tail_put_messages(struct slice json)
{
    struct buf messages = {0}, boundaries = {0};
    uint64_t count, length;
    bool last, good = json_messages(json, &messages, &boundaries, &count, NULL);
    struct slice rest = buf_slice(&boundaries);
    while (good && boundaries_next(&rest, &length, &last)) {
        cli_tail_put_message(messages.data + messages.start, (size_t)length - 1); /* without its comma */
        buf_consume(&messages, (size_t)length);
    }
    buf_clear(&messages);
    buf_clear(&boundaries);
    return good;
}

static int cli_tail_digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static bool cli_tail_decode_base64(struct slice text, struct buf *out)
{
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < text.len && text.data[i] != '='; i++) {
        int digit = cli_tail_digit_of(text.data[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            buf_add_byte(out, (uint8_t)(bits >> have & 255));
        }
    }
    return true;
}

static bool cli_tail_put_base64(struct slice text)
{
    struct buf bytes = {0};
    bool good = cli_tail_decode_base64(text, &bytes);
    cli_tail_put(buf_slice(&bytes));
    buf_clear(&bytes);
    return good;
}

/* What has become of the stream's bytes on the way here. */
static void cli_tail_broken(struct tail *t, const char *what)
{
    cli_tail_end(t, command_fail(t->command, "%s came damaged: is there a proxy that changes bodies?", what));
}

/* ---- answers ---- */

static bool cli_tail_copy_offset(struct tail *t, struct slice offset)
{
    uint64_t position;
    if (!offset_parse(offset, &position))
        return false;
    memcpy(t->offset, offset.data, OFFSET_LEN);
    t->offset[OFFSET_LEN] = '\0';
    return true;
}

/* A stream that was deleted and made anew has other messages at the same offsets. */
static bool cli_tail_same_stream(struct tail *t, const struct call *call)
{
    struct slice etag = call_header(call, "etag");
    const char *colon = etag.len ? memchr(etag.data, ':', etag.len) : NULL;
    if (!colon)
        return true;
    struct slice now = slice_of(etag.data, (size_t)(colon - etag.data));
    if (!buf_len(&t->incarnation))
        buf_add_slice(&t->incarnation, now);
    return slice_equal(buf_slice(&t->incarnation), now);
}

static void cli_tail_take_place(struct tail *t, const struct call *call)
{
    struct slice cursor = call_header(call, "stream-cursor");
    t->live = call_says(call, "stream-up-to-date", "true");
    buf_reset(&t->cursor);
    buf_add_slice(&t->cursor, cursor);
    if (call_says(call, "stream-closed", "true"))
        cli_tail_end(t, 0);
    else if (!cli_tail_copy_offset(t, call_header(call, "stream-next-offset")))
        cli_tail_end(
            t, command_fail(t->command, "an answer without Stream-Next-Offset: is there a proxy that removes it?"));
}

static void cli_tail_take_page(struct tail *t, const struct call *call)
{
    if (!cli_tail_same_stream(t, call)) {
        cli_tail_end(t, command_fail(t->command, "the stream was deleted, and is another one now"));
        return;
    }
    struct slice body = buf_slice(&call->text);
    if (sse_kind_of(call_header(call, "content-type")) != SSE_JSON)
        cli_tail_put(body);
    else if (!cli_tail_put_messages(body)) {
        cli_tail_broken(t, "an answer");
        return;
    }
    cli_tail_take_place(t, call);
}

/* What was asked for is gone already; what is there is next. */
static bool cli_tail_skip_gone(struct tail *t, const struct call *call)
{
    struct slice earliest = call_header(call, "stream-earliest-offset");
    if (call->status != 410 || !cli_tail_copy_offset(t, earliest))
        return false;
    command_say(t->command, "the stream does not keep what was next; going on at %s", t->offset);
    t->live = false;
    return true;
}

static bool cli_tail_may_pass(const struct call *call)
{
    return call->failure || call->status >= 500 || call->status == 429 || call->status == 408;
}

static void cli_tail_retry(struct tail *t, const struct call *call)
{
    uint64_t wait = RETRY_MS << (t->failures < 6 ? t->failures : 6);
    if (call->failure && !t->began) {
        cli_tail_end(t, call_fail(t->command, call));
        return;
    }
    /* One connection that ends is nothing to speak of. */
    if (t->failures++ == 1 && call->failure)
        command_say(t->command, "no answer (%s); trying again", call->failure);
    else if (t->failures == 2)
        command_say(t->command, "status %ld; trying again", call->status);
    command_pause(t->command, wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS);
}

static void cli_tail_take_answer(struct tail *t, const struct call *call)
{
    if (cli_tail_may_pass(call)) {
        cli_tail_retry(t, call);
        return;
    }
    t->began = true;
    t->failures = 0;
    if (call->status == 200)
        cli_tail_take_page(t, call);
    else if (call->status == 204)
        cli_tail_take_place(t, call);
    else if (!cli_tail_skip_gone(t, call))
        cli_tail_end(t, call_fail(t->command, call));
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
    struct call call = {.token = t->token};
    char *path = cli_tail_path_of(t);
    call_start(t->command, &call, path);
    call_wait(t->command, &call);
    if (!t->command->interrupted)
        cli_tail_take_answer(t, &call);
    free(path);
    call_clear(&call);
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
        good = cli_tail_put_messages(data);
    else if (good)
        good = cli_tail_put_base64(data);
    buf_reset(&t->data);
    buf_reset(&t->cursor);
    if (cursor)
        buf_add_text(&t->cursor, cursor);
    t->failures = 0;
    t->heard = true;
    if (!good)
        cli_tail_broken(t, "an event");
    else if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(control, "streamClosed")))
        cli_tail_end(t, 0);
    cJSON_Delete(control);
    command_flush(t->command);
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

/* An error's body is no event, and is for whoever looks at the answer. */
static bool cli_tail_on_piece(void *ctx, struct slice piece)
{
    struct tail *t = ctx;
    struct slice type = call_header(&t->call, "content-type");
    if (!slice_begins(type, SLICE("text/event-stream"))) {
        buf_add_slice(&t->call.text, piece);
        return buf_len(&t->call.text) < 1 << 16;
    }
    t->began = true;
    event_stream_feed(&t->events, piece);
    if (buf_len(&t->data) + buf_len(&t->events.data) + buf_len(&t->events.line) > EVENT_MAX)
        cli_tail_broken(t, "an event");
    return !t->over;
}

/* A connection ends in time, and the next one goes on. */
static void cli_tail_listen_once(struct tail *t)
{
    char *path = cli_tail_path_of(t);
    t->call = (struct call){.token = t->token, .piece = cli_tail_on_piece, .ctx = t};
    t->heard = false;
    t->events = (struct event_stream){.event = cli_tail_on_event, .ctx = t};
    call_start(t->command, &t->call, path);
    while (!t->call.done && !t->over && !t->command->interrupted)
        command_turn(t->command, COMMAND_TIMEOUT_MS);
    bool events = slice_begins(call_header(&t->call, "content-type"), SLICE("text/event-stream"));
    if (t->call.done && !t->over && (!events || t->call.failure))
        cli_tail_take_answer(t, &t->call);
    else if (t->call.done && !t->over && !t->heard) /* whoever ends it at once is not asked at once */
        command_pause(t->command, RETRY_MAX_MS);
    buf_reset(&t->data);
    event_stream_clear(&t->events);
    call_clear(&t->call);
    free(path);
}

/* ---- where to begin ---- */

/* Goes back from the tail by so many messages. */
static void cli_tail_go_back(struct tail *t, const struct call *call, uint64_t messages)
{
    uint64_t tail = 0;
    if (t->kind != SSE_JSON) {
        cli_tail_end(
            t, command_fail(
                   t->command,
                   "--last counts messages, and only a JSON stream has those; --from OFFSET works on any stream"));
        return;
    }
    (void)!offset_parse(call_header(call, "stream-next-offset"), &tail);
    offset_print(t->offset, tail - (messages < tail ? messages : tail));
    t->offset[OFFSET_LEN] = '\0';
}

/* What the stream is, and where its tail. */
static void cli_tail_look(struct tail *t, const char *last)
{
    struct call call = {.token = t->token};
    struct buf path = {0};
    uint64_t messages = 0;
    buf_add_slice(&path, SLICE("/v1/stream/"));
    buf_add_text(&path, t->target.path);
    buf_add(&path, "?offset=now", sizeof "?offset=now");
    call_make(t->command, &call, path.data);
    t->kind = sse_kind_of(call_header(&call, "content-type"));
    if (t->kind == SSE_TEXT)
        t->sse = false; /* events carry no CR: what is printed would not be what was written */
    if (!t->command->interrupted && (call.failure || call.status != 200)) {
        cli_tail_take_answer(t, &call);
    } else if (!t->command->interrupted) {
        t->began = t->looked = true;
        if (last && rules_integer(slice_str(last), RULES_INTEGER_MAX, &messages))
            cli_tail_go_back(t, &call, messages);
        else if (strcmp(t->offset, "now") == 0)
            cli_tail_take_place(t, &call);
    }
    buf_clear(&path);
    call_clear(&call);
}

static bool cli_tail_begin_at(struct tail *t, const char *from)
{
    if (strcmp(from, "now") == 0 || strcmp(from, "start") == 0)
        strcpy(t->offset, *from == 'n' ? "now" : "-1");
    else if (!cli_tail_copy_offset(t, slice_str(from)))
        return false;
    return true;
}

/* One request. Who is answered at once, and with nothing, does not ask again at once. */
static void cli_tail_go_on(struct tail *t)
{
    char before[sizeof t->offset];
    uint64_t began = clock_monotonic_ms();
    strcpy(before, t->offset);
    if (t->sse)
        cli_tail_listen_once(t);
    else
        cli_tail_poll_once(t);
    command_flush(t->command);
    if (!t->over && strcmp(before, t->offset) == 0 && clock_monotonic_ms() - began < RETRY_MS)
        command_pause(t->command, RETRY_MS);
}

static int cli_tail_follow(struct tail *t, const char *last)
{
    if (!command_token(t->command, t->target.project, &t->token))
        return 1;
    while (!t->looked && !t->over && !t->command->interrupted)
        cli_tail_look(t, last);
    while (!t->over && !t->command->interrupted) {
        command_token_free(t->token);
        if (!command_token(t->command, t->target.project, &t->token))
            return 1;
        cli_tail_go_on(t);
    }
    return t->status;
}

int command_tail(struct command *c)
{
    const char *from = command_option(c, "--from", "now"), *last = command_option(c, "--last", NULL);
    struct tail t = {.command = c, .sse = command_flag(c, "--sse")};
    const char *stream = command_argument(c);
    uint64_t number;
    if (command_misused(c))
        return 1;
    if (last && !rules_integer(slice_str(last), RULES_INTEGER_MAX, &number))
        return command_fail(c, "%s: --last is a number", last);
    if (!cli_tail_begin_at(&t, from))
        return command_fail(c, "%s: --from is start, now, or an offset", from);
    if (!target_parse(c, stream, &t.target))
        return 1;
    int status = cli_tail_follow(&t, last);
    command_token_free(t.token);
    target_clear(&t.target);
    buf_clear(&t.cursor);
    buf_clear(&t.incarnation);
    buf_clear(&t.data);
    return status;
}
