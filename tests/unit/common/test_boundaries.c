#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/boundaries.h"

static void test_round_trip(void **state)
{
    (void)state;
    struct buf boundaries = {0};
    for (unsigned shift = 0; shift < 63; shift++) {
        uint64_t length = (uint64_t)1 << shift;
        boundaries_add(&boundaries, length - 1, false);
        boundaries_add(&boundaries, length, true);
    }
    boundaries_add(&boundaries, UINT64_MAX >> 1, true);

    struct slice in = buf_slice(&boundaries);
    uint64_t got;
    bool last;
    for (unsigned shift = 0; shift < 63; shift++) {
        uint64_t length = (uint64_t)1 << shift;
        assert_true(boundaries_next(&in, &got, &last) && got == length - 1 && !last);
        assert_true(boundaries_next(&in, &got, &last) && got == length && last);
    }
    assert_true(boundaries_next(&in, &got, &last) && got == UINT64_MAX >> 1 && last);
    assert_false(boundaries_next(&in, &got, &last));
    assert_int_equal(in.len, 0);
    buf_clear(&boundaries);
}

static void test_stored_bytes(void **state)
{
    (void)state;
    struct buf boundaries = {0};
    boundaries_add(&boundaries, 0, false);
    boundaries_add(&boundaries, 63, true);
    boundaries_add(&boundaries, 64, false);
    assert_true(slice_equal(buf_slice(&boundaries), SLICE("\x00\x7f\x80\x01")));
    buf_clear(&boundaries);
}

static void test_damaged(void **state)
{
    (void)state;
    static const struct slice damaged[] = {
        {"", 0},
        {"\x80", 1},                                          /* goes on, but ends */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9},          /* the same at length */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},     /* 65 bits */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11}, /* 11 bytes */
        {"\x80\x00", 2},                                      /* zero the long way */
        {"\xff\x80\x00", 3},
    };
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        struct slice in = damaged[i];
        uint64_t length;
        bool last;
        assert_false(boundaries_next(&in, &length, &last));
        assert_true(in.data == damaged[i].data && in.len == damaged[i].len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_stored_bytes),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
