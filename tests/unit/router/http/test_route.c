#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "router/http/route.h"

#define MAX 1024

static void expect_name(const char *path, const char *name)
{
    char room[ROUTE_NAME_MAX];
    struct route route;
    assert_int_equal(route_parse(slice_str(path), HTTP_GET, MAX, room, &route, NULL), ERR_NONE);
    assert_int_equal(route.kind, ROUTE_STREAM);
    assert_int_equal(route.name.len, strlen(name));
    assert_memory_equal(route.name.data, name, route.name.len);
}

static void expect_error(const char *path, enum error error)
{
    char room[ROUTE_NAME_MAX];
    struct route route;
    assert_string_equal(error_code(route_parse(slice_str(path), HTTP_GET, MAX, room, &route, NULL)), error_code(error));
}

static void names(void **state)
{
    (void)state;
    expect_name("/v1/stream/p/s", "p/s");
    expect_name("/v1/stream/p/a/b/c", "p/a/b/c");
    expect_name("/v1/stream/p/a%2Fb", "p/a/b");
    expect_name("/v1/stream/s", "_default/s");
    expect_name("/v1/stream/a%2fb", "_default/a/b");
    expect_name("/v1/stream/_default/s", "_default/s");
    expect_name("/v1/stream/P-_9/%C3%A4%20b+c", "P-_9/\xc3\xa4 b+c");
    expect_name("/v1/stream/p//", "p//");
}

static void health(void **state)
{
    char room[ROUTE_NAME_MAX];
    struct route route;
    (void)state;
    assert_int_equal(route_parse(SLICE("/health"), HTTP_GET, MAX, room, &route, NULL), ERR_NONE);
    assert_int_equal(route.kind, ROUTE_HEALTH);
    assert_int_equal(route_parse(SLICE("/"), HTTP_GET, MAX, room, &route, NULL), ERR_NONE);
    assert_int_equal(route.kind, ROUTE_ROOT);
    assert_int_equal(route_parse(SLICE("/v1/streams"), HTTP_GET, MAX, room, &route, NULL), ERR_NONE);
    assert_int_equal(route.kind, ROUTE_STREAMS);
    assert_true(route.name.data && route.name.len == 0);
}

static void refusals(void **state)
{
    char longest[MAX + 2];
    (void)state;
    expect_error("//", ERR_NOT_FOUND);
    expect_error("/v1/stream", ERR_NOT_FOUND);
    expect_error("/v1/streamz/p/s", ERR_NOT_FOUND);
    expect_error("/v1/streams/", ERR_INVALID_PATH);
    expect_error("/v1/streams/p.q", ERR_INVALID_PATH);
    expect_error("/v1/streams/p.q/s", ERR_MISSING_PROJECT_OR_STREAM_ID);
    expect_error("/v1/streams/p/", ERR_MISSING_PROJECT_OR_STREAM_ID);
    expect_error("/v1/stream/", ERR_MISSING_PROJECT_OR_STREAM_ID);
    expect_error("/v1/stream/p/", ERR_MISSING_PROJECT_OR_STREAM_ID);
    expect_error("/v1/stream//s", ERR_MISSING_PROJECT_OR_STREAM_ID);
    expect_error("/v1/stream/p.q/s", ERR_MISSING_PROJECT_OR_STREAM_ID);
    expect_error("/v1/stream/p%2Fq/s", ERR_MISSING_PROJECT_OR_STREAM_ID);
    expect_error("/v1/stream/p/x%", ERR_INVALID_PATH);
    expect_error("/v1/stream/p/x%4", ERR_INVALID_PATH);
    expect_error("/v1/stream/p/x%4g", ERR_INVALID_PATH);
    expect_error("/v1/stream/p/x%00", ERR_INVALID_PATH);
    expect_error("/v1/stream/p/x%1f", ERR_INVALID_PATH);
    expect_error("/v1/stream/p/x%7F", ERR_INVALID_PATH);
    expect_error("/v1/stream/%zz/s", ERR_INVALID_PATH);
    expect_error("/v1/stream/__ds/subscriptions/x", ERR_NOT_FOUND);
    expect_error("/v1/stream/__ds", ERR_NOT_FOUND);
    expect_error("/v1/stream/%5f_ds/x", ERR_NOT_FOUND);
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "/v1/stream/p/", 13);
    longest[MAX + 1] = '\0';
    expect_error(longest, ERR_PATH_TOO_LONG);
    longest[MAX] = '\0';
    expect_error(longest, ERR_NONE);
}

