#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/config.h"
#include "router/auth/callback.h"
#include "router/auth/named.h"

static void list(void **state)
{
    struct buf names = {0};
    enum named kind;
    struct slice left, name;
    (void)state;
    named_add(&names, NAMED_PATH, SLICE("p/a"));
    named_add(&names, NAMED_STREAM, SLICE("p"));
    left = buf_slice(&names);
    assert_true(named_next(&left, &kind, &name) && kind == NAMED_PATH && slice_equal(name, SLICE("p/a")));
    assert_true(named_next(&left, &kind, &name) && kind == NAMED_STREAM && slice_equal(name, SLICE("p")));
    assert_false(named_next(&left, &kind, &name));
    buf_clear(&names);
}

/* Each name as "kind:name ". */
static void assert_names(struct buf *names, const char *expected)
{
    char text[200] = "";
    enum named kind;
    struct slice left = buf_slice(names), name;
    while (named_next(&left, &kind, &name))
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d:%.*s ", (int)kind, (int)name.len, name.data);
    assert_string_equal(text, expected);
    buf_clear(names);
}

static void heads(void **state)
{
    struct config cfg;
    struct buf names = {0};
    struct http_head head = {.method = HTTP_PUT};
    (void)state;
    config_init(&cfg);
    named_in_head(&head, ROUTE_STREAM, &cfg, &names);
    head.headers[HTTP_STREAM_FORKED_FROM_HEADER] = SLICE("/v1/stream/p/a%20b");
    named_in_head(&head, ROUTE_STREAM, &cfg, &names);
    named_in_head(&head, ROUTE_CONFIG, &cfg, &names);
    head.headers[HTTP_STREAM_FORKED_FROM_HEADER] = SLICE("/v1/config/p");
    named_in_head(&head, ROUTE_STREAM, &cfg, &names);
    assert_names(&names, "1:p/a b ");
    config_clear(&cfg);
}

/* Whatever bytes a name has, it is UTF-8, and no two names are one. */
static void json(void **state)
{
    static const struct {
        const char *name, *out;
    } table[] = {
        {"a b/c%", "a b/c%"},
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"x\xff", "x\x1a"
                  "FF"},
        {"x\xfe", "x\x1a"
                  "FE"},
        {"xFF", "xFF"},
        {"\xc3", "\x1a"
                 "C3"},
        {"\xc0\x80z", "\x1a"
                      "C0\x1a"
                      "80z"},
        {"\xed\xa0\x80", "\x1a"
                         "ED\x1a"
                         "A0\x1a"
                         "80"},
        {"\xef\xbf\xbd", "\xef\xbf\xbd"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct buf out = {0};
        callback_name(slice_str(table[i].name), &out);
        assert_true(slice_equal(buf_slice(&out), slice_str(table[i].out)));
        buf_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list),
        cmocka_unit_test(heads),
        cmocka_unit_test(json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
