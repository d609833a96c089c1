/* Decisions about requests of projects: with which token, for what, and when that ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/router/auth/stand.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define PROJECT "{\"signingSecrets\":[\"" SECRET "\"]}"

/* A token of project p; stream "" is for all. The caller frees it. */
static char *token(enum scope scope, const char *stream, int64_t lasts_s)
{
    char subject[] = "p";
    char *copy = *stream ? xstrdup(stream) : NULL;
    struct claims claims = {
        .scope = scope, .subject = subject, .stream_id = copy, .expires_s = (uint64_t)((int64_t)time(NULL) + lasts_s)};
    char *signed_token = token_sign(SECRET, &claims);
    free(copy);
    return signed_token;
}

/* Takes the token; NULL: none comes. */
static enum error check(struct stand *s, char *bearer, const char *resource, enum scope scope)
{
    char header[1024];
    struct http_head head = {.method = HTTP_GET};
    snprintf(header, sizeof header, "Bearer %s", bearer ? bearer : "");
    if (bearer)
        head.headers[HTTP_AUTHORIZATION_HEADER] = slice_str(header);
    enum error error = auth_check(&s->connection.request, &head, slice_str(resource), scope, NULL);
    free(bearer);
    return error;
}

static void a_good_token(void **state)
{
    struct stand *s = *state;
    const struct grant *grant = &s->connection.request.grant;
    stand_project(s, "p", PROJECT);
    assert_int_equal(check(s, token(SCOPE_WRITE, "", 60), "p/s", SCOPE_WRITE), ERR_NONE);
    assert_true(grant->checked && grant->key && !grant->anonymous && !grant->narrow);
    assert_int_equal(check(s, token(SCOPE_WRITE, "", 60), "p/s", SCOPE_READ), ERR_NONE);
    assert_int_equal(check(s, token(SCOPE_WRITE, "", 60), "p/s", SCOPE_MANAGE), ERR_FORBIDDEN);
    assert_int_equal(grant->fault, TOKEN_WEAK);
    assert_int_equal(check(s, token(SCOPE_MANAGE, "", 60), "q/s", SCOPE_WRITE), ERR_UNAUTHORIZED);
}

static void one_stream_or_a_prefix(void **state)
{
    struct stand *s = *state;
    stand_project(s, "p", PROJECT);
    assert_int_equal(check(s, token(SCOPE_WRITE, "a", 60), "p/a", SCOPE_WRITE), ERR_NONE);
    assert_true(s->connection.request.grant.narrow);
    assert_int_equal(check(s, token(SCOPE_WRITE, "a", 60), "p/ab", SCOPE_WRITE), ERR_FORBIDDEN);
    assert_int_equal(check(s, token(SCOPE_WRITE, "a*", 60), "p/ab", SCOPE_WRITE), ERR_NONE);
    assert_int_equal(check(s, token(SCOPE_MANAGE, "a*", 60), "p", SCOPE_MANAGE), ERR_FORBIDDEN);
}

/* Reading is nobody's right: the shard says whether the stream is public. */
static void nobody_may_ask(void **state)
{
    struct stand *s = *state;
    const struct grant *grant = &s->connection.request.grant;
    stand_project(s, "p", PROJECT);
    assert_int_equal(check(s, NULL, "p/s", SCOPE_READ), ERR_NONE);
    assert_true(grant->anonymous && !grant->shared);
    assert_int_equal(check(s, NULL, "p/s", SCOPE_WRITE), ERR_UNAUTHORIZED);
    stand_project(s, "p", "{\"signingSecrets\":[\"" SECRET "\"],\"isPublic\":true}");
    s->router.now_ms++;
    auth_turn(&s->router.auth);
    assert_int_equal(check(s, NULL, "p/s", SCOPE_READ), ERR_NONE);
    assert_true(!grant->anonymous && grant->shared);
}

