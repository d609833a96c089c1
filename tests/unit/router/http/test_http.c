#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>

#include "common/buf.h"
#include "common/tchar.h"
#include "router/http/http.h"
#include "tests/unit/exact.h"

struct result {
    enum http_parse state;
    struct http_head head;
    size_t used;
    enum error error;
    struct detail why;
};

static struct result parse(struct slice in)
{
    struct result r = {.error = ERR_NONE};
    size_t from = 0;
    r.state = http_head_parse(in, &from, &r.head, &r.used, &r.error, &r.why);
    return r;
}

static bool same_place(struct slice a, const char *a_start, struct slice b, const char *b_start)
{
    if (!a.data || !b.data)
        return a.data == b.data;
    return a.len == b.len && (a.len == 0 || a.data == b.data || a.data - a_start == b.data - b_start);
}

/* Two results over different copies of the same bytes. */
static bool same_result(const struct result *a, const char *a_start, const struct result *b, const char *b_start)
{
    const struct http_head *x = &a->head, *y = &b->head;
    if (a->state != b->state)
        return false;
    if (a->state == HTTP_PARSE_BAD)
        return a->error == b->error && strcmp(a->why.text, b->why.text) == 0;
    for (unsigned i = 0; i < HTTP_HEADER_COUNT; i++)
        if (!same_place(x->headers[i], a_start, y->headers[i], b_start))
            return false;
    return a->used == b->used && x->method == y->method && same_place(x->target, a_start, y->target, b_start) &&
           same_place(x->path, a_start, y->path, b_start) && same_place(x->query, a_start, y->query, b_start) &&
           x->http10 == y->http10 && x->keep_alive == y->keep_alive && x->expect_continue == y->expect_continue &&
           x->chunked == y->chunked && x->content_length == y->content_length;
}

/* Byte after byte, as a slow client sends it, each time in a copy of exactly what has come. */
static void check_splits(struct slice in)
{
    struct result whole = parse(in), r = {.error = ERR_NONE};
    size_t from = 0, len = 0;
    for (;;) {
        struct slice part = exact_copy(slice_of(in.data, len));
        size_t before = from;
        r.state = http_head_parse(part, &from, &r.head, &r.used, &r.error, &r.why);
        bool flushed = r.state != HTTP_PARSE_MORE || len == in.len;
        if (flushed && !same_result(&whole, in.data, &r, part.data))
            fail_msg("differs after %zu bytes of:\n%.*s", len, (int)in.len, in.data);
        exact_free(part);
        if (flushed)
            return;
        assert_true(from >= before && from <= len);
        len++;
    }
}

static void check_refused(struct slice in, enum error error)
{
    struct slice copy = exact_copy(in);
    struct result r = parse(copy);
    if (r.state != HTTP_PARSE_BAD || r.error != error || !*r.why.text)
        fail_msg("state %d, error %s, expected %s, for:\n%.*s", r.state, error_code(r.error), error_code(error),
                 (int)in.len, in.data);
    exact_free(copy);
    check_splits(in);
}

#define H "Host: h\r\n"
#define GET(rest) "GET / HTTP/1.1\r\n" H rest "\r\n"
#define GET10(rest) "GET / HTTP/1.0\r\n" rest "\r\n"

struct row {
    const char *text;
    enum error error;
};

