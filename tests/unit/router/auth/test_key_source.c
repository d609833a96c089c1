/* Where keys may be fetched from, how often, and what is known before they are here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "router/auth/key_source.h"
#include "router/router.h"

static void hosts(void **state)
{
    static const struct {
        const char *hosts, *url;
        bool allowed;
    } rows[] = {
        {"*", "https://idp.example/keys", true},
        {"*", "http://idp.example/keys", false}, /* http is for hosts that are named */
        {"idp.example", "http://idp.example:8080/keys", true},
        {"idp.example", "https://IDP.example", true},
        {"idp.example", "https://idp.example.evil/keys", false},
        {"idp.example", "https://idp.example@evil/keys", false},
        {"*", "https://idp.example@evil/keys", false},
        {"idp.example", "https://evil\\idp.example/keys", false},
        {"idp.example", "https://evil?idp.example", false},
        {"a idp.example b", "https://idp.example?x", true},
        {"[::1]", "http://[::1]:80/keys", true},
        {"[::1]", "http://[::2]:80/keys", false},
        {"", "https://idp.example/keys", false},
        {"*", "keys", false},
    };
    struct config cfg;
    (void)state;
    config_init(&cfg);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char listed[64];
        snprintf(listed, sizeof listed, "%s", rows[i].hosts);
        char *before = cfg.auth_jwks_hosts;
        cfg.auth_jwks_hosts = listed;
        if (key_source_allowed(&cfg, rows[i].url) != rows[i].allowed)
            fail_msg("%s with %s", rows[i].url, rows[i].hosts);
        cfg.auth_jwks_hosts = before;
    }
    config_clear(&cfg);
}

static void never(struct router *router)
{
    (void)router;
    fail_msg("no keys were fetched");
}

/* What may not be fetched is not waited for, however many names projects have for it. */
static void unknown(void **state)
{
    static struct router router;
    struct key_sources sources;
    struct config cfg;
    char url[64];
    (void)state;
    config_init(&cfg);
    router.cfg = &cfg;
    router.now_ms = 1;
    key_sources_init(&sources, &router, never);
    for (unsigned i = 0; i < 2 * KEY_SOURCES; i++) {
        router.now_ms++;
        snprintf(url, sizeof url, "http://host%u.example/keys", i);
        assert_true(key_source_unknown(&sources, url));
        assert_int_equal(key_source_keys(&sources, url)->count, 0);
        assert_null(key_source_wait(&sources, url));
        key_source_want(&sources, url);
    }
    key_sources_clear(&sources);
    config_clear(&cfg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts),
        cmocka_unit_test(unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
