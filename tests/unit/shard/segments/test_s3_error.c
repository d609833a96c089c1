/* What a store's answer means: missing, transient, or final. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/http_client.h"
#include "shard/segments/s3_error.h"

static struct http_client_answer answer(long status, const char *body)
{
    return (struct http_client_answer){.status = status, .body = slice_str(body)};
}

static void expect_code(const char *body, const char *expected)
{
    char code[S3_CODE_MAX];
    struct http_client_answer a = answer(404, body);
    s3_error_code(&a, code);
    assert_string_equal(code, expected);
}

static void codes(void **state)
{
    char code[S3_CODE_MAX];
    (void)state;
    expect_code("<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Key>a</Key></Error>", "NoSuchKey");
    expect_code("<html>not found</html>", "");
    expect_code("<Error><Code>", "");
    expect_code("<Error><Code>Cut", "Cut");
    expect_code("<Code>0123456789012345678901234567890123456789012345678901234567890123456789</Code>",
                "012345678901234567890123456789012345678901234567890123456789012");
    s3_error_code(&(struct http_client_answer){.status = 404}, code);
    assert_string_equal(code, "");
}

static void only_the_code_says_that_an_object_is_missing(void **state)
{
    struct http_client_answer missing = answer(404, "<Code>NoSuchKey</Code>"),
                              bucket = answer(404, "<Code>NoSuchBucket</Code>"), proxy = answer(404, "not found"),
                              other = answer(403, "<Code>NoSuchKey</Code>"), failed = missing;
    (void)state;
    failed.failure = "cut";
    assert_true(s3_error_is_missing(&missing));
    assert_false(s3_error_is_missing(&bucket));
    assert_false(s3_error_is_missing(&proxy));
    assert_false(s3_error_is_missing(&other));
    assert_false(s3_error_is_missing(&failed));
}

static void what_may_be_repeated(void **state)
{
    static const struct {
        long status;
        const char *body;
        bool transient;
    } all[] = {
        {500, "", true},
        {503, "<Code>SlowDown</Code>", true},
        {429, "", true},
        {408, "", true},
        {400, "<Code>RequestTimeout</Code>", true},
        {409, "<Code>OperationAborted</Code>", true},
        {400, "<Code>InvalidArgument</Code>", false},
        {403, "<Code>AccessDenied</Code>", false},
        {404, "<Code>NoSuchKey</Code>", false},
        {301, "", false},
    };
    struct http_client_answer none = {.failure = "no answer"};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct http_client_answer a = answer(all[i].status, all[i].body);
        assert_int_equal(s3_error_is_transient(&a), all[i].transient);
    }
    assert_true(s3_error_is_transient(&none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(codes),
                                       cmocka_unit_test(only_the_code_says_that_an_object_is_missing),
                                       cmocka_unit_test(what_may_be_repeated)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
