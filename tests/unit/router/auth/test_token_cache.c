/* What is remembered of tokens: verdicts by digest and project, but never what the clock says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/mem.h"
#include "router/auth/mark.h"
#include "router/auth/token_cache.h"

static int setup(void **state)
{
    struct token_cache *cache = xcalloc(1, sizeof *cache);
    token_cache_init(cache);
    *state = cache;
    return 0;
}

static int teardown(void **state)
{
    token_cache_free(*state);
    free(*state);
    return 0;
}

static struct token_verdict good(const char *stream)
{
    return (struct token_verdict){
        .fault = TOKEN_GOOD,
        .key = "key",
        .claims = {.scope = SCOPE_READ, .expires_s = 99, .subject = xstrdup("p"), .stream_id = xstrdup(stream)},
    };
}

static void found_again(void **state)
{
    struct token_cache *cache = *state;
    struct token_cache_key key = token_cache_key(cache, SLICE("token"), auth_mark(SLICE("p")));
    struct token_cache_key other = token_cache_key(cache, SLICE("token"), auth_mark(SLICE("q")));
    struct token_cache_key longer = token_cache_key(cache, SLICE("token2"), auth_mark(SLICE("p")));
    struct token_verdict verdict = good("s");
    assert_null(token_cache_find(cache, &key));
    const struct cached_token *put = token_cache_put(cache, &key, &verdict);
    assert_ptr_equal(token_cache_find(cache, &key), put);
    assert_string_equal(put->claims.stream_id, "s");
    assert_true(put->key == auth_mark(SLICE("key")));
    assert_null(token_cache_find(cache, &other)); /* good for one project says nothing of another */
    assert_null(token_cache_find(cache, &longer));
}

static void wrong_ones_too(void **state)
{
    struct token_cache *cache = *state;
    struct token_cache_key key = token_cache_key(cache, SLICE("wrong"), auth_mark(SLICE("p")));
    const struct token_verdict verdict = {.fault = TOKEN_UNVERIFIED, .kind = KEY_RS256};
    const struct cached_token *put = token_cache_put(cache, &key, &verdict);
    assert_int_equal(put->fault, TOKEN_UNVERIFIED);
    assert_int_equal(put->kind, KEY_RS256);
    assert_true(put->key == 0);
    assert_ptr_equal(token_cache_find(cache, &key), put);
}

/* A token that is early or expired is kept as good: each request asks the clock. */
static void no_clock(void **state)
{
    struct token_cache *cache = *state;
    static const enum token_fault faults[] = {TOKEN_EARLY, TOKEN_EXPIRED};
    for (size_t i = 0; i < 2; i++) {
        struct token_cache_key key = token_cache_key(cache, slice_of(&"ab"[i], 1), 3);
        struct token_verdict verdict = good("s");
        verdict.fault = faults[i];
        assert_int_equal(token_cache_put(cache, &key, &verdict)->fault, TOKEN_GOOD);
    }
}

static void forgotten(void **state)
{
    struct token_cache *cache = *state;
    struct token_cache_key key = token_cache_key(cache, SLICE("token"), 3);
    struct token_verdict verdict = good("s");
    (void)token_cache_put(cache, &key, &verdict);
    token_cache_forget(cache);
    assert_null(token_cache_find(cache, &key));
}

/* More tokens than places: the newest is always there, and memory does not grow (valgrind sees that nothing is lost).
 */
static void flood(void **state)
{
    struct token_cache *cache = *state;
    char text[32];
    for (unsigned i = 0; i < 4 * TOKEN_CACHE_PLACES; i++) {
        struct slice token = slice_of(text, (size_t)snprintf(text, sizeof text, "token %u", i));
        struct token_cache_key key = token_cache_key(cache, token, 3);
        struct token_verdict verdict = good(text);
        (void)token_cache_put(cache, &key, &verdict);
        assert_string_equal(token_cache_find(cache, &key)->claims.stream_id, text);
    }
}

/* Wrong tokens, however many, make no good one unknown. */
static void wrong_flood(void **state)
{
    struct token_cache *cache = *state;
    struct token_cache_key key = token_cache_key(cache, SLICE("token"), 3);
    struct token_verdict verdict = good("s");
    const struct cached_token *put = token_cache_put(cache, &key, &verdict);
    char text[32];
    for (unsigned i = 0; i < 16 * TOKEN_CACHE_PLACES; i++) {
        struct slice token = slice_of(text, (size_t)snprintf(text, sizeof text, "wrong %u", i));
        struct token_cache_key other = token_cache_key(cache, token, 3);
        const struct token_verdict wrong = {.fault = TOKEN_UNVERIFIED};
        (void)token_cache_put(cache, &other, &wrong);
    }
    assert_ptr_equal(token_cache_find(cache, &key), put);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(found_again, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_ones_too, setup, teardown),
        cmocka_unit_test_setup_teardown(no_clock, setup, teardown),
        cmocka_unit_test_setup_teardown(forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(flood, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_flood, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
