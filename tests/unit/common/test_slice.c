/* Parts of slices, and of nothing: a sanitizer ends this test where NULL is added to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/slice.h"

static void parts_lie_within(void **state)
{
    const struct slice s = SLICE("abcdef");
    (void)state;
    assert_true(slice_equal(slice_part(s, 0, 2), SLICE("ab")));
    assert_true(slice_equal(slice_part(s, 2, 3), SLICE("cde")));
    assert_true(slice_equal(slice_from(s, 0), s));
    assert_true(slice_equal(slice_from(s, 4), SLICE("ef")));
    assert_int_equal(slice_from(s, 6).len, 0);
    assert_ptr_equal(slice_end(s), s.data + 6);
}

static void nothing_has_no_address(void **state)
{
    const struct slice nothing = {0};
    (void)state;
    assert_null(slice_part(nothing, 0, 0).data);
    assert_null(slice_from(nothing, 0).data);
    assert_int_equal(slice_from(nothing, 0).len, 0);
    assert_null(slice_end(nothing));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_lie_within),
        cmocka_unit_test(nothing_has_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
