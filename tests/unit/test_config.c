/* The configuration table: defaults, reading, printing, errors, reloading, and the committed example. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/address.h"
#include "common/config.h"

struct captured {
    char *text;
    size_t len;
    FILE *out;
};

static void capture(struct captured *c)
{
    *c = (struct captured){0};
    c->out = open_memstream(&c->text, &c->len);
    assert_non_null(c->out);
}

static const char *captured_text(struct captured *c)
{
    fflush(c->out);
    return c->text;
}

static void captured_free(struct captured *c)
{
    fclose(c->out);
    free(c->text);
}

static void assert_reads(struct config *cfg, const char *ini)
{
    assert_int_equal(config_read_text(cfg, "test", slice_str(ini), stderr), 0);
}

/* The value must be refused with exactly this complaint. */
static void assert_refused(const char *ini, const char *complaint)
{
    struct config cfg;
    struct captured errors;
    config_init(&cfg);
    capture(&errors);
    assert_int_equal(config_read_text(&cfg, "f", slice_str(ini), errors.out), 1);
    assert_string_equal(captured_text(&errors), complaint);
    captured_free(&errors);
    config_clear(&cfg);
}

static void test_defaults(void **state)
{
    struct config cfg;
    (void)state;
    config_init(&cfg);
    assert_string_equal(cfg.server_data_dir, "./data");
    assert_string_equal(cfg.log_level, "info");
    assert_int_equal(cfg.live_sse_lifetime, 60000);
    assert_int_equal(cfg.limits_max_body, 8 << 20);
    config_clear(&cfg);
}

static void test_values(void **state)
{
    struct config cfg;
    (void)state;
    config_init(&cfg);
    assert_reads(&cfg, "\xEF\xBB\xBF# comment\r\n[server]\r\n  data_dir = /var/lib/a b ; comment\r\n\r\n[shard]\ncount=7\n"
                       "page_cache: 1G\n[live]\n; comment\nheartbeat=2m\nsse_lifetime=1500ms");
    assert_string_equal(cfg.server_data_dir, "/var/lib/a b");
    assert_int_equal(cfg.shard_count, 7);
    assert_int_equal(cfg.shard_page_cache, 1 << 30);
    assert_int_equal(cfg.live_heartbeat, 120000);
    assert_int_equal(cfg.live_sse_lifetime, 1500);
    config_clear(&cfg);
}

static void test_numbers_are_strict(void **state)
{
    static const char *const bad[] = {"",   "+1", "-1", "1 ", "0x10", "1.5", "1k", "1KB", "K",  "18446744073709551616",
                                      "0",  "2G", "1 K", "99999999999999999G", "1e3", "\xD9\xA1"};
    struct config cfg;
    struct captured errors;
    char assignment[80];
    (void)state;
    config_init(&cfg);
    capture(&errors);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(assignment, sizeof assignment, "limits.max_body=%s", bad[i]);
        assert_int_equal(config_set(&cfg, assignment, errors.out), 1);
    }
    assert_int_equal(cfg.limits_max_body, 8 << 20);
    assert_int_equal(config_set(&cfg, "limits.max_body=1", errors.out), 0);
    assert_int_equal(config_set(&cfg, "limits.max_body=128M", errors.out), 0);
    assert_int_equal(config_set(&cfg, "limits.max_body=134217729", errors.out), 1);
    assert_int_equal(config_set(&cfg, "live.heartbeat=5", errors.out), 1);
    captured_free(&errors);
    config_clear(&cfg);
}

static void test_errors(void **state)
{
    (void)state;
    assert_refused("[shard]\ncount = 257\n",
                   "f:2: [shard] count: expected a whole number from 0 to 256, got \"257\"\n");
    assert_refused("[live]\n\nheartbeat = 5\n",
                   "f:3: [live] heartbeat: expected a duration from 100ms to 10m (with ms, s, m or h), got \"5\"\n");
    assert_refused("[log]\nlevel = info warn\n",
                   "f:2: [log] level: expected one of: error warn info debug, got \"info warn\"\n");
    assert_refused("[router]\nlisten = [::1:80\n",
                   "f:2: [router] listen: expected host:port or [v6]:port, got \"[::1:80\"\n");
    assert_refused("[shard]\ncount = 1\ncount = 1\n", "f:3: [shard] count: given twice; expected once in a file\n");
    assert_refused("count = 1\n",
                   "f:1: [] count: unknown section; expected one of: server log router shard segment s3 backup auth estuary fanout cors live limits metrics\n");
    assert_refused("[log]\nlevel\n", "f:2: expected [section] or key = value\n");
    assert_refused("[server\n", "f:1: expected [section] or key = value\n");
}

static void test_long_line(void **state)
{
    char ini[400];
    (void)state;
    snprintf(ini, sizeof ini, "[server]\ndata_dir = %0300d\n", 1);
    assert_refused(ini, "f:2: expected a text line of at most 198 bytes\n");
}

static void test_all_errors_are_told(void **state)
{
    struct config cfg;
    struct captured errors;
    (void)state;
    config_init(&cfg);
    capture(&errors);
    assert_int_equal(config_read_text(&cfg, "f", SLICE("x\n[shard]\ncount=-1\ny\nz=1"), errors.out), 4);
    assert_non_null(strstr(captured_text(&errors), "f:1: "));
    assert_non_null(strstr(captured_text(&errors), "f:3: [shard] count: "));
    assert_non_null(strstr(captured_text(&errors), "f:4: "));
    assert_non_null(strstr(captured_text(&errors), "f:5: [shard] z: unknown key"));
    captured_free(&errors);
    config_clear(&cfg);
}

