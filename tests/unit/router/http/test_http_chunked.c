#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>

#include "common/buf.h"
#include "router/http/http.h"
#include "tests/unit/exact.h"

struct decoded {
    enum http_parse state;
    size_t used;
    struct buf body;
};

/* Decodes in, handed over in pieces of `piece` bytes, each in a copy of exactly its length. */
static struct decoded decode(struct slice in, size_t piece)
{
    struct http_chunked chunked = {0};
    struct decoded d = {.state = HTTP_PARSE_MORE};
    while (d.used < in.len && d.state == HTTP_PARSE_MORE) {
        size_t len = in.len - d.used < piece ? in.len - d.used : piece, done = 0;
        struct slice part = exact_copy(slice_of(in.data + d.used, len));
        while (done < len && d.state == HTTP_PARSE_MORE) {
            struct slice data;
            size_t used;
            d.state = http_chunked_next(&chunked, slice_of(part.data + done, len - done), &data, &used);
            buf_add_slice(&d.body, data);
            assert_true(used <= len - done && (used > 0 || d.state != HTTP_PARSE_MORE));
            done += used;
        }
        d.used += done;
        exact_free(part);
    }
    return d;
}

/* The answer is the same whatever the size of the pieces. */
static void check(struct slice in, enum http_parse state, size_t used, struct slice body)
{
    for (size_t piece = 1; piece <= in.len; piece = piece < 64 ? piece + 1 : piece * 2 + 1) {
        struct decoded d = decode(in, piece);
        if (d.state != state || d.used != used || !slice_equal(buf_slice(&d.body), body))
            fail_msg("pieces of %zu: state %d, used %zu of %zu, body \"%.*s\", for:\n%.*s", piece, d.state, d.used,
                     used, (int)buf_len(&d.body), d.body.data, (int)in.len, in.data);
        buf_clear(&d.body);
    }
}

