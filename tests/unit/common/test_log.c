#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/escape.h"
#include "common/log_limit.h"
#include "common/log_line.h"

/* ---- escaping ---- */

static void assert_escapes(struct slice text, const char *json, const char *plain)
{
    char out[64];
    size_t len = escape_json(out, sizeof out, text);
    assert_int_equal(len, strlen(json));
    assert_memory_equal(out, json, len);
    len = escape_plain(out, sizeof out, text);
    assert_int_equal(len, strlen(plain));
    assert_memory_equal(out, plain, len);
}

static void escapes(void **state)
{
    (void)state;
    assert_escapes(SLICE(""), "", "");
    assert_escapes(SLICE("plain ~"), "plain ~", "plain ~");
    assert_escapes(SLICE("say \"x\\y\""), "say \\\"x\\\\y\\\"", "say \"x\\y\"");
    assert_escapes(SLICE("a\r\nb\tc"), "a\\r\\nb\\tc", "a\\r\\nb\\tc");
    assert_escapes(SLICE("\0\x1b[2J\x7f"), "\\u0000\\u001b[2J\\u007f", "\\u0000\\u001b[2J\\u007f");
    assert_escapes(SLICE("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
                   "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    assert_escapes(SLICE("\xc2\x9b"
                         "2J\xc2\xa0"),
                   "\\u009b2J\xc2\xa0", "\\u009b2J\xc2\xa0");
    assert_escapes(SLICE("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"), "\\u2028\\u2029\xe2\x80\xaa",
                   "\\u2028\\u2029\xe2\x80\xaa");
    /* not UTF-8: a tail alone, an overlong slash, a surrogate, a cut one */
    assert_escapes(SLICE("\x80"), "\xef\xbf\xbd", "\xef\xbf\xbd");
    assert_escapes(SLICE("\xc0\xaf"), "\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd");
    assert_escapes(SLICE("\xed\xa0\x80x"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx",
                   "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx");
    assert_escapes(SLICE("\xe2\x82"), "\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd");
}

static void cuts_between_characters(void **state)
{
    char out[8];
    (void)state;
    assert_int_equal(escape_json(out, 7, SLICE("ab\x01z")), 2);
    assert_int_equal(escape_json(out, 8, SLICE("ab\x01z")), 8);
    assert_int_equal(escape_json(out, 3, SLICE("ab\nz")), 2);
    assert_int_equal(escape_json(out, 4, SLICE("ab\xe2\x82\xac")), 2);
    assert_int_equal(escape_json(out, 0, SLICE("a")), 0);
}

static void bare_values(void **state)
{
    (void)state;
    assert_true(escape_bare(SLICE("/v1/stream/a/b%20c")));
    assert_false(escape_bare(SLICE("")));
    assert_false(escape_bare(SLICE("a b")));
    assert_false(escape_bare(SLICE("a=b")));
    assert_false(escape_bare(SLICE("\"")));
    assert_false(escape_bare(SLICE("a\\n")));
    assert_false(escape_bare(SLICE("\xc3\xa4")));
    assert_false(escape_bare(SLICE("a\nb")));
    assert_false(escape_bare(slice_of("a\0b", 3)));
}

/* ---- lines ---- */

static const struct log_event event = {
    .level = LOG_LEVEL_WARN, .time = {1764063000, 7654321}, .role = "shard", .index = 2, .pid = 4711};

static void assert_line(enum log_format format, const struct log_event *e, const char *expected)
{
    struct log_line line;
    log_line_begin(&line, format, e, SLICE("say \"x\"\nno"));
    log_line_text(&line, "path", SLICE("/a/b"));
    log_line_text(&line, "why", SLICE("a \"b\"\r"));
    log_line_text(&line, "none", SLICE(""));
    log_line_number(&line, "bytes", UINT64_MAX);
    log_line_ms(&line, "ms", 1234005);
    struct slice text = log_line_end(&line);
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.data, expected, text.len);
}

static void formats(void **state)
{
    struct log_event journal = event, supervisor = event;
    journal.journal = true;
    journal.level = LOG_LEVEL_ERROR;
    supervisor.role = "supervisor";
    supervisor.index = -1;
    supervisor.level = LOG_LEVEL_DEBUG;
    (void)state;
    assert_line(
        LOG_FORMAT_TEXT, &event,
        "2025-11-25T09:30:00.007Z shard/2[4711] warn: say \"x\"\\nno path=/a/b why=\"a \\\"b\\\"\\r\" none=\"\" "
        "bytes=18446744073709551615 ms=1234.005\n");
    assert_line(
        LOG_FORMAT_LOGFMT, &event,
        "time=2025-11-25T09:30:00.007Z level=warn role=shard index=2 pid=4711 msg=\"say \\\"x\\\"\\nno\" path=/a/b "
        "why=\"a \\\"b\\\"\\r\" none=\"\" bytes=18446744073709551615 ms=1234.005\n");
    assert_line(LOG_FORMAT_JSON, &event,
                "{\"time\":\"2025-11-25T09:30:00.007Z\",\"level\":\"warn\",\"role\":\"shard\",\"index\":2,\"pid\":4711,"
                "\"msg\":\"say \\\"x\\\"\\nno\",\"path\":\"/a/b\",\"why\":\"a \\\"b\\\"\\r\",\"none\":\"\","
                "\"bytes\":18446744073709551615,\"ms\":1234.005}\n");
    assert_line(LOG_FORMAT_TEXT, &journal,
                "<3>shard/2[4711] error: say \"x\"\\nno path=/a/b why=\"a \\\"b\\\"\\r\" none=\"\" "
                "bytes=18446744073709551615 ms=1234.005\n");
    assert_line(LOG_FORMAT_LOGFMT, &journal,
                "<3>level=error role=shard index=2 pid=4711 msg=\"say \\\"x\\\"\\nno\" path=/a/b "
                "why=\"a \\\"b\\\"\\r\" none=\"\" bytes=18446744073709551615 ms=1234.005\n");
    assert_line(
        LOG_FORMAT_LOGFMT, &supervisor,
        "time=2025-11-25T09:30:00.007Z level=debug role=supervisor pid=4711 msg=\"say \\\"x\\\"\\nno\" path=/a/b "
        "why=\"a \\\"b\\\"\\r\" none=\"\" bytes=18446744073709551615 ms=1234.005\n");
}