static const struct row refused_lines[] = {
    {"\n", ERR_BAD_REQUEST},
    {"\nGET / HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"\r\rGET / HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {" GET / HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"\x16\x03\x01", ERR_BAD_REQUEST},
    {"(GET) / HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"G(T / HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET\r\n\r\n", ERR_BAD_REQUEST},
    {"GET \r\n\r\n", ERR_BAD_REQUEST},
    {"GET /\r\n\r\n", ERR_BAD_REQUEST},
    {"GET / \r\n\r\n", ERR_BAD_REQUEST},
    {"GET / H\r\n\r\n", ERR_BAD_REQUEST},
    {"GET  / HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET /  HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET / HTTP/1.1 \r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET\t/\tHTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET / x HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET / http/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET / HTTP/11\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET / HTTP/1.10\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET / HTTP/1.\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET / HTTP/1.1\r" H "\r\n\r\n", ERR_BAD_REQUEST},
    {"GET / HTTP/1.1\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET / HTTP/0.9\r\n" H "\r\n", ERR_HTTP_VERSION_NOT_SUPPORTED},
    {"GET / HTTP/2.0\r\n" H "\r\n", ERR_HTTP_VERSION_NOT_SUPPORTED},
    {"GET / HTTP/3.1\r\n" H "\r\n", ERR_HTTP_VERSION_NOT_SUPPORTED},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ERR_HTTP_VERSION_NOT_SUPPORTED},
    {"GET * HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"OPTIONS ** HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET a HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET ?q HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"CONNECT h:80 HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET /\x7f HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET /\x01 HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET /#f HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET http:// HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET http:///p HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET http://?q HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET http://h#f HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET http://u@h HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET http://u@h/p HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET http:/h/p HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET ftp://h/p HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
    {"GET http://h\\/p HTTP/1.1\r\n" H "\r\n", ERR_BAD_REQUEST},
};

static const struct row refused_headers[] = {
    {GET("A: b\n"), ERR_BAD_REQUEST},
    {GET("A: b\rC: d\r\n"), ERR_BAD_REQUEST},
    {GET("A: b\r\r\n"), ERR_BAD_REQUEST},
    {GET("A: b\rxC: d\r\n"), ERR_BAD_REQUEST},
    {"G\n", ERR_BAD_REQUEST},
    {"GET / HTTP/1.1\r\n\n", ERR_BAD_REQUEST},
    {"GET / HTTP/1.1\r\n" H "\n", ERR_BAD_REQUEST},
    {"GET / HTTP/1.1\r\n" H "\rX\r\n\r\n", ERR_BAD_REQUEST},
    {GET("A: b\r\n c\r\n"), ERR_BAD_REQUEST},
    {GET("A: b\r\n\tc\r\n"), ERR_BAD_REQUEST},
    {"GET / HTTP/1.1\r\n " H "\r\n", ERR_BAD_REQUEST},
    {GET("A : b\r\n"), ERR_BAD_REQUEST},
    {GET("A\t: b\r\n"), ERR_BAD_REQUEST},
    {GET(": b\r\n"), ERR_BAD_REQUEST},
    {GET("A\r\n"), ERR_BAD_REQUEST},
    {GET("A b: c\r\n"), ERR_BAD_REQUEST},
    {GET("A(b): c\r\n"), ERR_BAD_REQUEST},
    {GET("\"A\": c\r\n"), ERR_BAD_REQUEST},
    {GET("\xc3\xa9: c\r\n"), ERR_BAD_REQUEST},
    {GET("A\x01: c\r\n"), ERR_BAD_REQUEST},
    {GET("A: \x01\r\n"), ERR_BAD_REQUEST},
    {GET("A: 01234567\01389\r\n"), ERR_BAD_REQUEST},
    {GET("A: b\x7f\r\n"), ERR_BAD_REQUEST},
    {GET("A: 0123456789\037abc\r\n"), ERR_BAD_REQUEST},
    {"GET / HTTP/1.1\r\n\r\n", ERR_BAD_REQUEST},
    {"GET / HTTP/1.1\r\nHost : h\r\n\r\n", ERR_BAD_REQUEST},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", ERR_BAD_REQUEST},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", ERR_BAD_REQUEST},
    {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", ERR_BAD_REQUEST},
    {"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", ERR_BAD_REQUEST},
    {"GET http://a/ HTTP/1.1\r\n\r\n", ERR_BAD_REQUEST},
    {"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", ERR_DUPLICATE_HEADER},
    {GET(H), ERR_DUPLICATE_HEADER},
    {GET10(H "hOST: h\r\n"), ERR_DUPLICATE_HEADER},
    {GET("Expect: 200-ok\r\n"), ERR_EXPECTATION_FAILED},
    {GET("Expect:\r\n"), ERR_EXPECTATION_FAILED},
    {GET("Expect: 100-continue, x\r\n"), ERR_EXPECTATION_FAILED},
};

static const struct row refused_bodies[] = {
    {GET("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), ERR_BAD_REQUEST},
    {GET("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), ERR_BAD_REQUEST},
    {GET("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n"), ERR_BAD_REQUEST},
    {GET("Content-Length: 5\r\nContent-Length: 5\r\n"), ERR_DUPLICATE_HEADER},
    {GET("Content-Length: 5\r\ncontent-length: 6\r\n"), ERR_DUPLICATE_HEADER},
    {GET("Content-Length:\r\nContent-Length: 6\r\n"), ERR_DUPLICATE_HEADER},
    {GET("Content-Length:\r\n"), ERR_BAD_REQUEST},
    {GET("Content-Length: +5\r\n"), ERR_BAD_REQUEST},
    {GET("Content-Length: -5\r\n"), ERR_BAD_REQUEST},
    {GET("Content-Length: 5, 5\r\n"), ERR_BAD_REQUEST},
    {GET("Content-Length: 5 5\r\n"), ERR_BAD_REQUEST},
    {GET("Content-Length: 0x5\r\n"), ERR_BAD_REQUEST},
    {GET("Content-Length: 5.0\r\n"), ERR_BAD_REQUEST},
    {GET("Content-Length: 5;\r\n"), ERR_BAD_REQUEST},
    {GET("Content-Length: \xb2\r\n"), ERR_BAD_REQUEST},
    {GET("Content-Length: 18446744073709551616\r\n"), ERR_BAD_REQUEST},
    {GET("Content-Length: 99999999999999999999999999\r\n"), ERR_BAD_REQUEST},
    {GET("Content-Length : 5\r\n"), ERR_BAD_REQUEST},
    {GET("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), ERR_DUPLICATE_HEADER},
    {GET("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), ERR_DUPLICATE_HEADER},
    {GET("Transfer-Encoding: chunked, chunked\r\n"), ERR_BAD_REQUEST},
    {GET("Transfer-Encoding: chunked,\r\n"), ERR_BAD_REQUEST},
    {GET("Transfer-Encoding: ,chunked\r\n"), ERR_BAD_REQUEST},
    {GET("Transfer-Encoding:\r\n"), ERR_BAD_REQUEST},
    {GET("Transfer-Encoding: \"chunked\"\r\n"), ERR_BAD_REQUEST},
    {GET("Transfer-Encoding: chunked;q=1\r\n"), ERR_BAD_REQUEST},
    {GET("Transfer-Encoding: chunked chunked\r\n"), ERR_BAD_REQUEST},
    {GET("Transfer-Encoding: \013chunked\r\n"), ERR_BAD_REQUEST},
    {GET("Transfer-Encoding\t: chunked\r\n"), ERR_BAD_REQUEST},
    {GET("Transfer-Encoding:\r\n chunked\r\n"), ERR_BAD_REQUEST},
    {GET10("Transfer-Encoding: chunked\r\n"), ERR_BAD_REQUEST},
    {GET("Transfer-Encoding: gzip\r\n"), ERR_NOT_IMPLEMENTED},
    {GET("Transfer-Encoding: identity\r\n"), ERR_NOT_IMPLEMENTED},
    {GET("Transfer-Encoding: xchunked\r\n"), ERR_NOT_IMPLEMENTED},
    {GET("Transfer-Encoding: gzip, chunked\r\n"), ERR_NOT_IMPLEMENTED},
    {GET("Transfer-Encoding: chunked, identity\r\n"), ERR_NOT_IMPLEMENTED},
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_refused(slice_str(rows[i].text), rows[i].error);
}

static void test_refused(void **state)
{
    (void)state;
    check_rows(refused_lines, sizeof refused_lines / sizeof *refused_lines);
    check_rows(refused_headers, sizeof refused_headers / sizeof *refused_headers);
    check_rows(refused_bodies, sizeof refused_bodies / sizeof *refused_bodies);
    check_refused(SLICE("GET /\0 HTTP/1.1\r\n" H "\r\n"), ERR_BAD_REQUEST);
    check_refused(SLICE("GET / HTTP/1.1\r\n" H "A: \0\r\n\r\n"), ERR_BAD_REQUEST);
    check_refused(SLICE("GET / HTTP/1.1\r\n" H "A\0: b\r\n\r\n"), ERR_BAD_REQUEST);
    check_refused(SLICE("\0"), ERR_BAD_REQUEST);
}

static struct result accepted(struct slice in)
{
    struct result r = parse(in);
    if (r.state != HTTP_PARSE_DONE)
        fail_msg("state %d, %s, for:\n%.*s", r.state, r.why.text, (int)in.len, in.data);
    assert_int_equal(r.used, in.len);
    check_splits(in);
    return r;
}

static void check_text(struct slice got, const char *expected)
{
    if (!expected ? got.data != NULL : !got.data || !slice_equal(got, slice_str(expected)))
        fail_msg("got \"%.*s\", expected \"%s\"", (int)got.len, got.data, expected ? expected : "(none)");
}

static void test_request_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum http_method method;
        const char *target, *path, *query, *host;
        const char *origin;
    } rows[] = {
        {"GET / HTTP/1.1", HTTP_GET, "/", "/", NULL, "h", NULL},
        {"HEAD /a/b HTTP/1.1", HTTP_HEAD, "/a/b", "/a/b", NULL, "h", NULL},
        {"POST /a?b HTTP/1.0", HTTP_POST, "/a?b", "/a", "b", "h", NULL},
        {"PUT /a? HTTP/1.1", HTTP_PUT, "/a?", "/a", "", "h", NULL},
        {"DELETE /a?b?c&d=/ HTTP/1.1", HTTP_DELETE, "/a?b?c&d=/", "/a", "b?c&d=/", "h", NULL},
        {"OPTIONS * HTTP/1.1", HTTP_OPTIONS, "*", "*", NULL, "h", NULL},
        {"OPTIONS /x HTTP/1.1", HTTP_OPTIONS, "/x", "/x", NULL, "h", NULL},
        {"get / HTTP/1.1", HTTP_OTHER, "/", "/", NULL, "h", NULL},
        {"GETT / HTTP/1.1", HTTP_OTHER, "/", "/", NULL, "h", NULL},
        {"PATCH / HTTP/1.1", HTTP_OTHER, "/", "/", NULL, "h", NULL},
        {"M-SEARCH / HTTP/1.1", HTTP_OTHER, "/", "/", NULL, "h", NULL},
        {"GET //x HTTP/1.1", HTTP_GET, "//x", "//x", NULL, "h", NULL},
        {"GET /%41%zz\"<>\\^`{|}~ HTTP/1.1", HTTP_GET, "/%41%zz\"<>\\^`{|}~", "/%41%zz\"<>\\^`{|}~", NULL, "h", NULL},
        {"GET http://other:80/p?q HTTP/1.1", HTTP_GET, "/p?q", "/p", "q", "other:80", "http://other:80"},
        {"GET HTTPS://[::1]/ HTTP/1.1", HTTP_GET, "/", "/", NULL, "[::1]", "HTTPS://[::1]"},
        {"GET http://o HTTP/1.1", HTTP_GET, "", "/", NULL, "o", "http://o"},
        {"GET http://o?q=/x HTTP/1.0", HTTP_GET, "?q=/x", "/", "q=/x", "o", "http://o"},
        {"GET http://o? HTTP/1.1", HTTP_GET, "?", "/", "", "o", "http://o"},
        {"OPTIONS http://o:1 HTTP/1.1", HTTP_OPTIONS, "", "*", NULL, "o:1", "http://o:1"},
        {"OPTIONS http://o?q HTTP/1.1", HTTP_OPTIONS, "?q", "/", "q", "o", "http://o"},
        {"GET / HTTP/1.2", HTTP_GET, "/", "/", NULL, "h", NULL},
        {"GET / HTTP/1.9", HTTP_GET, "/", "/", NULL, "h", NULL},
        {"GET /http://x/y HTTP/1.1", HTTP_GET, "/http://x/y", "/http://x/y", NULL, "h", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];
        snprintf(text, sizeof text, "%s\r\n" H "\r\n", rows[i].line);
        struct result r = accepted(slice_str(text));
        assert_int_equal(r.head.method, rows[i].method);
        check_text(r.head.target, rows[i].target);
        check_text(r.head.path, rows[i].path);
        check_text(r.head.query, rows[i].query);
        check_text(r.head.headers[HTTP_HOST_HEADER], rows[i].host);
        check_text(r.head.origin, rows[i].origin);
        assert_true(r.head.http10 == (strstr(rows[i].line, "HTTP/1.0") != NULL));
    }
}

static void test_connection(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool keep_alive;
    } rows[] = {
        {GET(""), true},
        {GET("Connection: close\r\n"), false},
        {GET("Connection: CLOSE\r\n"), false},
        {GET("Connection: keep-alive\r\n"), true},
        {GET("Connection: x, Close , y\r\n"), false},
        {GET("Connection: ,,close\r\n"), false},
        {GET("Connection: x\r\nConnection: close\r\n"), false},
        {GET("Connection: keep-alive, close\r\n"), false},
        {GET("Connection: closed\r\n"), true},
        {GET("Connection: not close\r\n"), true},
        {GET("Connection:\r\n"), true},
        {GET10(""), false},
        {GET10("Connection: keep-alive\r\n"), true},
        {GET10("Connection: Keep-Alive, x\r\n"), true},
        {GET10("Connection: keep-alive, close\r\n"), false},
        {GET10("Connection: x\r\n"), false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_true(accepted(slice_str(rows[i].text)).head.keep_alive == rows[i].keep_alive);
}

static void test_bodies(void **state)
{
    (void)state;
    assert_true(accepted(SLICE(GET("Content-Length: 0\r\n"))).head.content_length == 0);
    assert_true(accepted(SLICE(GET("content-length:\t 42 \r\n"))).head.content_length == 42);
    assert_true(accepted(SLICE(GET("Content-Length: 000000000000000000000042\r\n"))).head.content_length == 42);
    assert_true(accepted(SLICE(GET("Content-Length: 18446744073709551615\r\n"))).head.content_length == UINT64_MAX);
    assert_false(accepted(SLICE(GET("Content-Length: 1\r\n"))).head.chunked);
    assert_true(accepted(SLICE(GET("Transfer-Encoding: chunked\r\n"))).head.chunked);
    assert_true(accepted(SLICE(GET("TRANSFER-ENCODING:Chunked \r\n"))).head.chunked);
    assert_true(accepted(SLICE(GET("Expect: 100-Continue\r\n"))).head.expect_continue);
    assert_true(accepted(SLICE(GET("Expect: 100-continue\r\nExpect: 100-continue\r\n"))).head.expect_continue);
    assert_false(accepted(SLICE(GET10("Expect: 100-continue\r\n"))).head.expect_continue);
    assert_false(accepted(SLICE(GET10("Expect: x\r\n"))).head.expect_continue);
    assert_true(accepted(SLICE(GET10(""))).head.http10);
}

/* Every header of the list is found by its name in any case, once. */
static void test_every_header(void **state)
{
    (void)state;
    static const char *const names[HTTP_HEADER_COUNT] = {
#define X(name, text) text,
        HTTP_HEADERS(X)
#undef X
    };
    for (unsigned i = 0; i < HTTP_HEADER_COUNT; i++) {
        char upper[64], text[512];
        for (size_t at = 0; at <= strlen(names[i]); at++)
            upper[at] = (char)(names[i][at] >= 'a' && at % 2 ? names[i][at] - 32 : names[i][at]);
        snprintf(text, sizeof text, "GET / HTTP/1.0\r\nx%s: no\r\n%s: yes\r\n%sx: no\r\n\r\n", upper, upper, upper);
        struct result r = accepted(slice_str(text));
        for (unsigned other = 0; other < HTTP_HEADER_COUNT; other++)
            check_text(r.head.headers[other], other == i ? "yes" : NULL);

        snprintf(text, sizeof text, "GET / HTTP/1.0\r\n%s: first\r\nA: b\r\n%s: first\r\n\r\n", upper, names[i]);
        if (i == HTTP_IF_NONE_MATCH_HEADER)
            check_text(accepted(slice_str(text)).head.headers[i], "first");
        else
            check_refused(slice_str(text), ERR_DUPLICATE_HEADER);
    }
}

/* What is known of the body's coding, of conditions and of proxies, whatever the number of lines. */
static void test_facts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *coding, *condition;
        bool forwarded;
    } rows[] = {
        {GET(""), NULL, NULL, false},
        {GET("Content-Encoding: gzip\r\n"), "gzip", NULL, false},
        {GET("content-encoding: Identity,\tIDENTITY\r\n"), NULL, NULL, false},
        {GET("Content-Encoding:\r\nContent-Encoding: ,\r\n"), NULL, NULL, false},
        {GET("Content-Encoding: identity, br , gzip\r\n"), "br", NULL, false},
        {GET("Content-Encoding: identity\r\nContent-Encoding: x\r\n"), "x", NULL, false},
        {GET("Content-Encoding: x-identity\r\n"), "x-identity", NULL, false},
        {GET("If-Unmodified-Since: x\r\n"), NULL, "If-Unmodified-Since", false},
        {GET("IF: (x)\r\nIf-y: z\r\n"), NULL, "IF", false},
        {GET("If-Modified-Since: x\r\nIf-Range: x\r\nIf-Match: x\r\nIfx: y\r\nI: f\r\n"), NULL, NULL, false},
        {GET("Via: 1.1 a\r\nVia: 1.1 b\r\n"), NULL, NULL, true},
        {GET("Forwarded: proto=https\r\n"), NULL, NULL, true},
        {GET("X-Forwarded-For: h\r\n"), NULL, NULL, true},
        {GET("x-forwarded-host: h\r\n"), NULL, NULL, true},
        {GET("X-Forwarded-Proto: https\r\nX-FORWARDED-PROTO: http\r\n"), NULL, NULL, true},
        {GET("X-Forwarded: x\r\n"), NULL, NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_head head = accepted(slice_str(rows[i].text)).head;
        check_text(head.coding, rows[i].coding);
        check_text(head.condition, rows[i].condition);
        assert_true(head.forwarded == rows[i].forwarded);
    }
    check_refused(SLICE("PUT / HTTP/1.1\r\n" H "If-None-Match: \"a\"\r\nIf-None-Match: *\r\n\r\n"),
                  ERR_DUPLICATE_HEADER);
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *value;
    } rows[] = {
        {GET10("Cookie:\r\n"), ""},
        {GET10("Cookie: \t \r\n"), ""},
        {GET10("Cookie:a\r\n"), "a"},
        {GET10("Cookie: \ta b\t \r\n"), "a b"},
        {GET10("Cookie: a:b\r\n"), "a:b"},
        {GET10("Cookie: 0123456\t8\t\t\t\tabcdefgh\r\n"), "0123456\t8\t\t\t\tabcdefgh"},
        {GET10("Cookie: \xff\x80 obs-text\r\n"), "\xff\x80 obs-text"},
        {GET10("A:\r\nCookie: x\r\nA: y\r\n"), "x"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_text(accepted(slice_str(rows[i].text)).head.headers[HTTP_COOKIE_HEADER], rows[i].value);
    check_text(accepted(SLICE("GET / HTTP/1.1\r\nHost:\r\n\r\n")).head.headers[HTTP_HOST_HEADER], "");
}

static void test_empty_lines_before(void **state)
{
    (void)state;
    char text[64] = "";
    for (unsigned lines = 0; lines <= 9; lines++) {
        memset(text, 0, sizeof text);
        for (unsigned i = 0; i < lines; i++)
            memcpy(text + 2 * i, "\r\n", 2);
        memcpy(text + 2 * lines, "GET / HTTP/1.0\r\n\r\n", 19);
        if (lines <= 8)
            accepted(slice_str(text));
        else
            check_refused(slice_str(text), ERR_BAD_REQUEST);
    }
}

/* The parser has a table of its own, which says the same. */
static void test_token_characters(void **state)
{
    char head[] = "GET / HTTP/1.1\r\nHost: a\r\nx.y: 1\r\n\r\n";
    char *at = strchr(head, 'x') + 1;
    (void)state;
    for (int c = 0; c < 256; c++) {
        *at = (char)c;
        bool good = parse(slice_of(head, sizeof head - 1)).state == HTTP_PARSE_DONE;
        assert_int_equal(good, c == ':' || tchar_is((char)c));
    }
}

static void test_header_count(void **state)
{
    (void)state;
    for (unsigned lines = 99; lines <= 101; lines++) {
        struct buf text = {0};
        buf_add_slice(&text, SLICE("GET / HTTP/1.0\r\n"));
        for (unsigned i = 0; i < lines; i++)
            buf_add_slice(&text, SLICE("A:b\r\n"));
        buf_add_slice(&text, SLICE("\r\n"));
        if (lines <= 100)
            accepted(buf_slice(&text));
        else
            check_refused(buf_slice(&text), ERR_BAD_REQUEST);
        buf_clear(&text);
    }
}

/* What follows a head is not looked at. */
static void test_pipelined(void **state)
{
    (void)state;
    static const char first[] = "POST /a HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\n";
    struct slice in = SLICE("POST /a HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\n\n\n\nGET /b HTTP/1.1\r\n" H "\r\n");
    struct result r = parse(in);
    assert_int_equal(r.state, HTTP_PARSE_DONE);
    assert_int_equal(r.used, sizeof first - 1);
    r = parse(slice_of(in.data + r.used + 3, in.len - r.used - 3));
    assert_int_equal(r.state, HTTP_PARSE_DONE);
    check_text(r.head.path, "/b");
    assert_int_equal(parse(SLICE("")).state, HTTP_PARSE_MORE);
    assert_int_equal(parse(slice_of(NULL, 0)).state, HTTP_PARSE_MORE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),          cmocka_unit_test(test_request_lines),
        cmocka_unit_test(test_connection),       cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_every_header),     cmocka_unit_test(test_facts),
        cmocka_unit_test(test_values),           cmocka_unit_test(test_empty_lines_before),
        cmocka_unit_test(test_token_characters), cmocka_unit_test(test_header_count),
        cmocka_unit_test(test_pipelined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
