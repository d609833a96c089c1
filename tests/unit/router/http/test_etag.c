#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "router/http/etag.h"

static const struct slice tag = {"\"1f:0:7\"", 8};

static void printing(void **state)
{
    char out[ETAG_MAX];
    (void)state;
    assert_true(slice_equal(slice_of(out, etag_print(out, 31, 0, 7, false)), tag));
    assert_true(slice_equal(slice_of(out, etag_print(out, 31, 0, 7, true)), SLICE("\"1f:0:7:c\"")));
    assert_true(etag_print(out, UINT64_MAX, UINT64_MAX, UINT64_MAX, true) < ETAG_MAX);
}

static void lists(void **state)
{
    static const char *const listed[] = {
        "\"1f:0:7\"", "W/\"1f:0:7\"", "\"a\", \"1f:0:7\"", "\"a,b\",W/\"1f:0:7\",\"c\"", "*", " , \"1f:0:7\""};
    static const char *const others[] = {"",     "\"1f:0:7:c\"",     "1f:0:7", "\"1f:0:7", "W/",
                                         "W/\"", "\"a\"x\"1f:0:7\"", "\"\"",   ",",        "w/\"1f:0:7\""};
    (void)state;
    for (size_t i = 0; i < sizeof listed / sizeof listed[0]; i++)
        assert_true(etag_listed(slice_str(listed[i]), tag, ETAG_WEAK));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(etag_listed(slice_str(others[i]), tag, ETAG_WEAK));
        assert_false(etag_listed(slice_str(others[i]), tag, ETAG_STRONG));
    }
}

static void a_weak_tag_matches_no_strong_one(void **state)
{
    (void)state;
    assert_true(etag_listed(SLICE("\"a\", \"1f:0:7\""), tag, ETAG_STRONG));
    assert_true(etag_listed(SLICE("W/\"1f:0:7\", \"1f:0:7\""), tag, ETAG_STRONG));
    assert_true(etag_listed(SLICE("*"), tag, ETAG_STRONG));
    assert_false(etag_listed(SLICE("W/\"1f:0:7\""), tag, ETAG_STRONG));
}

static void documents(void **state)
{
    char one[ETAG_MAX], other[ETAG_MAX];
    (void)state;
    struct slice a = slice_of(one, etag_print_document(one, SLICE("{}")));
    assert_true(slice_equal(a, SLICE("\"44136fa355b3678a1146ad16f7e8649e\"")));
    assert_false(slice_equal(a, slice_of(other, etag_print_document(other, SLICE("{ }")))));
}

static void tails(void **state)
{
    static const char *const others[] = {"",
                                         "\"\"",
                                         "*",
                                         "0000000000000031_0000000000000007",
                                         "W/\"0000000000000031_0000000000000007\"",
                                         "\"0000000000000031_000000000000000x\"",
                                         "\"1F:0:7\"",
                                         "\"01f:0:7\"",
                                         "\"1f: 0:7\"",
                                         "\"1f:0:+7\"",
                                         "\"1f:0:7:d\"",
                                         "\"1f:0:7",
                                         "\"1f:0\"",
                                         "W/\"1f:0:7\""};
    char out[ETAG_MAX];
    struct offset offset;
    (void)state;
    struct slice printed = slice_of(out, etag_print_offset(out, (struct offset){31, 7}));
    assert_true(slice_equal(printed, SLICE("\"0000000000000031_0000000000000007\"")));
    assert_int_equal(etag_parse(printed, &offset), ETAG_OF_OFFSET);
    assert_true(offset.life == 31 && offset.position == 7);
    assert_int_equal(etag_parse(tag, &offset), ETAG_OF_READ);
    assert_true(offset.life == 31 && offset.position == 7);
    assert_int_equal(etag_parse(SLICE("\"0:5:9:c\""), &offset), ETAG_OF_READ);
    assert_true(offset.life == 0 && offset.position == 9);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(etag_parse(slice_str(others[i]), &offset), ETAG_OF_NOTHING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(printing), cmocka_unit_test(lists), cmocka_unit_test(tails),
                                       cmocka_unit_test(a_weak_tag_matches_no_strong_one), cmocka_unit_test(documents)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
