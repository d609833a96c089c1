/* The flattened chain of a fork's sources. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shard/streams/lineage.h"

static struct lineage fork_of(const struct lineage *source, uint64_t uid, uint64_t base, uint64_t position)
{
    struct buf stored = {0};
    struct lineage lineage;
    assert_true(lineage_of_fork(source, uid, base, position, 10, &stored));
    assert_true(lineage_decode(buf_slice(&stored), &lineage));
    buf_clear(&stored);
    return lineage;
}

static void expect(const struct lineage *lineage, uint64_t position, uint64_t uid)
{
    const struct ancestor *ancestor = lineage_find(lineage, position);
    if (!uid)
        assert_null(ancestor);
    else
        assert_int_equal(ancestor->uid, uid);
}

static void forks_of_forks_find_each_position_at_its_owner(void **state)
{
    struct lineage none = {0};
    struct lineage b = fork_of(&none, 1, 0, 100); /* stream 2 forks 1 at 100 */
    struct lineage c = fork_of(&b, 2, 100, 150);  /* stream 3 forks 2 at 150 */
    struct lineage d = fork_of(&c, 3, 150, 60);   /* forks 3 inside what came from 1 */
    struct lineage e = fork_of(&c, 3, 150, 150);  /* at the very end of what is inherited */
    (void)state;
    expect(&b, 0, 1);
    expect(&b, 99, 1);
    expect(&b, 100, 0);
    expect(&c, 99, 1);
    expect(&c, 100, 2);
    expect(&c, 149, 2);
    expect(&c, 150, 0);
    assert_int_equal(d.count, 1);
    expect(&d, 59, 1);
    expect(&d, 60, 0);
    assert_int_equal(e.count, 2);
    expect(&e, 149, 2);
    lineage_clear(&b);
    lineage_clear(&c);
    lineage_clear(&d);
    lineage_clear(&e);
}

static void nothing_is_inherited_at_zero(void **state)
{
    struct lineage none = {0};
    struct lineage f = fork_of(&none, 1, 0, 0);
    (void)state;
    assert_int_equal(f.count, 0);
    expect(&f, 0, 0);
}

static void depth_is_bounded_and_damage_refused(void **state)
{
    struct lineage none = {0}, damaged;
    struct buf stored = {0};
    (void)state;
    assert_false(lineage_of_fork(&none, 1, 0, 5, 0, &stored));
    assert_false(lineage_decode(slice_of("fifteen bytes..", 15), &damaged));
    buf_clear(&stored);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forks_of_forks_find_each_position_at_its_owner),
        cmocka_unit_test(nothing_is_inherited_at_zero),
        cmocka_unit_test(depth_is_bounded_and_damage_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
