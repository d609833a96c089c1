#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "router/response.h"

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
    response_add_offset(&out, "Stream-Next-Offset", 42);
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

static void every_error_fits_json(void **state)
{
    (void)state;
    for (int e = 0; e < ERR_COUNT; e++) {
        struct buf out = {0};
        response_error_body(&out, (enum error)e, error_text((enum error)e));
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(heads), cmocka_unit_test(ends),
                                       cmocka_unit_test(every_error_fits_json)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