static void test_set(void **state)
{
    static const char *const bad[] = {"", "a", "shard.count", "shardcount=1", "shard.count=", ".=", "x=shard.count",
                                      "server.data_dir=a ; b", "server.data_dir=", "server.data_dir= a",
                                      "server.data_dir=a\nb"};
    struct config cfg;
    struct captured errors;
    (void)state;
    config_init(&cfg);
    capture(&errors);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(config_set(&cfg, bad[i], errors.out), 1);
    assert_int_equal(config_set(&cfg, "shard.count=3", errors.out), 0);
    assert_int_equal(config_set(&cfg, "shard.count=5", errors.out), 0);
    assert_int_equal(config_set(&cfg, "server.data_dir=/x=y;z", errors.out), 0);
    assert_int_equal(cfg.shard_count, 5);
    assert_string_equal(cfg.server_data_dir, "/x=y;z");
    captured_free(&errors);
    config_clear(&cfg);
}

static void test_print_reads_back(void **state)
{
    struct config cfg, copy;
    struct captured first, second;
    (void)state;
    config_init(&cfg);
    assert_reads(&cfg, "[server]\ndata_dir=/x=y;z#\n[limits]\nmax_body=1000\nidle_timeout=61s\n");
    capture(&first);
    config_print(&cfg, first.out);
    config_init(&copy);
    assert_reads(&copy, captured_text(&first));
    capture(&second);
    config_print(&copy, second.out);
    assert_string_equal(captured_text(&first), captured_text(&second));
    assert_string_equal(copy.server_data_dir, "/x=y;z#");
    assert_int_equal(config_reload(&copy, &cfg, NULL), 0);
    captured_free(&first);
    captured_free(&second);
    config_clear(&cfg);
    config_clear(&copy);
}

static void test_longest_text_reads_back(void **state)
{
    struct config cfg, copy;
    struct captured printed;
    char assignment[256];
    (void)state;
    config_init(&cfg);
    config_init(&copy);
    snprintf(assignment, sizeof assignment, "server.data_dir=%0160d", 1);
    assert_int_equal(config_set(&cfg, assignment, stderr), 0);
    capture(&printed);
    config_print(&cfg, printed.out);
    assert_reads(&copy, captured_text(&printed));
    assert_string_equal(cfg.server_data_dir, copy.server_data_dir);
    captured_free(&printed);
    config_clear(&cfg);
    config_clear(&copy);
}

static void test_reload(void **state)
{
    struct config cfg, fresh;
    struct captured report;
    (void)state;
    config_init(&cfg);
    config_init(&fresh);
    capture(&report);
    assert_reads(&fresh, "[log]\nlevel=debug\n[shard]\ncount=9\n[live]\nheartbeat=1s\n");
    assert_int_equal(config_reload(&cfg, &fresh, report.out), 2);
    assert_string_equal(captured_text(&report), "[log] level: info -> debug\n"
                                                "[shard] count: 0 -> 9 needs a restart\n"
                                                "[live] heartbeat: 15s -> 1s\n");
    assert_string_equal(cfg.log_level, "debug");
    assert_int_equal(cfg.shard_count, 0);
    assert_int_equal(cfg.live_heartbeat, 1000);
    captured_free(&report);
    config_clear(&cfg);
    config_clear(&fresh);
}

static char *file_text(const char *path)
{
    char *text = calloc(1, 65536);
    FILE *file = fopen(path, "r");
    assert_non_null(text);
    if (!file || !fread(text, 1, 65535, file))
        fail_msg("cannot read %s (tests run from the top of the repository)", path);
    fclose(file);
    return text;
}

/* When this fails: build/streamd example-config > config.example.ini */
static void test_example_is_fresh(void **state)
{
    struct captured printed;
    char *committed = file_text("config.example.ini");
    (void)state;
    capture(&printed);
    config_print_example(printed.out);
    assert_string_equal(captured_text(&printed), committed);
    captured_free(&printed);
    free(committed);
}

/* With the key lines uncommented, the example says the defaults. */
static void test_example_says_defaults(void **state)
{
    struct config cfg, defaults;
    char *text = file_text("config.example.ini");
    (void)state;
    for (char *p = text; (p = strstr(p, "\n#")); p += 2)
        if (p[2] != ' ')
            p[1] = ' ';
    config_init(&cfg);
    config_init(&defaults);
    assert_reads(&cfg, text);
    assert_int_equal(config_reload(&cfg, &defaults, NULL), 0);
    config_clear(&cfg);
    config_clear(&defaults);
    free(text);
}

static void test_address(void **state)
{
    static const char *const bad[] = {"", ":", ":80", "a", "a:", "a:b", "a:65536", "a:-1", "a: 80", "a:080000", "::1:80",
                                      "[::1]", "[]:80", "[a]:80", "[127.0.0.1]:80", "a b:80", "a/b:80"};
    struct address address;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(address_parse(bad[i], &address));
    assert_true(address_parse("[fe80::1]:0", &address));
    assert_string_equal(address.host, "fe80::1");
    assert_true(address.v6);
    assert_true(address_parse("localhost:65535", &address));
    assert_string_equal(address.host, "localhost");
    assert_string_equal(address.port, "65535");
    assert_false(address.v6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_numbers_are_strict),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_all_errors_are_told),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_print_reads_back),
        cmocka_unit_test(test_longest_text_reads_back),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_example_is_fresh),
        cmocka_unit_test(test_example_says_defaults),
        cmocka_unit_test(test_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
