/* Arguments and names of streams, as every command takes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "router/cli/cli.h"
#include "router/cli/cli_request.h"

#define CLI(...)                                                                                                       \
    {                                                                                                                  \
        .name = "test", .data_dir = "", .argv = (char *[]){__VA_ARGS__},                                               \
        .argc = sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)                                                       \
    }

static void arguments_stand_anywhere(void **state)
{
    struct cli c = CLI("--limit", "3", "p/s", "--json", "--from", "start");
    (void)state;
    assert_string_equal(cli_option(&c, "--from", "now"), "start");
    assert_string_equal(cli_option(&c, "--limit", NULL), "3");
    assert_string_equal(cli_option(&c, "--prefix", "none"), "none");
    assert_true(cli_flag(&c, "--json"));
    assert_false(cli_flag(&c, "--json"));
    assert_string_equal(cli_argument(&c), "p/s");
    assert_null(cli_argument(&c));
    assert_false(cli_misused(&c));
}

static void an_option_without_a_value_is_misuse(void **state)
{
    struct cli c = CLI("p/s", "--limit");
    (void)state;
    assert_string_equal(cli_option(&c, "--limit", "7"), "7");
    assert_string_equal(cli_argument(&c), "p/s");
    assert_true(cli_misused(&c));
}

static void what_nobody_takes_is_misuse(void **state)
{
    struct cli c = CLI("p/s", "--sideways");
    (void)state;
    assert_string_equal(cli_argument(&c), "p/s");
    assert_true(cli_misused(&c));
}

static void expect_target(const char *text, const char *project, const char *path)
{
    struct cli c = CLI("x");
    struct cli_target target;
    assert_int_equal(cli_target_parse(&c, text, &target), project != NULL);
    if (project) {
        assert_string_equal(target.project, project);
        assert_string_equal(target.path, path);
    }
    cli_target_clear(&target);
}

static void streams_are_named_with_or_without_a_project(void **state)
{
    (void)state;
    expect_target("p/s", "p", "p/s");
    expect_target("s", "_default", "_default/s");
    expect_target("p/a b/c", "p", "p/a%20b/c");
    expect_target("p/a%20b", "p", "p/a%20b"); /* encoded already */
    expect_target("p/", NULL, NULL);
    expect_target("p.q/s", NULL, NULL);
    expect_target("", NULL, NULL);
    expect_target(NULL, NULL, NULL);
}

static int seven(struct cli *c)
{
    assert_string_equal(c->url, "http://x");
    assert_string_equal(c->ca_file, "file");
    return cli_misused(c) ? 1 : 7;
}

static void the_table_finds_the_command(void **state)
{
    static const struct cli_command table[] = {{"other", NULL}, {"seven", seven}, {NULL, NULL}};
    char *argv[] = {"streamd-router", "seven", "http://x", "", "--ca-file", "file"};
    (void)state;
    assert_int_equal(cli_run(table, 6, argv), 7);
    argv[1] = "eight";
    assert_int_equal(cli_run(table, 6, argv), -1);
    argv[1] = "seven";
    assert_int_equal(cli_run(table, 3, argv), -1); /* the supervisor gives four */
}

static void headers_of_an_answer_are_found_by_name(void **state)
{
    struct cli_request request = {0};
    (void)state;
    buf_add(&request.said, "etag\0\"1\"\0stream-next-offset\0\0age\0007",
            sizeof "etag\0\"1\"\0stream-next-offset\0\0age\0007");
    assert_true(cli_request_says(&request, "etag", "\"1\""));
    assert_true(cli_request_says(&request, "age", "7"));
    assert_int_equal(cli_request_header(&request, "stream-next-offset").len, 0);
    assert_non_null(cli_request_header(&request, "stream-next-offset").data);
    assert_null(cli_request_header(&request, "stream").data);
    cli_request_clear(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_stand_anywhere),    cmocka_unit_test(an_option_without_a_value_is_misuse),
        cmocka_unit_test(what_nobody_takes_is_misuse), cmocka_unit_test(streams_are_named_with_or_without_a_project),
        cmocka_unit_test(the_table_finds_the_command), cmocka_unit_test(headers_of_an_answer_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
