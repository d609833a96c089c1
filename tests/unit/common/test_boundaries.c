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
        boundaries_add(&boundaries, length, false);
        boundaries_add(&boundaries, length, true);
    }
    boundaries_add(&boundaries, UINT64_MAX >> 1, true);

    struct slice in = buf_slice(&boundaries);
    uint64_t got;
    bool last;
    for (unsigned shift = 0; shift < 63; shift++) {
        uint64_t length = (uint64_t)1 << shift;
        assert_true(boundaries_next(&in, &got, &last) && got == length && !last);
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
    boundaries_add(&boundaries, 1, false);
    boundaries_add(&boundaries, 63, true);
    boundaries_add(&boundaries, 64, false);
    assert_true(slice_equal(buf_slice(&boundaries), SLICE("\x02\x7f\x80\x01")));
    buf_clear(&boundaries);
}

static void test_times(void **state)
{
    (void)state;
    struct buf boundaries = {0}, plain = {0};
    uint64_t told = 0, time_ms = 0, length;
    bool last;
    boundaries_add(&boundaries, 1, true); /* of unknown time */
    boundaries_add_time(&boundaries, &told, 1000);
    boundaries_add(&boundaries, 2, false);
    boundaries_add_time(&boundaries, &told, 1000);
    boundaries_add(&boundaries, 3, true);
    boundaries_add_time(&boundaries, &told, 1005);
    boundaries_add(&boundaries, 4, true);
    assert_true(slice_equal(buf_slice(&boundaries), SLICE("\x03\x00\xe8\x07\x04\x07\x00\x05\x09")));
    static const uint64_t times[] = {0, 1000, 1000, 1005};
    struct slice in = buf_slice(&boundaries);
    for (uint64_t i = 0; i < 4; i++)
        assert_true(boundaries_next_at(&in, &length, &last, &time_ms) && length == i + 1 && time_ms == times[i]);
    assert_int_equal(in.len, 0);
    assert_int_equal(boundaries_first_time(buf_slice(&boundaries)), 0);
    assert_int_equal(boundaries_first_time(SLICE("\x00\xe8\x07\x04")), 1000);
    boundaries_add_all(&plain, buf_slice(&boundaries));
    assert_true(slice_equal(buf_slice(&plain), SLICE("\x03\x04\x07\x09")));
    buf_clear(&boundaries);
    buf_clear(&plain);
}

static void test_a_clock_set_back(void **state)
{
    (void)state;
    static const uint64_t times[] = {100000000, 5, 7, 6, UINT64_MAX, 1};
    struct buf boundaries = {0};
    uint64_t told = 0, time_ms = 0, length;
    bool last;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        boundaries_add_time(&boundaries, &told, times[i]);
        boundaries_add(&boundaries, i + 1, true);
    }
    struct slice in = buf_slice(&boundaries);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        assert_true(boundaries_next_at(&in, &length, &last, &time_ms) && length == i + 1 && time_ms == times[i]);
    assert_int_equal(in.len, 0);
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
        {"\x00", 1},                 /* a time that is missing */
        {"\x00\x05", 2},             /* and one without a message */
        {"\x00\x00\x04", 3},         /* the same as the one before it */
        {"\x00\x05\x00\x05\x04", 5}, /* two of them */
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
        cmocka_unit_test(test_round_trip),       cmocka_unit_test(test_stored_bytes), cmocka_unit_test(test_times),
        cmocka_unit_test(test_a_clock_set_back), cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