static void time_passes(void **state)
{
    struct stand *s = *state;
    stand_project(s, "p", PROJECT);
    assert_int_equal(check(s, token(SCOPE_WRITE, "", -1), "p/s", SCOPE_WRITE), ERR_UNAUTHORIZED);
    assert_int_equal(s->connection.request.grant.fault, TOKEN_EXPIRED);
    stand_set(s, "auth.leeway=1m");
    assert_int_equal(check(s, token(SCOPE_WRITE, "", -1), "p/s", SCOPE_WRITE), ERR_NONE);
}

/* Nobody keeps verifying for an address that sends wrong tokens; those that are known are answered still. */
static void too_many_wrong_ones(void **state)
{
    struct stand *s = *state;
    char text[32];
    stand_set(s, "auth.failures=3");
    stand_project(s, "p", PROJECT);
    char *good = token(SCOPE_WRITE, "", 100);
    assert_int_equal(check(s, xstrdup(good), "p/s", SCOPE_WRITE), ERR_NONE);
    for (unsigned i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "wrong%u", i);
        assert_int_equal(check(s, xstrdup(text), "p/s", SCOPE_WRITE), ERR_UNAUTHORIZED);
    }
    assert_int_equal(check(s, xstrdup("wrong3"), "p/s", SCOPE_WRITE), ERR_RATE_LIMITED);
    assert_int_equal(check(s, xstrdup("wrong0"), "p/s", SCOPE_WRITE), ERR_UNAUTHORIZED);
    assert_int_equal(check(s, good, "p/s", SCOPE_WRITE), ERR_NONE);
    s->router.now_ms += 60000;
    assert_int_equal(check(s, xstrdup("wrong3"), "p/s", SCOPE_WRITE), ERR_UNAUTHORIZED);
}

/* What was granted is looked at again when the project has other keys. */
static void keys_go(void **state)
{
    struct stand *s = *state;
    struct grant *grant = &s->connection.request.grant;
    stand_project(s, "p", PROJECT);
    assert_int_equal(check(s, token(SCOPE_READ, "", 60), "p/s", SCOPE_READ), ERR_NONE);
    assert_true(auth_renew(&s->router.auth, grant, SLICE("p")));
    assert_true(auth_holds(&s->connection.request, s->router.auth.generation));
    uint64_t decided = s->router.auth.generation;
    unsigned rechecks = s->rechecks;
    stand_project(s, "p", "{\"signingSecrets\":[\"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\",\"" SECRET "\"]}");
    auth_turn(&s->router.auth); /* it looks once a millisecond */
    s->router.now_ms++;
    auth_turn(&s->router.auth);
    assert_true(s->rechecks > rechecks);
    assert_false(auth_holds(&s->connection.request, decided));
    assert_true(auth_renew(&s->router.auth, grant, SLICE("p"))); /* its key is there still */
    stand_project(s, "p", "{\"signingSecrets\":[\"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\"]}");
    s->router.now_ms++;
    auth_turn(&s->router.auth);
    assert_false(auth_renew(&s->router.auth, grant, SLICE("p")));
    assert_int_equal(check(s, token(SCOPE_WRITE, "", 60), "p/s", SCOPE_WRITE), ERR_UNAUTHORIZED);
}

/* Live reads have to bring their tokens again only if what tokens are held against has changed. */
static void the_configuration_is_read_again(void **state)
{
    struct stand *s = *state;
    unsigned rechecks = s->rechecks;
    assert_false(auth_reload(&s->router.auth));
    assert_int_equal(s->rechecks, rechecks + 1);
    stand_set(s, "auth.audience=here");
    assert_true(auth_reload(&s->router.auth));
    assert_false(auth_reload(&s->router.auth));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_good_token, stand_setup, stand_teardown),
        cmocka_unit_test_setup_teardown(one_stream_or_a_prefix, stand_setup, stand_teardown),
        cmocka_unit_test_setup_teardown(nobody_may_ask, stand_setup, stand_teardown),
        cmocka_unit_test_setup_teardown(time_passes, stand_setup, stand_teardown),
        cmocka_unit_test_setup_teardown(too_many_wrong_ones, stand_setup, stand_teardown),
        cmocka_unit_test_setup_teardown(keys_go, stand_setup, stand_teardown),
        cmocka_unit_test_setup_teardown(the_configuration_is_read_again, stand_setup, stand_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
