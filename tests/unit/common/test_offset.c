#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>

#include "common/buf.h"
#include "common/offset.h"
#include "tests/unit/exact.h"

static void test_print(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {0, 1, 9, 10, 4294967296, 1234567890123456, OFFSET_MAX - 1, OFFSET_MAX};
    size_t count = sizeof numbers / sizeof *numbers;
    for (size_t i = 0; i < count * count; i++) {
        struct offset offset = {numbers[i / count], numbers[i % count]}, back = {0};
        char out[OFFSET_LEN + 1] = {0}, expected[OFFSET_LEN + 1];
        snprintf(expected, sizeof expected, "%016" PRIu64 "_%016" PRIu64, offset.life, offset.position);
        offset_print(out, offset);
        assert_string_equal(out, expected);

        struct buf text_too = {0};
        buf_add_byte(&text_too, '.');
        offset_add(&text_too, offset);
        assert_true(slice_equal(slice_of(buf_slice(&text_too).data + 1, buf_len(&text_too) - 1), slice_str(expected)));
        buf_clear(&text_too);

        struct slice text = exact_copy(slice_of(out, OFFSET_LEN));
        assert_true(offset_parse(text, &back));
        assert_true(back.life == offset.life && back.position == offset.position);
        exact_free(text);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "",
        "0",
        "-1",
        "now",
        "0_0",
        "0000000000000000_000000000000000",
        "0000000000000000_00000000000000000",
        "000000000000000_00000000000000000",
        "00000000000000000_000000000000000",
        "0000000000000000-0000000000000000",
        "0000000000000000_000000000000000a",
        "0000000000000000_000000000000000/",
        "0000000000000000_000000000000000:",
        "0000000000000000_ 00000000000000",
        "0000000000000000_+000000000000001",
        "0000000000000000_-000000000000001",
        "x000000000000000_0000000000000001",
        " 000000000000000_0000000000000001",
        "0000000000000000_0000000000000001 ",
        "0000000000000000_000000000000000\xb1",
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct slice text = exact_copy(slice_str(refused[i]));
        struct offset offset;
        assert_false(offset_parse(text, &offset));
        exact_free(text);
    }
    struct offset offset;
    assert_false(offset_parse(slice_of(NULL, 0), &offset));
    assert_false(offset_parse(slice_of("0000000000000000_000000000000000\0", OFFSET_LEN), &offset));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
