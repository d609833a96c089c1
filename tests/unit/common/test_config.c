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
    assert_int_equal(cfg.log_level, LOG_LEVEL_INFO);
    assert_int_equal(cfg.live_sse_lifetime, 60000);
    assert_int_equal(cfg.limits_max_body, 8 << 20);
    config_clear(&cfg);
}

static void test_values(void **state)
{
    struct config cfg;
    (void)state;
    config_init(&cfg);
    assert_reads(&cfg,
                 "\xEF\xBB\xBF# comment\r\n[server]\r\n  data_dir = /var/lib/a b ; comment\r\n\r\n[shard]\ncount=7\n"
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
    static const char *const bad[] = {"",     "+1",
                                      "-1",   "1 ",
                                      "0x10", "1.5",
                                      "1k",   "1KB",
                                      "K",    "18446744073709551616",
                                      "0",    "2G",
                                      "1 K",  "99999999999999999G",
                                      "1e3",  "\xD9\xA1"};
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
    assert_refused("count = 1\n", "f:1: count: expected a [section] before the first key\n");
    assert_refused("[log]\nlevel\n", "f:2: expected [section] or key = value, all of it in one line\n");
    assert_refused("[nowhere]\ncount = 1\n",
                   "f:1: [nowhere]: unknown section; expected one of: server log router shard segment s3 backup auth "
                   "estuary fanout cors live limits append metrics\n");
    assert_refused("[server\n", "f:1: expected [section] or key = value\n");
}

/* A value is as long as its key allows, wherever it comes from; what it says too much is told shortened. */
static void test_long_lines(void **state)
{
    char origins[4200] = "", ini[4400], complaint[600];
    struct config cfg;
    (void)state;
    for (unsigned i = 0; strlen(origins) < 4060; i++)
        snprintf(origins + strlen(origins), 64, "%shttps://a%u.example", i ? " " : "", i);
    snprintf(ini, sizeof ini, "[cors]\norigins = %s\n[server]\nhang_timeout = 7s", origins);
    config_init(&cfg);
    assert_reads(&cfg, ini);
    assert_string_equal(cfg.cors_origins, origins);
    assert_int_equal(cfg.server_hang_timeout, 7000);
    config_clear(&cfg);
    snprintf(ini, sizeof ini, "[server]\ndata_dir = %0300d\n", 1);
    snprintf(complaint, sizeof complaint,
             "f:2: [server] data_dir: expected a text of 1 to 160 bytes, got \"%0200d...\"\n", 0);
    assert_refused(ini, complaint);
}

/* Nothing is passed over: a line is read as it was meant, or it is an error. */
static void test_lines_that_cannot_be_read(void **state)
{
    static const char control[] =
        "f:1: expected a line of text without control characters; a line ends with LF or CR LF\n";
    static const char behind[] = "f:1: expected nothing behind [section]; a key has a line of its own\n";
    static const char nul[] = "[log]\nlevel = warn\0debug\n";
    struct config cfg;
    struct captured errors;
    (void)state;
    assert_refused("[server]\rdata_dir = /x\r", control);
    assert_refused("# a comment\rdata_dir = /x\n", control);
    assert_refused("[server] data_dir = /x\n", behind);
    assert_refused("[log]x\n", behind);
    assert_refused(
        "[auth]\ncookie = session # of the app\n",
        "f:2: [auth] cookie: expected no \" #\", which begins no comment behind a value (\" ;\" does), got \"session "
        "# of the app\"\n");
    assert_refused("[server]\ndata_dir = \"/x\"\n",
                   "f:2: [server] data_dir: expected no quotes around it, got \"\"/x\"\"\n");
    assert_refused("[cors]\norigins = https://a.example\n  https://b.example\n",
                   "f:3: [cors] https: unknown key; expected one of: origins\n");
    config_init(&cfg);
    capture(&errors);
    assert_int_equal(config_read_text(&cfg, "f", slice_of(nul, sizeof nul - 1), errors.out), 1);
    assert_int_equal(config_read_text(&cfg, "f", SLICE("\xFF\xFE[\0l\0o\0g\0]\0\n\0"), errors.out), 2);
    captured_free(&errors);
    assert_reads(&cfg,
                 "[log] ; of what happens\r\nlevel = warn ; # a comment\r\n[live]  # more\n\theartbeat : 9s\t; x");
    assert_int_equal(cfg.log_level, LOG_LEVEL_WARN);
    assert_int_equal(cfg.live_heartbeat, 9000);
    config_clear(&cfg);
}

/* What no server could work with is told by the key that says it. */
static void test_forms(void **state)
{
    static const char *const good[] = {
        "auth.cookie=__Host-session",
        "auth.cookie=",
        "auth.callback_url=http://127.0.0.1:9/x?y=z",
        "auth.callback_url=https://user:word@auth.example/",
        "auth.callback_url=http://[::1]:8080",
        "auth.callback_headers=Authorization X-Api_Key",
        "auth.jwks_hosts=* 127.0.0.1 [::1] localhost",
        "cors.origins=*",
        "cors.origins=https://a.example http://b.example:8080",
        "s3.endpoint=http://127.0.0.1:9000/",
        "s3.bucket=my-bucket.of_mine",
        "s3.prefix=a/b_c.d-",
    };
    static const char *const bad[] = {
        "auth.cookie=a b",
        "auth.cookie=a=b",
        "auth.cookie=a,b",
        "auth.cookie=caf\xC3\xA9",
        "auth.callback_url=ftp://a.example/",
        "auth.callback_url=a.example/auth",
        "auth.callback_url=http://",
        "auth.callback_url=http:///auth",
        "auth.callback_url=http://a.example:/",
        "auth.callback_url=http://a.example:0/",
        "auth.callback_url=http://a.example:65536/",
        "auth.callback_url=http://a.example/a b",
        "auth.callback_url=http://a.example/#a",
        "auth.callback_url=http://[::1/",
        "auth.callback_url=HTTP//a.example",
        "auth.callback_headers=Authorization, Cookie",
        "auth.callback_headers=Authorization: Cookie",
        "auth.jwks_hosts=a.example,b.example",
        "auth.jwks_hosts=https://a.example",
        "auth.jwks_hosts=a.example:443",
        "cors.origins=https://a.example,https://b.example",
        "cors.origins=a.example",
        "cors.origins=https://a.example/",
        "cors.origins=https://A.example",
        "cors.origins=https://a.example:443",
        "cors.origins=https://*.a.example",
        "cors.origins=* https://a.example",
        "s3.endpoint=s3.example",
        "s3.endpoint=https://s3.example/path",
        "s3.endpoint=https://s3.example?x",
        "s3.bucket=a/b",
        "s3.bucket=a b",
        "s3.prefix=a:b",
        "s3.prefix=a b",
        "s3.region=us east",
        "s3.region=eu/1",
    };
    struct config cfg;
    struct captured errors;
    (void)state;
    config_init(&cfg);
    capture(&errors);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (config_set(&cfg, good[i], stderr) != 0)
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (config_set(&cfg, bad[i], errors.out) != 1)
            fail_msg("taken: %s", bad[i]);
    captured_free(&errors);
    config_clear(&cfg);
}

static unsigned check_of(const char *ini)
{
    struct config cfg;
    struct captured errors;
    config_init(&cfg);
    assert_reads(&cfg, ini);
    capture(&errors);
    unsigned count = config_check(&cfg, errors.out);
    unsigned lines = 0;
    for (const char *c = captured_text(&errors); *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, count);
    captured_free(&errors);
    config_clear(&cfg);
    return count;
}

static void test_values_that_do_not_go_together(void **state)
{
    (void)state;
    assert_int_equal(check_of(""), 0);
    assert_int_equal(check_of("[auth]\nmode=callback"), 1);
    assert_int_equal(check_of("[auth]\nmode=callback\ncallback_url=http://a"), 0);
    assert_int_equal(check_of("[segment]\nstore=s3"), 1);
    assert_int_equal(check_of("[segment]\nstore=s3\n[s3]\nbucket=b"), 0);
    assert_int_equal(check_of("[s3]\nbucket=b\nendpoint="), 1);
    assert_int_equal(check_of("[segment]\ncache_directory=./data/segments"), 1);
    assert_int_equal(check_of("[segment]\ncache_directory=data//segments/."), 1);
    assert_int_equal(check_of("[segment]\ncache_directory=data/segments/cache"), 1);
    assert_int_equal(check_of("[segment]\ncache_directory=data/segments2"), 0);
    assert_int_equal(check_of("[segment]\ndirectory=/x/y\ncache_directory=/x"), 1);
    assert_int_equal(check_of("[segment]\ndirectory=/x/y\ncache_directory=/x/z"), 0);
    assert_int_equal(check_of("[metrics]\nlisten=127.0.0.1:4437"), 1);
    assert_int_equal(check_of("[metrics]\nlisten=0.0.0.0:04437"), 1);
    assert_int_equal(check_of("[metrics]\nlisten=127.0.0.2:4437"), 0);
    assert_int_equal(check_of("[metrics]\nlisten=127.0.0.1:0\n[router]\nlisten=127.0.0.1:0"), 0);
    assert_int_equal(check_of("[auth]\nmode=callback\n[segment]\nstore=s3"), 2);
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
    static const char *const bad[] = {"",
                                      "a",
                                      "shard.count",
                                      "shardcount=1",
                                      "shard.count=",
                                      ".=",
                                      "x=shard.count",
                                      "server.data_dir=a ; b",
                                      "server.data_dir=",
                                      "server.data_dir= a",
                                      "server.data_dir=a\nb",
                                      "server.data_dir=a # b",
                                      "server.data_dir='a'"};
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
    assert_int_equal(cfg.log_level, LOG_LEVEL_DEBUG);
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
    static const char *const bad[] = {
        "",      ":",        ":80",    "a",     "a:",    "a:b",    "a:65536",        "a:-1",
        "a: 80", "a:080000", "::1:80", "[::1]", "[]:80", "[a]:80", "[127.0.0.1]:80", "a b:80",
        "a/b:80"};
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
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_lines_that_cannot_be_read),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_values_that_do_not_go_together),
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
