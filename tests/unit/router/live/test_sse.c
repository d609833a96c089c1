#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "router/live/sse.h"

#define OFFSET "0000000000000000_0000000000000009"

/* The data event of a rendered pair must be exactly `lines`. */
static void expect_data(enum sse_kind kind, struct slice data, const char *lines)
{
    struct buf out = {0};
    const struct sse_event event = {.kind = kind, .data = data, .next = {0, 9}, .time_ms = 5, .cursor = 3};
    sse_render(&out, &event);
    buf_add_byte(&out, 0);
    char *text = out.data + out.start, *control = strstr(text, "\n\nevent: control\n");
    assert_non_null(control);
    control[1] = '\0';
    assert_int_equal(strncmp(text, "event: data\n", 12), 0);
    assert_string_equal(text + 12, lines);
    assert_string_equal(control + 2, "event: control\ndata:{\"streamNextOffset\":\"" OFFSET
                                     "\",\"streamWriteTimestamp\":5,\"streamCursor\":\"3\"}\nid: " OFFSET "\n\n");
    buf_clear(&out);
}

static void kinds(void **state)
{
    (void)state;
    assert_int_equal(sse_kind_of(SLICE("application/json"), true), SSE_JSON);
    assert_int_equal(sse_kind_of(SLICE("text/plain"), false), SSE_TEXT);
    assert_int_equal(sse_kind_of(SLICE("application/ndjson"), false), SSE_BASE64);
    assert_int_equal(sse_kind_of(SLICE("texts/plain"), false), SSE_BASE64);
    assert_int_equal(sse_kind_of(SLICE("text/x+json"), true), SSE_JSON);
    assert_int_equal(sse_kind_of(SLICE("text/x+json"), false), SSE_TEXT);
}

static void text(void **state)
{
    (void)state;
    expect_data(SSE_TEXT, SLICE("a"), "data:a\n");
    expect_data(SSE_TEXT, SLICE("a\nb"), "data:a\ndata:b\n");
    expect_data(SSE_TEXT, SLICE("a\r\nb"), "data:a\ndata:b\n");
    expect_data(SSE_TEXT, SLICE("a\rb"), "data:a\ndata:b\n");
    expect_data(SSE_TEXT, SLICE("a\n\nevent: control"), "data:a\ndata:\ndata:event: control\n");
    expect_data(SSE_TEXT, SLICE("a\n"), "data:a\ndata:\n");
    expect_data(SSE_TEXT, SLICE("a\r"), "data:a\ndata:\n");
    expect_data(SSE_TEXT, SLICE(" a\n  b\nc"), "data:  a\ndata:   b\ndata:c\n");
}

static void json(void **state)
{
    (void)state;
    expect_data(SSE_JSON, SLICE("1,"), "data:[1]\n");
    expect_data(SSE_JSON, SLICE("{\"a\":1},\"b\","), "data:[{\"a\":1},\"b\"]\n");
    expect_data(SSE_JSON,
                SLICE("{\n \"a\":1\r}"
                      ","),
                "data:[{\ndata:  \"a\":1\ndata:}]\n");
}

static void base64(void **state)
{
    (void)state;
    expect_data(SSE_BASE64, SLICE("f"), "data:Zg==\n");
    expect_data(SSE_BASE64, SLICE("fo"), "data:Zm8=\n");
    expect_data(SSE_BASE64, SLICE("foo"), "data:Zm9v\n");
    expect_data(SSE_BASE64, SLICE("foob"), "data:Zm9vYg==\n");
    expect_data(SSE_BASE64, SLICE("\xff\xfe\x00\x80"), "data://4AgA==\n");
}

static void expect_control(struct sse_event event, const char *json)
{
    struct buf out = {0};
    char expected[400];
    event.next = (struct offset){0, 9};
    sse_render(&out, &event);
    buf_add_byte(&out, 0);
    snprintf(expected, sizeof expected, "event: control\ndata:%s\nid: " OFFSET "\n\n", json);
    assert_string_equal(out.data + out.start, expected);
    buf_clear(&out);
}

