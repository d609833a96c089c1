#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>

#include "common/buf.h"

static void test_empty(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(buf_len(&b), 0);
    assert_null(buf_slice(&b).data);
    buf_consume(&b, 0);
    buf_add(&b, NULL, 0);
    assert_null(b.data);
    assert_non_null(buf_reserve(&b, 0));
    buf_clear(&b);
    buf_clear(&b);
    assert_int_equal(buf_len(&b), 0);
}

static void test_usable_after_clear(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_add_slice(&b, SLICE("one"));
    buf_clear(&b);
    buf_add_byte(&b, '2');
    assert_true(slice_equal(buf_slice(&b), SLICE("2")));
    buf_reset(&b);
    assert_int_equal(buf_len(&b), 0);
    buf_clear(&b);
}

/* What was consumed makes room again: a buffer through which much flows stays as large as what it holds at once. */
static void test_reuses_room(void **state)
{
    (void)state;
    struct buf b = {0};
    char block[100] = {0};
    buf_add(&b, block, sizeof block);
    for (unsigned i = 0; i < 10000; i++) {
        buf_add(&b, block, sizeof block);
        buf_consume(&b, sizeof block);
    }
    assert_int_equal(buf_len(&b), sizeof block);
    assert_true(b.cap <= 512);
    buf_clear(&b);
}

/* Against a plain byte counter: byte number n of the flow is always (uint8_t)(n * 7). */
static void test_flow(void **state)
{
    (void)state;
    struct buf b = {0};
    uint64_t added = 0, consumed = 0;
    srand(1);
    for (unsigned turn = 0; turn < 20000; turn++) {
        size_t count = (size_t)rand() % (turn % 100 == 0 ? 5000 : 50);
        char *at = buf_reserve(&b, count);
        for (size_t i = 0; i < count; i++)
            at[i] = (char)(uint8_t)(added++ * 7);
        buf_grow(&b, count);
        assert_true(b.end <= b.cap);

        size_t take = (size_t)rand() % (buf_len(&b) + 1);
        struct slice all = buf_slice(&b);
        for (size_t i = 0; i < take; i++)
            assert_int_equal((uint8_t)all.data[i], (uint8_t)(consumed++ * 7));
        buf_consume(&b, take);
        assert_true(buf_len(&b) == added - consumed);
    }
    buf_clear(&b);
}

static void test_numbers(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_add_number(&b, "", 0);
    buf_add_number(&b, ",\"seq\":", UINT64_MAX);
    assert_true(slice_equal(buf_slice(&b), SLICE("0,\"seq\":18446744073709551615")));
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),       cmocka_unit_test(test_usable_after_clear),
        cmocka_unit_test(test_reuses_room), cmocka_unit_test(test_flow),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
