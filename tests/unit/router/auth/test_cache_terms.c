#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "router/auth/cache_terms.h"

/* Of an answer with this Cache-Control, and perhaps another line of it. */
static uint64_t lasts(const char *line, const char *next)
{
    struct cache_terms terms = {0};
    cache_terms_add(&terms, SLICE("Cache-Control"), slice_str(line));
    if (next)
        cache_terms_add(&terms, SLICE("cache-CONTROL"), slice_str(next));
    return cache_terms_ms(&terms, 0);
}

static void directives(void **state)
{
    static const struct {
        const char *line;
        uint64_t ms;
    } table[] = {
        {"max-age=5", 5000},
        {"private, max-age=5", 5000},
        {"Max-Age=5", 5000},
        {" \t,, max-age=5 , ,", 5000},
        {"max-age=\"5\"", 5000},
        {"foo, bar=1, baz=\"a,no-store\", max-age=5, must-revalidate", 5000},
        {"foo=\"\\\", no-store\", max-age=5", 5000},
        {"s-maxage=1, max-age=5", 5000},
        {"max-age=0", 0},
        {"max-age=2147483648", 2147483648000},
        {"max-age=99999999999999999999999999", 2147483648000},
        {"", 0},
        {"public", 0},
        {"x-max-age=5", 0},
        {"max-ages=5", 0},
        {"foo=\"max-age=5\"", 0},
        {"no-store, max-age=5", 0},
        {"max-age=5, No-Store", 0},
        {"max-age=5,no-cache", 0},
        {"max-age=5, no-cache=\"set-cookie\"", 0},
        {"max-age=5, no-store=1", 0},
        {"max-age", 0},
        {"max-age=", 0},
        {"max-age=\"\"", 0},
        {"max-age=-1", 0},
        {"max-age=+5", 0},
        {"max-age=5.0", 0},
        {"max-age=5s", 0},
        {"max-age = 5", 0},
        {"max-age=5, max-age=6", 0},
        {"max-age=5; no-store", 0},
        {"max-age=5, foo=\"no end", 0},
        {"max-age=5, =", 0},
        {"max-age=5 private", 0},
        {"max-age=5, \x80", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (lasts(table[i].line, NULL) != table[i].ms)
            fail_msg("%s: %llu", table[i].line, (unsigned long long)lasts(table[i].line, NULL));
}

static void lines(void **state)
{
    (void)state;
    assert_int_equal(lasts("private", "max-age=5"), 5000);
    assert_int_equal(lasts("no-store", "max-age=5"), 0);
    assert_int_equal(lasts("max-age=5", "no-cache"), 0);
    assert_int_equal(lasts("max-age=5", "max-age=5"), 0);
}

static void age(void **state)
{
    struct cache_terms terms = {0};
    (void)state;
    assert_int_equal(cache_terms_ms(&terms, 0), 0);
    cache_terms_add(&terms, SLICE("cache-control"), SLICE("max-age=10"));
    assert_int_equal(cache_terms_ms(&terms, 1500), 8500);
    assert_int_equal(cache_terms_ms(&terms, 10000), 0);
    cache_terms_add(&terms, SLICE("Age"), SLICE("old"));
    cache_terms_add(&terms, SLICE("Age"), SLICE("4"));
    assert_int_equal(cache_terms_ms(&terms, 1500), 4500);
    cache_terms_add(&terms, SLICE("age"), SLICE("99999999999999999999"));
    assert_int_equal(cache_terms_ms(&terms, 0), 0);
}

static void vary(void **state)
{
    struct cache_terms terms = {0};
    (void)state;
    cache_terms_add(&terms, SLICE("cache-control"), SLICE("max-age=10"));
    cache_terms_add(&terms, SLICE("vary"), SLICE("Authorization"));
    assert_int_equal(cache_terms_ms(&terms, 0), 10000);
    cache_terms_add(&terms, SLICE("Vary"), SLICE("Cookie, *"));
    assert_int_equal(cache_terms_ms(&terms, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directives),
        cmocka_unit_test(lines),
        cmocka_unit_test(age),
        cmocka_unit_test(vary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