static void test_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *body;
    } rows[] = {
        {"0\r\n\r\n", ""},
        {"3\r\nabc\r\n0\r\n\r\n", "abc"},
        {"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde"},
        {"00000003\r\nabc\r\n00000000\r\n\r\n", "abc"},
        {"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789"},
        {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n"},
        {"3;ext\r\nabc\r\n0;x=y\r\n\r\n", "abc"},
        {"3 \t; a = \"b;\tc\"\r\nabc\r\n0\r\n\r\n", "abc"},
        {"3;a=\"\xff\\\"\\\\;\" ;b;c=d\r\nabc\r\n0;e=\"\"\r\n\r\n", "abc"},
        {"3;a = b\t;c\r\nabc\r\n0\r\n\r\n", "abc"},
        {"0\r\nTrailer: x\r\nOther:\ty \r\n\r\n", ""},
        {"0\r\nA:\r\nB:b:\xff\r\n\r\n", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice text = slice_str(rows[i].text);
        char more[128];
        check(text, HTTP_PARSE_DONE, text.len, slice_str(rows[i].body));
        snprintf(more, sizeof more, "%sGET /", rows[i].text);
        check(slice_str(more), HTTP_PARSE_DONE, text.len, slice_str(rows[i].body));
        for (size_t len = 1; len < text.len; len++) {
            struct decoded d = decode(slice_of(text.data, len), len);
            assert_int_equal(d.state, HTTP_PARSE_MORE);
            buf_clear(&d.body);
        }
    }
}

/* Each is refused at its last byte. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *body;
    } rows[] = {
        {"\r", ""},
        {"\n", ""},
        {" ", ""},
        {";", ""},
        {"g", ""},
        {"-", ""},
        {"+", ""},
        {"0x", ""},
        {"3\n", ""},
        {"3\r\r", ""},
        {"3\ra", ""},
        {"3 \r", ""},
        {"3 4", ""},
        {"3\tx", ""},
        {"3,", ""},
        {"3h", ""},
        {"000000003", ""},
        {"100000000", ""},
        {"3;a\n", ""},
        {"3;a\x01", ""},
        {"3;a\x7f", ""},
        {"3;a\r\r", ""},
        {"3;\r", ""},
        {"3; ;", ""},
        {"3;\xff", ""},
        {"3;=", ""},
        {"3;\"", ""},
        {"3;a \r", ""},
        {"3;a b", ""},
        {"3;a:", ""},
        {"3;a=\r", ""},
        {"3;a=;", ""},
        {"3;a==", ""},
        {"3;a=b=", ""},
        {"3;a=b\"", ""},
        {"3;a=b c", ""},
        {"3;a=\"\r", ""},
        {"3;a=\"\n", ""},
        {"3;a=\"\\\r", ""},
        {"3;a=\"\\\"\r", ""},
        {"3;a=\"b\"c", ""},
        {"3;a=\"b\"\"", ""},
        {"3\r\nabcd", "abc"},
        {"3\r\nabc\n", "abc"},
        {"3\r\nabc\rx", "abc"},
        {"3\r\nabc\r\n\r", "abc"},
        {"0\r\n\n", ""},
        {"0\r\n\rx", ""},
        {"0\r\n ", ""},
        {"0\r\n\t", ""},
        {"0\r\n\x01", ""},
        {"0\r\n:", ""},
        {"0\r\nA\r", ""},
        {"0\r\nGET ", ""},
        {"0\r\nA: b\r\nB\r", ""},
        {"0\r\n\xff", ""},
        {"0\r\nA: b\n", ""},
        {"0\r\nA: b\x7f", ""},
        {"0\r\nA: b\r\r", ""},
        {"0\r\nA: b\r\n ", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(slice_str(rows[i].text), HTTP_PARSE_BAD, strlen(rows[i].text), slice_str(rows[i].body));
    check(SLICE("3;\0"), HTTP_PARSE_BAD, 3, SLICE(""));
    check(SLICE("0\r\n\0"), HTTP_PARSE_BAD, 4, SLICE(""));
}

/* Extensions and trailers may be 4096 bytes together, in one body. */
static void test_skipped_limit(void **state)
{
    (void)state;
    struct buf text = {0};
    for (unsigned i = 0; i < 40; i++) { /* 101 bytes of extension each */
        buf_add_slice(&text, SLICE("1;"));
        memset(buf_reserve(&text, 100), 'x', 100);
        buf_grow(&text, 100);
        buf_add_slice(&text, SLICE("\r\n.\r\n"));
    }
    buf_add_slice(&text, SLICE("0\r\n"));
    struct slice in = buf_slice(&text);
    struct decoded d = decode(in, in.len);
    assert_int_equal(d.state, HTTP_PARSE_MORE);
    assert_int_equal(buf_len(&d.body), 40);
    buf_clear(&d.body);

    memset(buf_reserve(&text, 57), 't', 57); /* 40 * 101 + 57 = 4097 */
    buf_grow(&text, 57);
    in = buf_slice(&text);
    d = decode(slice_of(in.data, in.len - 1), in.len);
    assert_int_equal(d.state, HTTP_PARSE_MORE);
    buf_clear(&d.body);
    d = decode(in, in.len);
    assert_int_equal(d.state, HTTP_PARSE_BAD);
    buf_clear(&d.body);
    buf_clear(&text);
}

/* Spaces before an extension count as part of it. */
static void test_skipped_spaces(void **state)
{
    (void)state;
    char text[4098];
    memset(text, ' ', sizeof text);
    text[0] = '1';
    struct decoded d = decode(slice_of(text, 4097), 4097);
    assert_int_equal(d.state, HTTP_PARSE_MORE);
    d = decode(slice_of(text, 4098), 4098);
    assert_int_equal(d.state, HTTP_PARSE_BAD);
}

/* Data comes as runs inside the input, not byte by byte. */
static void test_runs(void **state)
{
    (void)state;
    struct http_chunked chunked = {0};
    struct slice in = SLICE("ffffffff\r\nabcdef"), data;
    size_t used;
    assert_int_equal(http_chunked_next(&chunked, in, &data, &used), HTTP_PARSE_MORE);
    assert_ptr_equal(data.data, in.data + 10);
    assert_int_equal(data.len, 6);
    assert_int_equal(used, in.len);
    assert_true(chunked.left == 0xffffffff - 6);
    assert_int_equal(http_chunked_next(&chunked, slice_of(NULL, 0), &data, &used), HTTP_PARSE_MORE);
    assert_int_equal(data.len, 0);
    assert_int_equal(used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),         cmocka_unit_test(test_refused), cmocka_unit_test(test_skipped_limit),
        cmocka_unit_test(test_skipped_spaces), cmocka_unit_test(test_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
