/* Origins are as browsers write them, or they are refused: they would never match. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/project.h"

static void as_browsers_write_them(void **state)
{
    static const char *const good[] = {
        "https://app.example",      "http://app.example:8080",      "http://localhost:3000",  "https://a.example:80",
        "http://a.example:443",     "https://xn--caf-dma.example",  "http://127.0.0.1:4437",  "http://[::1]:8080",
        "https://[2001:db8::1]",    "chrome-extension://abcdefghi", "capacitor://localhost",  "https://a_b.example",
        "https://[::ffff:102:304]", "https://a.example.",           "https://a.example:65535"};
    static const char *const bad[] = {
        "",
        "null",
        "app.example",
        "https://",
        "://a",
        "https://App.example",
        "HTTPS://app.example",
        "https://app.example:443",
        "http://app.example:80",
        "https://app.example/",
        "https://app.example/x",
        "https://app.example?x",
        "https://app.example#x",
        "https://u@app.example",
        "https://*.app.example",
        "https://*",
        "https://a.example,",
        "https://a.example https://b.example",
        "https://caf\xc3\xa9.example",
        "https://a%2eb",
        "https://a.example:",
        "https://a.example:0",
        "https://a.example:08",
        "https://a.example:65536",
        "https://a.example:8a",
        "https://a:80:80",
        "https://.example",
        "http://127.1",
        "http://127.0.0.01",
        "http://1",
        "http://256.0.0.1",
        "http://[::1",
        "http://[0:0:0:0:0:0:0:1]",
        "http://[::FFFF]",
        "http://[::ffff:1.2.3.4]",
        "http://[x]",
        "http://[]",
        "1http://a",
        "ht tp://a",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!origin_valid(slice_str(good[i])))
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (origin_valid(slice_str(bad[i])))
            fail_msg("%s", bad[i]);
}

static bool same(const char *origin, const char *host)
{
    return origin_is_host(slice_str(origin), slice_str(host));
}

static void of_the_server(void **state)
{
    (void)state;
    assert_true(same("https://a.example", "a.example"));
    assert_true(same("https://a.example", "A.Example"));
    assert_true(same("https://a.example", "a.example:443"));
    assert_true(same("http://a.example", "a.example:80"));
    assert_true(same("http://a.example:8080", "a.example:8080"));
    assert_true(same("http://[::1]:8080", "[::1]:8080"));
    assert_false(same("http://a.example", "a.example:443"));
    assert_false(same("http://a.example:8080", "a.example"));
    assert_false(same("https://a.example.evil", "a.example"));
    assert_false(same("https://b.a.example", "a.example"));
    assert_false(same("null", "null"));
    assert_false(same("https://", ""));
    assert_false(same("", ""));
}

/* Of a configuration: "", or what is wrong. */
static const char *fault(const char *json, bool strict)
{
    static struct detail detail;
    struct project project;
    detail = (struct detail){0};
    bool good = project_parse(slice_str(json), strict, &project, &detail);
    assert_int_equal(good, !*detail.text);
    project_clear(&project);
    return detail.text;
}

/* The field that is wrong. */
static const char *wrong(const char *json, bool strict)
{
    static char field[DETAIL_MAX];
    strcpy(field, fault(json, strict));
    field[strcspn(field, " .")] = 0;
    return field;
}

#define WITH(more) "{\"signingSecrets\":[\"0123456789abcdef0123456789abcdef\"]," more "}"

