#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/deadline.h"

static void in_order(void **state)
{
    struct deadlines all;
    struct deadline a = {0}, b = {0}, c = {0};
    (void)state;
    deadlines_init(&all);
    deadline_set(&all, DEADLINE_IDLE, &a, 10);
    deadline_set(&all, DEADLINE_IDLE, &b, 20);
    deadline_set(&all, DEADLINE_IDLE, &c, 15); /* after a reload to a shorter time */
    assert_null(deadline_expired(&all, DEADLINE_IDLE, 9));
    assert_ptr_equal(deadline_first(&all, DEADLINE_IDLE), &a);
    assert_null(deadline_first(&all, DEADLINE_HEAD));
    assert_ptr_equal(deadline_expired(&all, DEADLINE_IDLE, 20), &a);
    assert_false(deadline_armed(&a));
    assert_ptr_equal(deadline_expired(&all, DEADLINE_IDLE, 20), &c);
    assert_ptr_equal(deadline_expired(&all, DEADLINE_IDLE, 20), &b);
    assert_null(deadline_expired(&all, DEADLINE_IDLE, 99));
}

static void set_again_and_cleared(void **state)
{
    struct deadlines all;
    struct deadline a = {0}, b = {0};
    (void)state;
    deadlines_init(&all);
    deadline_set(&all, DEADLINE_IDLE, &a, 10);
    deadline_set(&all, DEADLINE_IDLE, &b, 10);
    deadline_set(&all, DEADLINE_HEAD, &a, 5); /* moves to another class */
    assert_ptr_equal(deadline_expired(&all, DEADLINE_IDLE, 10), &b);
    assert_null(deadline_expired(&all, DEADLINE_IDLE, 10));
    deadline_clear(&a);
    deadline_clear(&a);
    assert_null(deadline_expired(&all, DEADLINE_HEAD, 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_order), cmocka_unit_test(set_again_and_cleared)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
