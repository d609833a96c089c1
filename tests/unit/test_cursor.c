#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "router/cursor.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(intervals), cmocka_unit_test(never_backwards)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