static void control(void **state)
{
    (void)state;
    expect_control((struct sse_event){.up_to_date = true, .cursor = 12},
                   "{\"streamNextOffset\":\"" OFFSET "\",\"streamCursor\":\"12\",\"upToDate\":true}");
    expect_control((struct sse_event){.up_to_date = true, .closed = true},
                   "{\"streamNextOffset\":\"" OFFSET "\",\"upToDate\":true,\"streamClosed\":true}");
    expect_control((struct sse_event){.cursor = 12, .deleted = true},
                   "{\"streamNextOffset\":\"" OFFSET "\",\"streamCursor\":\"12\",\"streamDeleted\":true}");
    expect_control((struct sse_event){.cursor = 12, .recreated = true, .earliest = {77, 0}},
                   "{\"streamNextOffset\":\"" OFFSET "\",\"streamCursor\":\"12\",\"streamRecreated\":true,"
                   "\"streamEarliestOffset\":\"0000000000000077_0000000000000000\"}");
    struct buf out = {0};
    sse_render(&out, &(struct sse_event){.next = {0, 9}, .cursor = 12, .retry_ms = 150});
    assert_true(slice_equal(buf_slice(&out), SLICE("event: control\ndata:{\"streamNextOffset\":\"" OFFSET
                                                   "\",\"streamCursor\":\"12\"}\nid: " OFFSET "\nretry: 150\n\n")));
    buf_clear(&out);
}

static void cutting(void **state)
{
    (void)state;
    assert_int_equal(sse_text_cut(SLICE("")), 0);
    assert_int_equal(sse_text_cut(SLICE("abc")), 3);
    assert_int_equal(sse_text_cut(SLICE("abc\r")), 3);
    assert_int_equal(sse_text_cut(SLICE("abc\r\n")), 5);
    assert_int_equal(sse_text_cut(SLICE("a\r\r")), 2); /* the first one is a line end whatever comes */
    assert_int_equal(sse_text_cut(SLICE("a\r\xc3")), 2);
    assert_int_equal(sse_text_cut(SLICE("ab\xc3\xa4")), 4);
    assert_int_equal(sse_text_cut(SLICE("ab\xc3")), 2);
    assert_int_equal(sse_text_cut(SLICE("ab\xe2\x82")), 2);
    assert_int_equal(sse_text_cut(SLICE("ab\xf0\x9f\x98")), 2);
    assert_int_equal(sse_text_cut(SLICE("ab\xf0\x9f\x98\x80")), 6);
    assert_int_equal(sse_text_cut(SLICE("\xc3")), 0);
    assert_int_equal(sse_text_cut(SLICE("\r")), 0);
}

/* What can never become a character is not waited for. */
static void cutting_what_is_no_utf8(void **state)
{
    (void)state;
    static const char *const never[] = {"\x80\x80\x80\x80",
                                        "\xc0",
                                        "\xc1",
                                        "\xf5",
                                        "\xff",
                                        "\xe0\x9f",
                                        "\xed\xa0",
                                        "\xf0\x8f",
                                        "\xf4\x90",
                                        "\xf0\x9f\x40",
                                        "\xe2\x28",
                                        "\xc3\xa4\xa4",
                                        "\xf0\x9f\x98\x80\x80"};
    static const char *const begun[] = {"\xc2",     "\xdf",     "\xe0\xa0", "\xed\x9f",
                                        "\xee\x80", "\xf0\x90", "\xf4\x8f", "\xf1\x80\x80"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        assert_int_equal(sse_text_cut(slice_str(never[i])), strlen(never[i]));
    for (size_t i = 0; i < sizeof begun / sizeof *begun; i++)
        assert_int_equal(sse_text_cut(slice_str(begun[i])), 0);
}

/* However a text is cut into events, its lines are the same, and no more than three bytes wait. */
static void cuts_do_not_show(void **state)
{
    (void)state;
    static const char text[] = "a\r\n\xc3\xa9\r\r\n\xf0\x9f\x99\x82\xe4\xe4\n\xf0\x9f\n\xff\xe2\x82\xac\r";
    static const size_t len = sizeof text - 1;
    for (unsigned long cuts = 0; cuts < 1ul << (len - 1); cuts += 37) {
        size_t sent = 0, kept = 0;
        for (size_t i = 0; i < len; i++) {
            if (i + 1 < len && !(cuts >> i & 1))
                continue;
            struct slice waiting = slice_of(text + sent, i + 1 - sent);
            size_t cut = sse_text_cut(waiting);
            kept = waiting.len - cut;
            assert_true(kept <= SSE_KEPT_MAX);
            sent += cut;
            if (!kept)
                continue;
            /* It ends neither before a LF that belongs to a CR, nor inside a character. */
            assert_true(cut == 0 || text[sent] == '\r' || ((unsigned char)text[sent] & 0xc0) == 0xc0);
        }
        assert_int_equal(kept, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),
        cmocka_unit_test(text),
        cmocka_unit_test(json),
        cmocka_unit_test(base64),
        cmocka_unit_test(control),
        cmocka_unit_test(cutting),
        cmocka_unit_test(cutting_what_is_no_utf8),
        cmocka_unit_test(cuts_do_not_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
