/* A parser of text/event-stream (HTML standard, "Server-sent events"), fed in pieces of any size:
 *
 *     event: control\n   data: {"streamNextOffset":"..."}\n   \n   --> event("control", {...})
 *     : \n                                                          --> comments++, a heartbeat
 *
 * Lines end with LF, CR or CRLF, also between two pieces; a field's value loses one space after the colon; an empty
 * line dispatches the event, unless it has no data. Fields other than data and event are ignored. */
#include "router/cli/event_stream.h"

/* Each data line was added with a line feed; the last one is not part of the data. */
static void event_stream_dispatch(struct event_stream *s)
{
    struct slice data = buf_slice(&s->data);
    if (s->any)
        s->event(s->ctx, buf_len(&s->type) ? buf_slice(&s->type) : SLICE("message"), slice_of(data.data, data.len - 1));
    s->any = false;
    buf_reset(&s->type);
    buf_reset(&s->data);
}

static void event_stream_take_field(struct event_stream *s, struct slice name, struct slice value)
{
    if (slice_equal(name, SLICE("data"))) {
        buf_add_slice(&s->data, value);
        buf_add_byte(&s->data, '\n');
        s->any = true;
    } else if (slice_equal(name, SLICE("event"))) {
        buf_reset(&s->type);
        buf_add_slice(&s->type, value);
    }
}

static void event_stream_end_line(struct event_stream *s)
{
    struct slice line = buf_slice(&s->line), value = {0};
    const char *colon = line.len ? memchr(line.data, ':', line.len) : NULL;
    size_t name = colon ? (size_t)(colon - line.data) : line.len;
    if (colon)
        value = slice_of(colon + 1, line.len - name - 1);
    if (value.len && *value.data == ' ')
        value = slice_of(value.data + 1, value.len - 1);
    if (!line.len)
        event_stream_dispatch(s);
    else if (colon == line.data)
        s->comments++;
    else
        event_stream_take_field(s, slice_of(line.data, name), value);
    buf_reset(&s->line);
}

/* `after_cr` remembers a CR at the end of a piece, so that an LF at the start of the next one ends no second line. */
void event_stream_feed(struct event_stream *s, struct slice piece)
{
    size_t from = 0;
    for (size_t i = 0; i < piece.len; i++) {
        char c = piece.data[i];
        if (c != '\n' && c != '\r') {
            s->after_cr = false;
            continue;
        }
        buf_add_slice(&s->line, slice_part(piece, from, i - from));
        from = i + 1;
        if (c == '\r' || !s->after_cr)
            event_stream_end_line(s);
        s->after_cr = c == '\r';
    }
    buf_add_slice(&s->line, slice_from(piece, from));
}

void event_stream_clear(struct event_stream *s)
{
    buf_clear(&s->line);
    buf_clear(&s->type);
    buf_clear(&s->data);
}
