/* Bytes leave in the order they were put, and not before their commit is durable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shard/peers/release.h"

static void what_is_durable_at_once_needs_no_mark(void **state)
{
    struct release release = {0};
    (void)state;
    release_seal(&release, 10, 1, 1);
    assert_int_equal(release_upto(&release, 1), 10);
    release_seal(&release, 30, 2, 2);
    assert_int_equal(release_upto(&release, 2), 30);
    assert_null(release.marks.data); /* no memory either */
    release_clear(&release);
}

static void marks_open_in_order(void **state)
{
    struct release release = {0};
    (void)state;
    release_seal(&release, 10, 1, 0);
    release_seal(&release, 20, 2, 0);
    release_seal(&release, 20, 3, 0); /* this turn put nothing here */
    release_seal(&release, 25, 4, 0);
    assert_int_equal(release_upto(&release, 0), 0);
    assert_int_equal(release_upto(&release, 1), 10);
    assert_int_equal(release_upto(&release, 1), 10);
    assert_int_equal(release_upto(&release, 3), 20);
    assert_int_equal(release_upto(&release, 4), 25);
    release_clear(&release);
}

/* A turn that only read has seen what an earlier one wrote. */
static void a_turn_without_a_commit_waits_for_the_last_one(void **state)
{
    struct release release = {0};
    (void)state;
    release_seal(&release, 10, 1, 0);
    release_seal(&release, 15, 1, 0);
    release_seal(&release, 18, 1, 0);
    assert_int_equal(release_upto(&release, 0), 0);
    assert_int_equal(release_upto(&release, 1), 18);
    release_clear(&release);
}

/* Commit 2 is durable when it is sealed, but what commit 1 has is still here. */
static void nothing_overtakes(void **state)
{
    struct release release = {0};
    (void)state;
    release_seal(&release, 10, 1, 0);
    release_seal(&release, 20, 2, 2);
    assert_int_equal(release_upto(&release, 0), 0);
    assert_int_equal(release_upto(&release, 2), 20);
    release_clear(&release);
}

static void a_new_buffer_begins_anew(void **state)
{
    struct release release = {0};
    (void)state;
    release_seal(&release, 10, 1, 0);
    release_clear(&release);
    assert_int_equal(release_upto(&release, 1), 0);
    release_seal(&release, 5, 2, 2);
    assert_int_equal(release_upto(&release, 2), 5);
    release_clear(&release);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_durable_at_once_needs_no_mark),
        cmocka_unit_test(marks_open_in_order),
        cmocka_unit_test(a_turn_without_a_commit_waits_for_the_last_one),
        cmocka_unit_test(nothing_overtakes),
        cmocka_unit_test(a_new_buffer_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
