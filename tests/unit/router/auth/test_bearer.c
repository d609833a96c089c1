#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "router/auth/bearer.h"

struct given {
    const char *authorization, *query, *cookies;
};

static void expect(struct given given, enum bearer where, const char *token)
{
    struct http_head head = {0};
    struct buf room = {0};
    struct slice found;
    if (given.authorization)
        head.headers[HTTP_AUTHORIZATION_HEADER] = slice_str(given.authorization);
    if (given.cookies)
        head.headers[HTTP_COOKIE_HEADER] = slice_str(given.cookies);
    if (given.query)
        head.query = slice_str(given.query);
    assert_int_equal(bearer_token(&head, SLICE("session"), &room, &found), where);
    if (where >= BEARER_HEADER)
        assert_true(slice_equal(found, slice_str(token)));
    buf_clear(&room);
}

static void headers(void **state)
{
    (void)state;
    expect((struct given){.authorization = "Bearer a.b.c"}, BEARER_HEADER, "a.b.c");
    expect((struct given){.authorization = "bEARER   a.b.c"}, BEARER_HEADER, "a.b.c");
    expect((struct given){.authorization = "Bearer a b"}, BEARER_HEADER, "a b");
    expect((struct given){.authorization = "Bearer"}, BEARER_HEADER, "");
    expect((struct given){"Bearer a", "token=b", "session=c"}, BEARER_HEADER, "a");
}

static void others_schemes(void **state)
{
    static const char *const schemes[] = {"Basic dTpw", "", "Bearers a", "Bearer\ta", "Digest a=\"Bearer b\"",
                                          "Bear a"};
    (void)state;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        expect((struct given){.authorization = schemes[i]}, *schemes[i] ? BEARER_SCHEME : BEARER_ABSENT, NULL);
        expect((struct given){schemes[i], "token=b", "session=c"}, BEARER_QUERY, "b");
        expect((struct given){schemes[i], "tokens=b", "session=c"}, BEARER_COOKIE, "c");
    }
}

static void queries(void **state)
{
    (void)state;
    expect((struct given){.query = "offset=-1&token=a.b.c&live=sse"}, BEARER_QUERY, "a.b.c");
    expect((struct given){.query = "token=a%2Eb%2ec"}, BEARER_QUERY, "a.b.c");
    expect((struct given){.query = "%74oken=a"}, BEARER_QUERY, "a");
    expect((struct given){.query = "token="}, BEARER_QUERY, "");
    expect((struct given){.query = "token=a%2"}, BEARER_QUERY, "a%2");
    expect((struct given){.query = "token=a%00"}, BEARER_QUERY, "a%00");
    expect((struct given){.query = "token"}, BEARER_ABSENT, NULL);
    expect((struct given){.query = ""}, BEARER_ABSENT, NULL);
}

static void cookies(void **state)
{
    (void)state;
    expect((struct given){.cookies = "a=b; session=a.b.c; c=d"}, BEARER_COOKIE, "a.b.c");
    expect((struct given){.cookies = "session=one; session=two"}, BEARER_COOKIE, "one");
    expect((struct given){.cookies = "xsession=a;sessio=b; %73ession=c"}, BEARER_ABSENT, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(headers), cmocka_unit_test(others_schemes),
                                       cmocka_unit_test(queries), cmocka_unit_test(cookies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
