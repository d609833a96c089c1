/* An event as bytes: "event: data", a line "data:" for each line of the payload, an empty line; then "event: control"
 * with a JSON document, the offset as the event's id, and perhaps "retry:".
 *
 * What makes it less simple: LF, CR and CRLF all end a line of an event stream, so a payload must not be able to end a
 * field; a browser decodes the stream as UTF-8, so a character must not be cut between two events; and one space after
 * the colon is taken away by readers, so a line that begins with one gets another. */
#include "router/live/sse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base64.h"
#include "common/media_type.h"
#include "common/offset.h"
#include "common/utf8.h"

enum sse_kind sse_kind_of(struct slice content_type, bool json)
{
    if (json)
        return SSE_JSON;
    return media_type_is_text(content_type) ? SSE_TEXT : SSE_BASE64;
}

/* ---- data ---- */

static size_t sse_line_length(struct slice text)
{
    size_t n = 0;
    while (n < text.len && text.data[n] != '\n' && text.data[n] != '\r')
        n++;
    return n;
}

/* Readers take one space after the colon away (HTML 9.2.6), so one is put there only where the line begins with one. */
static void sse_add_data_line(struct buf *out, struct slice line)
{
    if (line.len && line.data[0] == ' ')
        buf_add_slice(out, SLICE("data: "));
    else
        buf_add_slice(out, SLICE("data:"));
    buf_add_slice(out, line);
    buf_add_byte(out, '\n');
}

/* LF, CR and CRLF all end a line in an event stream: a payload must not be able to end a field or an event. */
static void sse_add_text(struct buf *out, struct slice text)
{
    for (;;) {
        size_t len = sse_line_length(text);
        sse_add_data_line(out, slice_of(text.data, len));
        if (len == text.len)
            return;
        size_t skip = text.data[len] == '\r' && len + 1 < text.len && text.data[len + 1] == '\n' ? len + 2 : len + 1;
        text = slice_of(text.data + skip, text.len - skip);
    }
}

/* The messages without the last comma, in brackets. Whitespace inside a message may hold line ends: the first line
 * begins with the bracket, and the last one gets the other. */
static void sse_add_json(struct buf *out, struct slice data)
{
    struct slice text = slice_of(data.data, data.len - 1);
    size_t len = sse_line_length(text);
    buf_add_slice(out, SLICE("data:["));
    buf_add(out, text.data, len);
    if (len < text.len) {
        buf_add_byte(out, '\n');
        sse_add_text(out, slice_of(text.data + len + 1, text.len - len - 1));
        out->end--; /* its last line end: the bracket goes there */
    }
    buf_add_slice(out, SLICE("]\n"));
}

static void sse_add_base64(struct buf *out, struct slice data)
{
    buf_add_slice(out, SLICE("data:"));
    base64_add(out, data);
    buf_add_byte(out, '\n');
}

static void sse_add_data(struct buf *out, const struct sse_event *event)
{
    buf_add_slice(out, SLICE("event: data\n"));
    switch (event->kind) {
    case SSE_JSON:
        sse_add_json(out, event->data);
        break;
    case SSE_TEXT:
        sse_add_text(out, event->data);
        break;
    case SSE_BASE64:
        sse_add_base64(out, event->data);
        break;
    }
    buf_add_byte(out, '\n');
}

/* ---- control ---- */

/* streamNextOffset stays the old one: a client that knows no streamRecreated comes back with it and is told 410. */
static void sse_add_recreated(struct buf *out, struct offset earliest)
{
    buf_add_slice(out, SLICE(",\"streamRecreated\":true,\"streamEarliestOffset\":\""));
    offset_add(out, earliest);
    buf_add_slice(out, SLICE("\""));
}

static void sse_add_control(struct buf *out, const struct sse_event *event)
{
    char offset[OFFSET_LEN], line[320];
    int len = 0;
    offset_print(offset, event->next);
    len = snprintf(line, sizeof line, "event: control\ndata:{\"streamNextOffset\":\"%.*s\"", OFFSET_LEN, offset);
    buf_add(out, line, (size_t)len);
    if (event->data.len) {
        len = snprintf(line, sizeof line, ",\"streamWriteTimestamp\":%" PRIu64, event->time_ms);
        buf_add(out, line, (size_t)len);
    }
    if (!event->closed) {
        len = snprintf(line, sizeof line, ",\"streamCursor\":\"%" PRIu64 "\"", event->cursor);
        buf_add(out, line, (size_t)len);
    }
    if (event->up_to_date)
        buf_add_slice(out, SLICE(",\"upToDate\":true"));
    if (event->closed)
        buf_add_slice(out, SLICE(",\"streamClosed\":true"));
    if (event->deleted)
        buf_add_slice(out, SLICE(",\"streamDeleted\":true"));
    if (event->recreated)
        sse_add_recreated(out, event->earliest);
    len = snprintf(line, sizeof line, "}\nid: %.*s\n", OFFSET_LEN, offset);
    buf_add(out, line, (size_t)len);
    if (event->retry_ms) {
        len = snprintf(line, sizeof line, "retry: %" PRIu64 "\n", event->retry_ms);
        buf_add(out, line, (size_t)len);
    }
    buf_add_byte(out, '\n');
}

void sse_render(struct buf *out, const struct sse_event *event)
{
    if (event->data.len)
        sse_add_data(out, event);
    sse_add_control(out, event);
}

/* ---- cutting ---- */

/* Whether `len` bytes can still become one character of UTF-8: some bytes make them one. */
static bool sse_is_begun(const char *bytes, size_t len)
{
    uint8_t low[4] = {0x80, 0x80, 0x80, 0x80}, high[4] = {0xbf, 0xbf, 0xbf, 0xbf};
    memcpy(low, bytes, len);
    memcpy(high, bytes, len);
    return utf8_length(low, sizeof low) > len || utf8_length(high, sizeof high) > len;
}

static size_t sse_unfinished_utf8(struct slice data)
{
    const char *end = slice_end(data);
    for (size_t back = 1; back <= SSE_KEPT_MAX && back <= data.len; back++)
        if (sse_is_begun(end - back, back))
            return back;
    return 0;
}

size_t sse_text_cut(struct slice data)
{
    size_t unfinished = sse_unfinished_utf8(data);
    if (!unfinished && data.len && data.data[data.len - 1] == '\r')
        unfinished = 1;
    return data.len - unfinished;
}
