#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/media_type.h"

static void validity(void **state)
{
    char longest[MEDIA_TYPE_MAX + 2] = "text/";
    (void)state;
    static const char *const good[] = {"text/plain",
                                       "Application/JSON ; charset=utf-8",
                                       "a/b+c.d-e",
                                       "audio/L16;rate=16000;channels=2",
                                       "multipart/mixed; boundary=\"a b; c/d\"",
                                       "multipart/mixed; boundary=----=_Part_1",
                                       "text/plain;",
                                       "text/plain;\tx"};
    static const char *const bad[] = {"",
                                      "text",
                                      "text/",
                                      "/plain",
                                      "text/plain/x",
                                      "text /plain",
                                      ";text/plain",
                                      "te\"xt/x",
                                      " text/plain",
                                      "text/plain, text/html",
                                      "text/plain; x=caf\xc3\xa9",
                                      "text/plain; \x01",
                                      "text/pl\xe9in"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(media_type_valid(slice_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(media_type_valid(slice_str(bad[i])));
    memset(longest + 5, 'x', MEDIA_TYPE_MAX - 5);
    assert_true(media_type_valid(slice_str(longest)));
    longest[MEDIA_TYPE_MAX] = 'x';
    assert_false(media_type_valid(slice_str(longest)));
}

static void sameness(void **state)
{
    (void)state;
    assert_true(media_type_same(SLICE("text/plain"), SLICE("Text/PLAIN \t; charset=utf-8")));
    assert_true(media_type_same(SLICE("text/plain;a=1"), SLICE("text/plain;b=2")));
    assert_true(media_type_same((struct slice){0}, SLICE("")));
    assert_false(media_type_same(SLICE("text/plain"), SLICE("text/plai")));
    assert_false(media_type_same(SLICE("text/plain"), SLICE("")));
    assert_false(media_type_same(SLICE("text/plain"), SLICE("text/html")));
}

static void kinds(void **state)
{
    (void)state;
    assert_true(media_type_is_json(SLICE("application/json")));
    assert_true(media_type_is_json(SLICE("Application/Json; charset=utf-8")));
    assert_false(media_type_is_json(SLICE("application/jsonl")));
    assert_true(media_type_is_json(SLICE("application/ld+json")));
    assert_true(media_type_is_json(SLICE("Model/X.Y+Json \t; a=b+c")));
    assert_false(media_type_is_json(SLICE("text/plain; a=b+json")));
    assert_false(media_type_is_json(SLICE("application/+json")));
    assert_false(media_type_is_json(SLICE("application/ld+jsons")));
    assert_false(media_type_is_json(SLICE("a+json/plain")));
    assert_false(media_type_is_json(SLICE("application/json-seq")));
    assert_false(media_type_is_json(SLICE("")));
    assert_true(media_type_is_application_json(SLICE("application/JSON;a")));
    assert_false(media_type_is_application_json(SLICE("application/ld+json")));
    assert_true(media_type_is_text(SLICE("TEXT/html; charset=x")));
    assert_false(media_type_is_text(SLICE("text/")));
    assert_false(media_type_is_text(SLICE("application/text")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(validity),
        cmocka_unit_test(sameness),
        cmocka_unit_test(kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
