/* Server-sent events taken apart, whatever pieces they come in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "router/cli/event_stream.h"
#include "router/live/sse.h"

static void gather(void *ctx, struct slice type, struct slice data)
{
    struct buf *out = ctx;
    buf_add_slice(out, type);
    buf_add_byte(out, '<');
    buf_add_slice(out, data);
    buf_add_byte(out, '>');
}

/* In pieces of every size there is. */
static void expect(struct slice text, const char *events, size_t comments)
{
    for (size_t size = 1; size <= text.len; size++) {
        struct buf out = {0};
        struct event_stream stream = {.event = gather, .ctx = &out};
        for (size_t at = 0; at < text.len; at += size)
            event_stream_feed(&stream, slice_of(text.data + at, size < text.len - at ? size : text.len - at));
        buf_add_byte(&out, 0);
        assert_string_equal(out.data, events);
        assert_int_equal(stream.comments, comments);
        event_stream_clear(&stream);
        buf_clear(&out);
    }
}

static void events(void **state)
{
    (void)state;
    expect(SLICE("data: a\n\n"), "message<a>", 0);
    expect(SLICE("event: x\r\ndata:a\r\ndata:  b\r\n\r\n"), "x<a\n b>", 0);
    expect(SLICE("event:x\rdata\r\rdata:1\r\r"), "x<>message<1>", 0);
    expect(SLICE(": c\n\n: c\n\nid: 1\nevent: y\n\ndata: not whole\n"), "", 2);
    expect(SLICE("event: y\n\ndata:z\n\n"), "message<z>", 0);
}

/* What a router writes is read back. */
static void ours(void **state)
{
    struct buf out = {0};
    struct sse_event event = {.kind = SSE_TEXT, .data = SLICE("a\n\n b\r\nc\n"), .next = {0, 9}, .closed = true};
    (void)state;
    sse_render(&out, &event);
    event.kind = SSE_JSON;
    event.data = SLICE("{\"a\":\n1},2,");
    sse_render(&out, &event);
    expect(buf_slice(&out),
           "data<a\n\n b\nc\n>"
           "control<{\"streamNextOffset\":\"0000000000000000_0000000000000009\",\"streamWriteTimestamp\":0,"
           "\"streamClosed\":true}>"
           "data<[{\"a\":\n1},2]>"
           "control<{\"streamNextOffset\":\"0000000000000000_0000000000000009\",\"streamWriteTimestamp\":0,"
           "\"streamClosed\":true}>",
           0);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events),
        cmocka_unit_test(ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