static void expect_estuary(enum http_method method, const char *path, enum route_kind kind, const char *name)
{
    char room[ROUTE_NAME_MAX];
    struct route route;
    assert_int_equal(route_parse(slice_str(path), method, MAX, room, &route, NULL), ERR_NONE);
    assert_string_equal(route_name(route.kind), route_name(kind));
    assert_true(slice_equal(route.name, slice_str(name)));
}

static void estuaries(void **state)
{
    (void)state;
    expect_estuary(HTTP_GET, "/v1/estuary/p/e", ROUTE_ESTUARY, "p/e");
    expect_estuary(HTTP_GET, "/v1/estuary/p/room%20b/caf%C3%A9/%FF", ROUTE_ESTUARY, "p/room b/caf\xc3\xa9/\xff");
    expect_estuary(HTTP_POST, "/v1/estuary/p/chat/1/touch", ROUTE_ESTUARY_TOUCH, "p/chat/1");
    expect_estuary(HTTP_POST, "/v1/estuary/p/touch", ROUTE_ESTUARY, "p/touch");
    expect_estuary(HTTP_POST, "/v1/estuary/p/touch/touch", ROUTE_ESTUARY_TOUCH, "p/touch");
    expect_estuary(HTTP_GET, "/v1/estuary/p/e/touch", ROUTE_ESTUARY, "p/e/touch");
    expect_estuary(HTTP_DELETE, "/v1/estuary/p/e/touch", ROUTE_ESTUARY, "p/e/touch");
    expect_estuary(HTTP_PUT, "/v1/estuary/p/e/touch", ROUTE_ESTUARY_TOUCH, "p/e");
    expect_estuary(HTTP_POST, "/v1/estuary/subscribe/p/chat/1", ROUTE_SUBSCRIPTION, "p/chat/1");
    expect_estuary(HTTP_DELETE, "/v1/estuary/subscribe/p/chat/1", ROUTE_SUBSCRIPTION, "p/chat/1");
    expect_estuary(HTTP_PUT, "/v1/estuary/subscribe/p/s", ROUTE_SUBSCRIPTION, "p/s");
    expect_estuary(HTTP_POST, "/v1/estuary/subscribe/p", ROUTE_SUBSCRIPTIONS, "p");
    expect_estuary(HTTP_GET, "/v1/estuary/subscribe/e", ROUTE_ESTUARY, "subscribe/e");
    expect_estuary(HTTP_GET, "/v1/estuary/subscribe/e/f", ROUTE_ESTUARY, "subscribe/e/f");
    expect_estuary(HTTP_DELETE, "/v1/estuary/subscribe/e", ROUTE_ESTUARY, "subscribe/e");
    expect_estuary(HTTP_DELETE, "/v1/estuary/%73ubscribe/e/f", ROUTE_ESTUARY, "subscribe/e/f");
    expect_estuary(HTTP_POST, "/v1/estuary/%73ubscribe/e/touch", ROUTE_ESTUARY_TOUCH, "subscribe/e");
    expect_estuary(HTTP_POST, "/v1/estuary/subscribe/subscribe/x", ROUTE_SUBSCRIPTION, "subscribe/x");
    expect_error("/v1/estuary/p", ERR_MISSING_PROJECT_OR_STREAM_ID);
    expect_error("/v1/estuary/p/", ERR_MISSING_PROJECT_OR_STREAM_ID);
    expect_error("/v1/estuary/p/%", ERR_INVALID_PATH);
    expect_error("/v1/estuary/", ERR_MISSING_PROJECT_OR_STREAM_ID);
    expect_error("/v1/estuary/p/e%00", ERR_INVALID_PATH);
}