/* Whatever comes, the line has its end, fits, and is closed. */
static void too_much(void **state)
{
    static const char fills[] = {'x', '\n', '"', '\x80'};
    static char much[2 * LOG_LINE_MAX];
    (void)state;
    for (size_t fill = 0; fill < sizeof fills; fill++)
        for (enum log_format format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++)
            for (size_t len = 0; len < sizeof much; len += 31) {
                struct log_line *line = malloc(sizeof *line); /* a byte too many is seen by the sanitizers */
                memset(much, fills[fill], sizeof much);
                log_line_begin(line, format, &event, slice_of(much, len));
                for (unsigned i = 0; i < 4; i++) {
                    log_line_text(line, "text", slice_of(much, len));
                    log_line_number(line, "number", UINT64_MAX);
                    log_line_ms(line, "ms", UINT64_MAX);
                }
                struct slice text = log_line_end(line);
                assert_true(text.len <= LOG_LINE_MAX);
                assert_ptr_equal(memchr(text.data, '\n', text.len), text.data + text.len - 1);
                if (format == LOG_FORMAT_JSON)
                    assert_int_equal(text.data[text.len - 2], '}');
                free(line);
            }
}

/* ---- repetitions ---- */

static unsigned held_in(struct log_limit *limit, uint64_t now_ms, bool all)
{
    unsigned held = 0;
    const struct log_kind *k = log_limit_due(limit, now_ms, all, &held);
    return k ? held : 0;
}

static void the_first_get_through(void **state)
{
    static struct log_limit limit;
    static const char a[] = "a", b[] = "b";
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        struct log_kind *k = log_limit_hold(&limit, a, 5000 + i % 999);
        assert_true(i < LOG_LIMIT_LINES ? !k : k != NULL);
        if (k)
            snprintf(k->last, sizeof k->last, "the %uth", i);
    }
    assert_null(log_limit_hold(&limit, b, 5500)); /* others do not suffer */
    unsigned held = 0;
    assert_null(log_limit_due(&limit, 5999, false, &held));
    const struct log_kind *k = log_limit_due(&limit, 6000, false, &held);
    assert_non_null(k);
    assert_int_equal(held, 1000 - LOG_LIMIT_LINES);
    assert_string_equal(k->last, "the 999th");
    assert_null(log_limit_due(&limit, 9000, true, &held));
    assert_null(log_limit_hold(&limit, a, 6000)); /* another second */
}

static void the_last_second_is_told_at_the_end(void **state)
{
    static struct log_limit limit;
    static const char a[] = "a";
    (void)state;
    for (unsigned i = 0; i <= LOG_LIMIT_LINES; i++)
        (void)!log_limit_hold(&limit, a, 100);
    assert_int_equal(held_in(&limit, 200, false), 0);
    assert_int_equal(held_in(&limit, 200, true), 1);
}

static void kinds_are_bounded(void **state)
{
    static struct log_limit limit;
    static const char kinds[4 * LOG_LIMIT_KINDS];
    (void)state;
    for (unsigned round = 0; round < 2 * LOG_LIMIT_LINES; round++)
        for (unsigned i = 0; i < LOG_LIMIT_KINDS; i++)
            (void)!log_limit_hold(&limit, &kinds[i], 1000);
    for (unsigned i = LOG_LIMIT_KINDS; i < sizeof kinds; i++) /* no room: not counted, but not lost either */
        for (unsigned round = 0; round < 2 * LOG_LIMIT_LINES; round++)
            assert_null(log_limit_hold(&limit, &kinds[i], 1500));
    unsigned told = 0;
    while (held_in(&limit, 2000, false) == LOG_LIMIT_LINES)
        told++;
    assert_int_equal(told, LOG_LIMIT_KINDS);
    assert_null(log_limit_hold(&limit, &kinds[200], 2000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes),
        cmocka_unit_test(cuts_between_characters),
        cmocka_unit_test(bare_values),
        cmocka_unit_test(formats),
        cmocka_unit_test(too_much),
        cmocka_unit_test(the_first_get_through),
        cmocka_unit_test(the_last_second_is_told_at_the_end),
        cmocka_unit_test(kinds_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
