/* What the body of a subscription names beside the path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/config.h"
#include "router/auth/named.h"
#include "router/handlers/handlers.h"
#include "router/http/route.h"

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

static void bodies(void **state)
{
    struct config cfg;
    struct buf names = {0};
    struct route one = {ROUTE_SUBSCRIPTION, SLICE("p/s")}, many = {ROUTE_SUBSCRIPTIONS, SLICE("p")};
    struct route stream = {ROUTE_STREAM, SLICE("p/s")};
    (void)state;
    config_init(&cfg);
    handle_names_in_body(&one, SLICE("{\"estuaryId\":\"e\"}"), &cfg, &names);
    assert_names(&names, "2:p/e ");
    handle_names_in_body(&many, SLICE("{\"estuaryId\":\"e\",\"streams\":[\"a\",\"b\",\"a\"]}"), &cfg, &names);
    assert_names(&names, "2:p/e 3:p/a 3:p/b 3:p/a ");
    handle_names_in_body(&many, SLICE("{\"estuaryId\":\"e\",\"streams\":[\"a\",1]}"), &cfg, &names);
    handle_names_in_body(&many, SLICE("{\"estuaryId\":\"e\",\"streams\":[\"e\"]}"), &cfg, &names);
    handle_names_in_body(&one, SLICE("estuaryId=e"), &cfg, &names);
    handle_names_in_body(&stream, SLICE("{\"estuaryId\":\"e\"}"), &cfg, &names);
    assert_names(&names, "");
    config_clear(&cfg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