/* What was taken by laxer rules stays, or its project's tokens would all be refused after an upgrade. */
static void in_a_project(void **state)
{
    static const char *const lax[] = {WITH("\"corsOrigins\":[\"https://App.example\"]"),
                                      WITH("\"corsOrigins\":[\"https://*.example\"]"),
                                      WITH("\"corsOrigins\":[\"*\",\"https://app.example\"]")};
    (void)state;
    for (size_t i = 0; i < sizeof lax / sizeof lax[0]; i++) {
        assert_string_equal(wrong(lax[i], true), "corsOrigins");
        assert_string_equal(wrong(lax[i], false), "");
    }
    assert_string_equal(wrong(WITH("\"corsOrigins\":[\"*\"]"), true), "");
    assert_string_equal(wrong(WITH("\"corsOrigins\":[\"https://a\",\"https://b\"]"), true), "");
    assert_string_equal(wrong(WITH("\"corsOrigins\":[\"https://a\",\"https://a\"]"), false), "corsOrigins");
    const char *encryption = WITH("\"jwks\":{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"use\":\"enc\","
                                  "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}");
    assert_string_equal(wrong(encryption, true), "jwks");
    assert_string_equal(wrong(encryption, false), "");
}

/* Each mistake is named, and one that is missing hides none that is wrong. */
static void named(void **state)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"", "the body must be one JSON object in UTF-8, without \\u0000"},
        {"[]", "the body must be a JSON object"},
        {"{}", "signingSecrets is missing"},
        {"{\"isPublic\":true}", "signingSecrets is missing"},
        {"{\"isPublic\":\"yes\"}", "isPublic must be true or false"},
        {"{\"foo\":1}",
         "unknown field 'foo'; expected are: signingSecrets, corsOrigins, isPublic, jwks, jwksUrl, quotas, "
         "retention"},
        {"{\"a\nb\":1}", "unknown field 'a"},
        {"{\"isPublic\":true,\"isPublic\":true}", "isPublic comes twice"},
        {"{\"signingSecrets\":\"x\"}", "signingSecrets must be a list of 1 to 16"},
        {"{\"signingSecrets\":[]}", "signingSecrets must be a list of 1 to 16"},
        {"{\"signingSecrets\":[\"short-secret\"]}",
         "signingSecrets must be 1 to 16 different texts of 32 to 512 bytes: item 1 "
         "does not fit"},
        {"{\"signingSecrets\":[\"0123456789abcdef0123456789abcdef\",7]}",
         "signingSecrets must be 1 to 16 different texts of "
         "32 to 512 bytes: item 2 is no text"},
        {WITH("\"corsOrigins\":[\"https://a\",\"https://a\"]"),
         "corsOrigins must be * alone, or up to 64 different origins of "
         "up to 256 bytes, each scheme://host[:port] in lower "
         "case, without a default port or a path: item 2 came before"},
        {WITH("\"corsOrigins\":[\"https://a\",\"*\"]"), "corsOrigins must be * alone, or origins without *"},
        {WITH("\"jwksUrl\":7"), "jwksUrl must be an http or https URL of up to 1024 bytes"},
        {"{\"quotas\":{\"stream\":1}}", "quotas has an unknown field 'stream'; expected are: streams, bytes, "
                                        "appendsPerSecond, liveReaders"},
        {WITH("\"quotas\":{\"streams\":0}"),
         "quotas.streams must be a whole number from 1 to 9007199254740991; leave it out "
         "for no limit"},
        {WITH("\"quotas\":{\"bytes\":1,\"bytes\":1}"), "quotas has bytes twice"},
        {WITH("\"quotas\":[]"), "quotas must be an object of: streams, bytes, appendsPerSecond, liveReaders"},
        {WITH("\"retention\":{\"seconds\":1099511627777}"), "retention.seconds must be a whole number from 1 to "
                                                            "1099511627776; leave it out for no limit"},
        {WITH("\"retention\":{\"days\":1}"), "retention has an unknown field 'days'; expected are: seconds, bytes"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[DETAIL_MAX];
        snprintf(text, sizeof text, "%.*s", (int)strlen(cases[i].text), fault(cases[i].json, true));
        assert_string_equal(text, cases[i].text);
        assert_null(strstr(fault(cases[i].json, true), "short-secret"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_browsers_write_them), cmocka_unit_test(of_the_server),
                                       cmocka_unit_test(in_a_project), cmocka_unit_test(named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
