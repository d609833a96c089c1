#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "router/http/cursor.h"

#define EPOCH 1728432000u

static void intervals(void **state)
{
    (void)state;
    assert_int_equal(cursor_interval(0), 0);
    assert_int_equal(cursor_interval(EPOCH), 0);
    assert_int_equal(cursor_interval(EPOCH + 19), 0);
    assert_int_equal(cursor_interval(EPOCH + 20), 1);
    assert_int_equal(cursor_interval(EPOCH + 20000), 1000);
}

static void never_backwards(void **state)
{
    const uint64_t now = EPOCH + 20000;
    (void)state;
    assert_int_equal(cursor_next(0, now, 5), 1000);
    assert_int_equal(cursor_next(999, now, 5), 1000);
    for (uint64_t random = 0; random < 8000; random++)
        for (uint64_t client = 1000; client < 1003; client++) {
            uint64_t next = cursor_next(client, now, random);
            assert_true(next > client && next <= client + 180);
        }
}

/* Also where it has more digits than a double holds, or zeros before them. */
static void what_came_is_never_undercut(void **state)
{
    static const char *const numbers[] = {"9007199254740991", "9007199254740992", "0009007199254740993",
                                          "9223372036854775807"};
    uint64_t cursor;
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        assert_true(cursor_parse(slice_str(numbers[i]), &cursor));
        assert_true(cursor == strtoull(numbers[i], NULL, 10));
        assert_true(cursor_next(cursor, EPOCH + 20000, 3599) > cursor);
    }
    assert_false(cursor_parse(SLICE("9223372036854775808"), &cursor));
    assert_false(cursor_parse(SLICE("99999999999999999999999999999999999999999"), &cursor));
    static const char *const none[] = {"", "abc", "-1", "1e30", "99999999999999999999x"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_true(cursor_parse(slice_str(none[i]), &cursor));
        assert_int_equal(cursor, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(intervals), cmocka_unit_test(never_backwards),
                                       cmocka_unit_test(what_came_is_never_undercut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
