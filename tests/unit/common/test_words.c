#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/words.h"

static void takes_them_one_by_one(void **state)
{
    const char *words = "  one two   three ";
    struct slice word;
    (void)state;
    assert_true(words_next(&words, &word) && slice_equal(word, SLICE("one")));
    assert_true(words_next(&words, &word) && slice_equal(word, SLICE("two")));
    assert_true(words_next(&words, &word) && slice_equal(word, SLICE("three")));
    assert_false(words_next(&words, &word));
    assert_false(words_next(&words, &word));
}

static void finds_whole_words(void **state)
{
    (void)state;
    assert_true(words_have("none jwt callback", SLICE("none")));
    assert_true(words_have("none jwt callback", SLICE("callback")));
    assert_false(words_have("none jwt callback", SLICE("call")));
    assert_false(words_have("none jwt callback", SLICE("none jwt")));
    assert_false(words_have("none jwt callback", SLICE("")));
    assert_false(words_have("", SLICE("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_them_one_by_one),
        cmocka_unit_test(finds_whole_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
