#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/detail.h"
#include "router/http/response.h"

static const char *finish(struct buf *out)
{
    buf_add_byte(out, 0);
    return out->data + out->start;
}

static void heads(void **state)
{
    struct buf out = {0};
    struct response_date date = {0};
    (void)state;
    response_begin(&out, 204, &date);
    response_add_offset(&out, "Stream-Next-Offset", (struct offset){0, 42});
    response_add_number(&out, "Zero", 0);
    response_add_number(&out, "Most", UINT64_MAX);
    response_end(&out, RESPONSE_NO_BODY, 0, true, false);
    const char *text = finish(&out);
    assert_int_equal(strncmp(text, "HTTP/1.1 204 No Content\r\nDate: ", 31), 0);
    assert_non_null(strstr(text, " GMT\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(text, "\r\nStream-Next-Offset: 0000000000000000_0000000000000042\r\nZero: 0\r\n"
                                 "Most: 18446744073709551615\r\n\r\n"));
    assert_null(strstr(text, "Content-Length"));
    assert_null(strstr(text, "Connection"));
    buf_clear(&out);
}

static void expect_end(enum response_body body, bool keep_alive, bool http10, const char *expected)
{
    struct buf out = {0};
    response_end(&out, body, 7, keep_alive, http10);
    assert_string_equal(finish(&out), expected);
    buf_clear(&out);
}

static void ends(void **state)
{
    (void)state;
    expect_end(RESPONSE_LENGTH, true, false, "Content-Length: 7\r\n\r\n");
    expect_end(RESPONSE_LENGTH, false, false, "Content-Length: 7\r\nConnection: close\r\n\r\n");
    expect_end(RESPONSE_LENGTH, true, true, "Content-Length: 7\r\nConnection: keep-alive\r\n\r\n");
    expect_end(RESPONSE_CHUNKED, true, false, "Transfer-Encoding: chunked\r\n\r\n");
    expect_end(RESPONSE_UNTIL_CLOSE, false, true, "Connection: close\r\n\r\n");
}

static void every_status_has_its_reason(void **state)
{
    static const struct {
        int status;
        const char *reason;
    } rows[] = {{200, "OK"},
                {201, "Created"},
                {204, "No Content"},
                {304, "Not Modified"},
                {413, "Content Too Large"},
                {429, "Too Many Requests"},
                {431, "Request Header Fields Too Large"},
                {500, "Internal Server Error"},
                {507, "Insufficient Storage"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(response_reason(rows[i].status), rows[i].reason);
    for (int e = 0; e < ERR_COUNT; e++)
        assert_string_not_equal(response_reason(error_status((enum error)e)), "");
}

static void every_error_fits_json(void **state)
{
    (void)state;
    for (int e = 0; e < ERR_COUNT; e++) {
        struct buf out = {0};
        response_error_body(&out, (enum error)e, NULL, SLICE(""));
        const char *text = finish(&out);
        int quotes = 0;
        for (const char *at = text; *at; at++) {
            quotes += *at == '"';
            assert_true(*at >= 0x20 && *at != '\\' && *at < 0x7f);
        }
        assert_int_equal(quotes, 8);
        buf_clear(&out);
    }
}

static void expect_body(const char *text, const char *expected)
{
    struct buf out = {0};
    response_error_body(&out, ERR_INVALID_TTL, text, SLICE(""));
    assert_string_equal(finish(&out), expected);
    buf_clear(&out);
}

static void a_text_is_escaped(void **state)
{
    (void)state;
    expect_body("not \"1\"\\\n", "{\"code\":\"INVALID_TTL\",\"error\":\"not \\\"1\\\"\\\\\\n\"}");
    expect_body("caf\xc3\xa9 \xff", "{\"code\":\"INVALID_TTL\",\"error\":\"caf\xc3\xa9 \xef\xbf\xbd\"}");
    struct buf usual = {0};
    response_error_body(&usual, ERR_INVALID_TTL, NULL, SLICE(""));
    expect_body("", finish(&usual));
    buf_clear(&usual);
}

static void expect_quote(struct slice bytes, const char *expected)
{
    struct detail detail = {0};
    assert_int_equal(detail_say(&detail, ERR_INVALID_TTL, "not %s", detail_quote(bytes).text), ERR_INVALID_TTL);
    assert_string_equal(detail.text, expected);
}

static void a_detail_quotes_what_came(void **state)
{
    (void)state;
    expect_quote(SLICE(""), "not ''");
    expect_quote(SLICE("a\"b"), "not 'a\"b'");
    expect_quote(SLICE("a\0\r\n\x7f\xff"), "not 'a\\u0000\\r\\n\\u007f\xef\xbf\xbd'");
    expect_quote(SLICE("a eyJhbGciOiJIUzI1NiJ9.e30.x z"), "not 'a [token] z'");
    char token[600] = "12345eyJ";
    memset(token + 8, 'a', sizeof token - 8);
    expect_quote(slice_of(token, sizeof token), "not '12345[token]'...");
    char bytes[5000], *many = memset(bytes, 'x', sizeof bytes);
    expect_quote(slice_of(many, 66), "not 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'");
    expect_quote(slice_of(many, 67), "not 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'...");
    memset(bytes, 1, sizeof bytes);
    expect_quote(slice_of(many, 12),
                 "not '\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001'...");
    expect_quote(slice_of(many, sizeof bytes),
                 "not '\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001'...");
    struct detail detail;
    memset(bytes, 'x', sizeof bytes);
    (void)detail_say(&detail, ERR_INVALID_TTL, "%.*s", (int)sizeof bytes, many);
    assert_int_equal(strlen(detail.text), sizeof detail.text - 1);
    assert_int_equal(detail_say(NULL, ERR_INVALID_TTL, "nobody asks"), ERR_INVALID_TTL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(heads),
                                       cmocka_unit_test(ends),
                                       cmocka_unit_test(every_status_has_its_reason),
                                       cmocka_unit_test(every_error_fits_json),
                                       cmocka_unit_test(a_text_is_escaped),
                                       cmocka_unit_test(a_detail_quotes_what_came)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
