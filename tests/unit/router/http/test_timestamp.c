#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "router/http/timestamp.h"

static void good(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.001Z", 1},
        {"2000-02-29T12:34:56Z", 951827696000},
        {"2024-10-09T00:00:00Z", 1728432000000},
        {"2026-02-28T23:59:60.5+01:00", 1772319600500},
        {"2026-02-28T23:59:59.123456789-00:30", 1772324999123},
        {"2099-12-31t23:59:59z", 4102444799000},
        {"1969-12-31T23:59:59Z", 0},
        {"9999-12-31T23:59:59Z", 253402300799000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t ms;
        assert_true(timestamp_parse(slice_str(cases[i].text), &ms));
        assert_int_equal(ms, cases[i].ms);
    }
}

static void bad(void **state)
{
    static const char *const cases[] = {
        "",
        "yesterday",
        "2026-02-30T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00Z",
        "2026-01-01",
        "2026-1-1T00:00:00Z",
        "2026-01-01T00:00:00+1:00",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+00:60",
        "2026-01-01T00:00:00+0000",
        "2026-01-01T00:00:00Zx",
        "12345",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t ms;
        assert_false(timestamp_parse(slice_str(cases[i]), &ms));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(bad)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
