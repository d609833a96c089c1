#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "router/http/integer.h"

static void integers(void **state)
{
    uint64_t value;
    (void)state;
    assert_true(integer_valid(SLICE("0"), 9, &value) && value == 0);
    assert_true(integer_valid(SLICE("9"), 9, &value) && value == 9);
    assert_true(integer_valid(SLICE("9007199254740991"), INTEGER_MAX, &value) && value == INTEGER_MAX);
    static const char *const bad[] = {"",    "01", "00", "+1", "-1", "1.0",
                                      "1e3", " 1", "1 ", "a",  "10", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(integer_valid(slice_str(bad[i]), 9, &value));
}

static void what_is_wrong(void **state)
{
    uint64_t value;
    (void)state;
    assert_int_equal(integer_parse(SLICE("10"), 9, &value), INTEGER_OVERFLOW);
    assert_int_equal(integer_parse(SLICE("1x"), 9, &value), INTEGER_NONE);
    assert_int_equal(integer_parse(SLICE("99999999999999999999999"), UINT64_MAX / 16, &value), INTEGER_OVERFLOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(integers), cmocka_unit_test(what_is_wrong)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
