#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/redact.h"
#include "router/observe/request_log.h"

static void ids(void **state)
{
    static const char longest[] = "0123456789012345678901234567890123456789012345678901234567890123x";
    (void)state;
    assert_true(request_id_valid(SLICE("a")));
    assert_true(request_id_valid(SLICE("3f2a:B_c-9.z")));
    assert_true(request_id_valid(slice_of(longest, 64)));
    assert_false(request_id_valid(slice_of(longest, 65)));
    assert_false(request_id_valid(SLICE("")));
    assert_false(request_id_valid(SLICE("a b")));
    assert_false(request_id_valid(SLICE("a\n")));
    assert_false(request_id_valid(SLICE("a\"")));
    assert_false(request_id_valid(SLICE("\xc3\xa4")));
    assert_false(request_id_valid(SLICE("eyJhbGciOiJIUzI1NiJ9")));
}

static void assert_shown(const char *query, const char *expected)
{
    char out[REQUEST_QUERY_MAX];
    size_t len = request_query_shown(out, slice_str(query));
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(out, expected, len);
}

static void queries(void **state)
{
    (void)state;
    assert_shown("", "");
    assert_shown("token=eyJhbGciOiJIUzI1NiJ9.e30.x&rk=rk_0123", "");
    assert_shown("offset=-1", "offset=-1");
    assert_shown("rk=x&live=sse&offset=0000000000000000_0000000000000042&token=y&limit=5&cursor=7",
                 "offset=0000000000000000_0000000000000042&live=sse&cursor=7&limit=5");
    assert_shown("offset=now&live=long-poll", "offset=now&live=long-poll");
    assert_shown("offset=eyJhbGci&live=SSE&cursor=%0a&limit=rk_0", "offset=?&live=?&cursor=?&limit=?");
    assert_shown("offset=00000000000000000000000000000000000000000", "offset=?");
    assert_shown("offset=", "offset=");
    assert_shown("xoffset=1&offsets=2", "");
}

static void assert_path(const char *path, const char *expected)
{
    char *copy = xslicedup(slice_str(path));
    size_t len = redact_tokens(copy, strlen(path));
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(copy, expected, len);
    free(copy);
}

static void paths(void **state)
{
    (void)state;
    assert_path("", "");
    assert_path("/v1/stream/a/b", "/v1/stream/a/b");
    assert_path("/eyJhbGciOiJI.e30.abc/x", "/[token]/x");
    assert_path("/x;t=eyJhbGciOiJI-_", "/x;t=[token]");
    assert_path("/eyJshort", "/eyJshort");
    assert_path("/eyJ", "/eyJ");
    assert_path("eyeyJ0123456789eyJ0123456789", "ey[token]");
    assert_path("/eyJ0123456789/eyJ0123456789", "/[token]/[token]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids),
        cmocka_unit_test(queries),
        cmocka_unit_test(paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
