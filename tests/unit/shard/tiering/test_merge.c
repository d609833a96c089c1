/* Which small segments become one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shard/tiering/merge.h"

/* Segments of these sizes, the newest first, a second apart. */
static size_t count(const uint64_t *bytes, size_t there, struct merge_rule rule)
{
    struct segment_row rows[16];
    for (size_t i = 0; i < there; i++)
        rows[i] = (struct segment_row){.bytes = bytes[i], .time_ms = 100000 - i * 1000};
    return merge_count(rows, there, &rule);
}

#define COUNT(rule, ...)                                                                                               \
    count((const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), rule)

static const struct merge_rule open_stream = {.max_bytes = 100, .span_ms = 1000000};
static const struct merge_rule closed_stream = {.max_bytes = 100, .span_ms = 1000000, .closed = true};

static void small_ones_are_joined_up_to_a_whole_one(void **state)
{
    (void)state;
    assert_int_equal(COUNT(open_stream, 10, 10, 10, 10), 4);
    assert_int_equal(COUNT(open_stream, 30, 30, 30, 30), 3); /* four are more than 100 */
    assert_int_equal(COUNT(open_stream, 10, 10, 50, 10), 2); /* 50 is not small */
    assert_int_equal(COUNT(open_stream, 60, 10, 10), 0);     /* nor is the newest */
    assert_int_equal(merge_count(NULL, 0, &open_stream), 0);
}

static void a_larger_one_waits_until_what_follows_is_as_large(void **state)
{
    (void)state;
    assert_int_equal(COUNT(open_stream, 10, 40), 1);
    assert_int_equal(COUNT(open_stream, 10, 10, 20, 40), 4);
    assert_int_equal(COUNT(closed_stream, 10, 40), 2); /* nothing will follow */
}

static void retention_keeps_old_and_new_apart(void **state)
{
    struct merge_rule rule = open_stream;
    (void)state;
    rule.span_ms = 2000;
    assert_int_equal(COUNT(rule, 10, 10, 10, 10, 10), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(small_ones_are_joined_up_to_a_whole_one),
                                       cmocka_unit_test(a_larger_one_waits_until_what_follows_is_as_large),
                                       cmocka_unit_test(retention_keeps_old_and_new_apart)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