static void names_that_no_url_reaches(void **state)
{
    (void)state;
    static const char *const good[] = {"p/s", "p/...", "p/.a", "p/a.", "p/a..b", "p//", "p/a//b", "p/..a/b"};
    static const char *const bad[] = {"p/.", "p/..", "p/a/..", "p/../b", "p/a/./b", "p/./", "p//.."};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(route_reachable(slice_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(route_reachable(slice_str(bad[i])));
}

static enum error parse_fork(const char *from, const char *origin, char room[ROUTE_NAME_MAX], struct slice *name)
{
    struct http_head head = {.origin = origin ? slice_str(origin) : (struct slice){0}};
    head.headers[HTTP_HOST_HEADER] = SLICE("h:81");
    head.headers[HTTP_STREAM_FORKED_FROM_HEADER] = slice_str(from);
    return route_parse_fork(&head, MAX, room, name);
}

static void forks(void **state)
{
    char room[ROUTE_NAME_MAX];
    struct slice name;
    const char *const urls[] = {"http://h:81/v1/stream/p/s", "https://H:81/v1/stream/p/s"};
    (void)state;
    assert_int_equal(parse_fork("/v1/stream/p/a%20b", NULL, room, &name), ERR_NONE);
    assert_true(slice_equal(name, SLICE("p/a b")));
    assert_int_equal(parse_fork("/v1/stream/p/a b", NULL, room, &name), ERR_NONE);
    assert_true(slice_equal(name, SLICE("p/a b")));
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        assert_int_equal(parse_fork(urls[i], NULL, room, &name), ERR_NONE);
        assert_true(slice_equal(name, SLICE("p/s")));
        assert_int_equal(parse_fork(urls[i], "http://other", room, &name), ERR_INVALID_FORK_SOURCE);
    }
    assert_int_equal(parse_fork("http://other/v1/stream/p/s", "http://other", room, &name), ERR_NONE);
    static const char *const bad[] = {"",
                                      "p/s",
                                      "/health",
                                      "/v1/stream/p/s?x=1",
                                      "/v1/stream/p/s#x",
                                      "http://h/v1/stream/p/s",
                                      "http://h:81",
                                      "http://h:81?/v1/stream/p/s",
                                      "http://u@h:81/v1/stream/p/s",
                                      "ftp://h:81/v1/stream/p/s",
                                      "//h:81/v1/stream/p/s",
                                      "x/http://h:81/v1/stream/p/s",
                                      "/v1/stream/__ds/s",
                                      "/v1/stream/p/%"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(parse_fork(bad[i], NULL, room, &name), ERR_INVALID_FORK_SOURCE);
}

/* Every path of the list is found again, with each method that it takes. */
static void every_path(void **state)
{
    static const unsigned methods[ROUTE_COUNT] = {
#define ON(method, scope, handler, operation, ids) | 1u << HTTP_##method
#define ROUTE(ID, name, paths, methods) [ROUTE_##ID] = 0u methods,
#include "common/routes.def"
#undef ROUTE
#undef ON
    };
    char room[ROUTE_NAME_MAX], path[200];
    (void)state;
    for (enum route_kind kind = 0; kind < ROUTE_COUNT; kind++) {
        assert_non_null(route_path(kind, 0));
        for (size_t i = 0; route_path(kind, i); i++)
            for (enum http_method method = 0; method < HTTP_OTHER; method++) {
                size_t len = 0;
                struct route route;
                for (const char *p = route_path(kind, i); *p; p++) /* {project} becomes p */
                    if (*p != '{')
                        path[len++] = *p;
                    else if ((path[len++] = p[1]))
                        p = strchr(p, '}');
                if (!(methods[kind] >> method & 1))
                    continue;
                assert_int_equal(route_parse(slice_of(path, len), method, MAX, room, &route, NULL), ERR_NONE);
                assert_int_equal(route.kind, kind);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(health),
        cmocka_unit_test(refusals),
        cmocka_unit_test(estuaries),
        cmocka_unit_test(names_that_no_url_reaches),
        cmocka_unit_test(forks),
        cmocka_unit_test(every_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
