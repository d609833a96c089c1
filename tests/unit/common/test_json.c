#include "tests/unit/swar_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>

#include "common/boundaries.h"
#include "common/json.h"
#include "tests/unit/exact.h"

struct result {
    bool ok;
    uint64_t count;
    struct buf out, boundaries;
};

static struct result split(struct slice text)
{
    struct result r = {.count = 99};
    struct slice copy = exact_copy(text);
    r.ok = json_messages(copy, &r.out, &r.boundaries, &r.count, NULL);
    exact_free(copy);
    return r;
}

static void result_clear(struct result *r)
{
    buf_clear(&r->out);
    buf_clear(&r->boundaries);
}

/* The marks cover out exactly, each message ends with its comma, and the last one, only, ends the append. */
static void check_boundaries(const struct result *r)
{
    struct slice boundaries = buf_slice(&r->boundaries), out = buf_slice(&r->out);
    uint64_t length, at = 0, count = 0;
    bool last = false;
    while (boundaries_next(&boundaries, &length, &last)) {
        count++;
        at += length;
        assert_true(at <= out.len);
        assert_int_equal(out.data[at - 1], ',');
        assert_true(last == (count == r->count));
    }
    assert_int_equal(boundaries.len, 0);
    assert_true(at == out.len && count == r->count);
}

static void check_accepted(struct slice text, uint64_t count, struct slice stored)
{
    struct result r = split(text);
    if (!r.ok || r.count != count || !slice_equal(buf_slice(&r.out), stored))
        fail_msg("%.*s: ok %d, %llu messages, stored %.*s", (int)text.len, text.data, r.ok, (unsigned long long)r.count,
                 (int)buf_len(&r.out), r.out.data);
    check_boundaries(&r);
    result_clear(&r);
}

static bool accepted(struct slice text)
{
    struct result r = split(text);
    bool ok = r.ok;
    result_clear(&r);
    return ok;
}

static void test_messages(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned count;
        const char *stored;
    } rows[] = {
        {"1", 1, "1,"},
        {" \t\r\n1 \t\r\n", 1, "1,"},
        {"[]", 0, ""},
        {" [ \n] ", 0, ""},
        {"[1]", 1, "1,"},
        {"[1,2,3]", 3, "1,2,3,"},
        {"[ 1 , 2\n,\t3 ]", 3, "1,2,3,"},
        {"[1,2, 3,4 ,5,6]", 6, "1,2,3,4,5,6,"},
        {"[1 ,2,3]", 3, "1,2,3,"},
        {"[1,2 ]", 2, "1,2,"},
        {"[[]]", 1, "[],"},
        {"[[1, 2],[3]]", 2, "[1, 2],[3],"},
        {"[ [ ] , { } ]", 2, "[ ],{ },"},
        {"[{},[]]", 2, "{},[],"},
        {"{\"a\":{},\"b\":[1]}", 1, "{\"a\":{},\"b\":[1]},"},
        {"{\"a\":[1,2]}", 1, "{\"a\":[1,2]},"},
        {"{ \"a\" : 1 , \"b\" : [ ] }", 1, "{ \"a\" : 1 , \"b\" : [ ] },"},
        {"[\"a,b]\",\"[\"]", 2, "\"a,b]\",\"[\","},
        {"[\"\\\"\",\"\\\\\"]", 2, "\"\\\"\",\"\\\\\","},
        {"[null,true,false]", 3, "null,true,false,"},
        {"[{\"k\":{\"k\":{}}},\"\",-0.5e+3]", 3, "{\"k\":{\"k\":{}}},\"\",-0.5e+3,"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_accepted(slice_str(rows[i].text), rows[i].count, slice_str(rows[i].stored));
}

static void test_scalars(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0",
        "-0",
        "7",
        "-12",
        "1234567890123456789012345678901234567890",
        "0.0",
        "1.5",
        "-0.001",
        "1e5",
        "1E5",
        "1e+5",
        "1E-5",
        "0e0",
        "1.25e10",
        "1e99999",
        "0e+1",
        "20e1",
        "-1.5E-0",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u0000\"",
        "\"\\u00aF\\uFFFF\"",
        "\"\\ud83d\\ude00\"",
        /* lone surrogates are within RFC 8259's grammar (section 8.2) */
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"\\uD834x\"",
        "\"\x7f\"",
        "\"\xc2\x80\"",
        "\"\xdf\xbf\"",
        "\"\xe0\xa0\x80\"",
        "\"\xed\x9f\xbf\"",
        "\"\xee\x80\x80\"",
        "\"\xef\xbf\xbf\"",
        "\"\xef\xbb\xbf\"",
        "\"\xf0\x90\x80\x80\"",
        "\"\xf4\x8f\xbf\xbf\"",
        "\"\xe2\x82\xac\xe2\x82\xac\"",
        "\"01234567\342\202\25401234567\"",
        "\"'\"",
        "\"a/*b*/c\"",
        "\"0123456\\\"7\"",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char stored[128], array[128], twice[128], both[256];
        snprintf(stored, sizeof stored, "%s,", texts[i]);
        snprintf(array, sizeof array, "[%s]", texts[i]);
        snprintf(twice, sizeof twice, "[%s,{\"k\":%s}]", texts[i], texts[i]);
        snprintf(both, sizeof both, "%s,{\"k\":%s},", texts[i], texts[i]);
        check_accepted(slice_str(texts[i]), 1, slice_str(stored));
        check_accepted(slice_str(array), 1, slice_str(stored));
        check_accepted(slice_str(twice), 2, slice_str(both));
    }
}

/* Most of these are the well-known refusals every JSON test suite has. */
static const char *const refused[] = {
    "",
    " ",
    "\t\r\n",
    /* values */
    "1 2",
    "1,",
    ",1",
    "1,2",
    "tru",
    "True",
    "TRUE",
    "truee",
    "nul",
    "nulll",
    "fals",
    "falsee",
    "undefined",
    "NaN",
    "Infinity",
    "-Infinity",
    "-NaN",
    "a",
    "'a'",
    "*",
    "\0131",
    "1\x0c",
    "\302\2401",
    "1 x",
    "[] []",
    "{}{}",
    "[],",
    "\357\273\2771",
    "\xef\xbb\xbf[]",
    "\xff",
    "//c\n1",
    "1 //c",
    "/*c*/1",
    "#1",
    "[1]]",
    "{}}",
    "]",
    "}",
    "[",
    "{",
    /* numbers */
    "-",
    "+1",
    "01",
    "-01",
    "00",
    "1.",
    ".5",
    "-.5",
    "1.e5",
    "1e",
    "1e+",
    "1E-",
    "1e5.5",
    "1e5e5",
    "0x1F",
    "1_0",
    "1a",
    "--1",
    "+",
    "1.2.3",
    "0.e1",
    "-a",
    "1eE2",
    "\xef\xbc\x91",
    "[-]",
    "[1+2]",
    "[0.3e]",
    "[- 1]",
    "[1 000.0]",
    /* arrays */
    "[,]",
    "[1,]",
    "[,1]",
    "[1,,2]",
    "[1 2]",
    "[1;2]",
    "[1",
    "[1,",
    "[1}",
    "[\"a\"",
    "[\"\":1]",
    "[[1]",
    "[[]",
    "[3[4]]",
    "[x",
    "[*]",
    "[1:2]",
    "[\n1\n,1\n,1",
    "[[],]",
    "[1],[2]",
    /* objects */
    "{,}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{\"a\":1,,\"b\":2}",
    "{\"a\" 1}",
    "{\"a\"::1}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{null:1}",
    "{[]:1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1",
    "{\"a\":",
    "{\"a\"",
    "{\"a",
    "{\"a\":1]",
    "{:1}",
    "{\"a\":1,\"b\"}",
    "{\"a\":1;}",
    "{\"a\"=1}",
    "{\"a\":{}",
    "{\"a\",1}",
    "[{\"a\":1,}]",
    "{\"a\":1}#",
    "{\"a\":1}//",
    "{\"a\":1}/**/",
    "{{\"a\":1}}",
    /* strings */
    "\"",
    "\"a",
    "\"\\",
    "\"\\\"",
    "\"\\x00\"",
    "\"\\a\"",
    "\"\\'\"",
    "\"\\0\"",
    "\"\\U0000\"",
    "\"\\u\"",
    "\"\\u0\"",
    "\"\\u00\"",
    "\"\\u000\"",
    "\"\\u000g\"",
    "\"\\u00 0\"",
    "\"\\u",
    "\"\\u1",
    "\"\\u123",
    "\"\\u1234",
    "\"\\ud800\\u\"",
    "\"\\ud800\\u1\"",
    "\"\n\"",
    "\"\t\"",
    "\"\r\"",
    "\"\x01\"",
    "\"\x1f\"",
    "\"0123456\x1f\"",
    "\"01234567\0011234567\"",
    "\"\\\t\"",
    "\"\\\xe2\x82\xac\"",
    "\"a\"b\"",
    /* UTF-8: stray tails, overlong forms, surrogates, beyond U+10FFFF, cut off */
    "\"\x80\"",
    "\"\xbf\"",
    "\"\xc0\xaf\"",
    "\"\xc0\x80\"",
    "\"\xc1\xbf\"",
    "\"\xc2\"",
    "\"\xc2",
    "\"\xc2\x41\"",
    "\"\xe0\x9f\xbf\"",
    "\"\xe0\x80\xaf\"",
    "\"\xed\xa0\x80\"",
    "\"\xed\xbf\xbf\"",
    "\"\xe2\x82\"",
    "\"\xe2\x82",
    "\"\xe2\"",
    "\"\xe2\x28\xa1\"",
    "\"\xe2\x82\x28\"",
    "\"\xf0\x8f\xbf\xbf\"",
    "\"\xf0\x80\x80\xaf\"",
    "\"\xf4\x90\x80\x80\"",
    "\"\xf5\x80\x80\x80\"",
    "\"\xf0\x9f\x98\"",
    "\"\xf0\x9f\x98",
    "\"\xf0\x28\x8c\xbc\"",
    "\"\xf8\x88\x80\x80\x80\"",
    "\"\xfc\x84\x80\x80\x80\x80\"",
    "\"\xfe\"",
    "\"\xff\"",
    "\"\xe5\"",
    "[\xe2\x82\xac]",
    "[1\xe5]",
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (accepted(slice_str(refused[i])))
            fail_msg("accepted: %s", refused[i]);
    assert_false(accepted(SLICE("\0")));
    assert_false(accepted(SLICE("1\0")));
    assert_false(accepted(SLICE("[1,\0]")));
    assert_false(accepted(SLICE("\"a\0b\"")));
    assert_false(accepted(SLICE("\"0123456789\0abcdefgh\"")));
    assert_false(accepted(SLICE("\"\\\0\"")));
    assert_false(accepted(slice_of(NULL, 0)));
}

/* Each byte value at each place of a string, so that steps of eight and of sixteen bytes are tried at every phase. */
static void test_every_byte_in_a_string(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++)
        for (size_t place = 1; place < 38; place++) {
            char text[40];
            memset(text, 'x', sizeof text);
            text[0] = text[39] = '"';
            text[place] = (char)byte;
            bool valid = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
            assert_true(accepted(slice_of(text, sizeof text)) == valid);
        }
}

static void check_agrees(struct slice text)
{
    struct slice copy = exact_copy(text);
    if (!swar_json_agrees(copy))
        fail_msg("the scanners differ: %.*s", (int)text.len, text.data);
    exact_free(copy);
}

/* ["xxx…",7] with len times x and, at `place`, another byte. */
static void check_string_agrees(size_t len, size_t place, uint8_t byte)
{
    char text[48] = "[\"";
    memset(text + 2, 'x', len);
    memcpy(text + 2 + len, "\",7]", 4);
    text[2 + place] = (char)byte;
    check_agrees(slice_of(text, len + 6));
    check_agrees(slice_of(text, len + 2));
}

/* The scanner with SSE2 takes and refuses what the one without does, and names the same place. */
static void test_scanners_agree(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0, 0x1f, ' ', '!', '"', '#', '[', '\\', ']', 0x7f, 0x80, 0xc3, 0xff};
    for (size_t len = 1; len <= 40; len++)
        for (size_t place = 0; place < len; place++)
            for (size_t i = 0; i < sizeof bytes; i++)
                check_string_agrees(len, place, bytes[i]);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        check_agrees(slice_str(refused[i]));
}

static bool nest(unsigned depth, bool objects)
{
    struct buf text = {0};
    for (unsigned i = 0; i < depth; i++)
        buf_add_slice(&text, objects ? SLICE("{\"k\":") : SLICE("["));
    buf_add_byte(&text, '1');
    for (unsigned i = 0; i < depth; i++)
        buf_add_byte(&text, objects ? '}' : ']');
    bool ok = accepted(buf_slice(&text));
    buf_clear(&text);
    return ok;
}

static void test_depth(void **state)
{
    (void)state;
    for (unsigned objects = 0; objects < 2; objects++) {
        assert_true(nest(63, objects) && nest(64, objects) && nest(65, objects));
        assert_true(nest(JSON_DEPTH_MAX, objects));
        assert_false(nest(JSON_DEPTH_MAX + 1, objects));
        assert_false(nest(100000, objects));
    }
}

/* Brackets must close their own kind at every level. */
static void test_mixed_nesting(void **state)
{
    (void)state;
    struct buf text = {0};
    for (unsigned i = 0; i < JSON_DEPTH_MAX / 2; i++)
        buf_add_slice(&text, SLICE("{\"a\":["));
    for (unsigned i = 0; i < JSON_DEPTH_MAX / 2; i++)
        buf_add_slice(&text, SLICE("]}"));
    assert_true(accepted(buf_slice(&text)));
    for (size_t i = buf_len(&text) - JSON_DEPTH_MAX; i < buf_len(&text); i++) {
        char right = text.data[i];
        text.data[i] = right == ']' ? '}' : ']';
        assert_false(accepted(buf_slice(&text)));
        text.data[i] = right;
    }
    buf_clear(&text);
}

/* A valid array or object has no valid beginning that is shorter. */
static void test_truncations(void **state)
{
    (void)state;
    struct slice text = SLICE("[{\"key\":[1,-2.5e3,\"a\\u00e9\xc3\xa9\"],\"\":{}},true,null,\"0123456789\"]");
    assert_true(accepted(text));
    for (size_t len = 0; len < text.len; len++)
        assert_false(accepted(slice_of(text.data, len)));
}

static void test_failure_leaves_buffers_alone(void **state)
{
    (void)state;
    struct buf out = {0}, boundaries = {0};
    uint64_t count;
    assert_true(json_messages(SLICE("[0,1]"), &out, &boundaries, &count, NULL));
    buf_consume(&out, 2);
    buf_consume(&boundaries, 1);
    assert_false(json_messages(SLICE("[1,2,[3,4],{\"a\":5},]"), &out, &boundaries, &count, NULL));
    assert_true(slice_equal(buf_slice(&out), SLICE("1,")));
    assert_int_equal(buf_len(&boundaries), 1);
    assert_true(json_messages(SLICE("[2, 3]"), &out, &boundaries, &count, NULL));
    assert_true(slice_equal(buf_slice(&out), SLICE("1,2,3,")));
    assert_int_equal(buf_len(&boundaries), 3);
    assert_int_equal(count, 2);
    buf_clear(&out);
    buf_clear(&boundaries);
}

static void check_refused(const char *text, const char *why)
{
    struct buf out = {0}, boundaries = {0};
    struct detail detail = {0};
    uint64_t count;
    struct slice copy = exact_copy(slice_str(text));
    assert_false(json_messages(copy, &out, &boundaries, &count, &detail));
    assert_string_equal(detail.text, why);
    buf_clear(&out);
    buf_clear(&boundaries);
    exact_free(copy);
}

#define REFUSED "the body is not valid JSON: "

static void test_says_what_is_wrong(void **state)
{
    (void)state;
    check_refused(" ", REFUSED "it ends after 1 bytes where a value should be");
    check_refused("hello", REFUSED "byte 0 should be a value, not 'hello'");
    check_refused("nul", REFUSED "byte 0 should be null, not 'nul'");
    check_refused("{\"a\":1", REFUSED "it ends after 6 bytes where ',' or '}' should be");
    check_refused("{'a':1}", REFUSED "byte 1 should be a key in double quotes, not \"'a':1}\"");
    check_refused("{\"a\" 1}", REFUSED "byte 5 should be ':', not '1}'");
    check_refused("[1,]", REFUSED "byte 3 should be a value, not ']'");
    check_refused("[[1 2]]", REFUSED "byte 4 should be ',' or ']', not '2]]'");
    check_refused("[1}", REFUSED "byte 2 should be ',' or ']', not '}'");
    check_refused("01",
                  REFUSED "a second value begins at byte 1; send several messages as an array, […, …], not as lines");
    check_refused("{\"a\":1}\n{\"a\":2}\n",
                  REFUSED "a second value begins at byte 8; send several messages as an array, "
                          "[…, …], not as lines");
    check_refused("[1] x", REFUSED "byte 4 should be the end, not 'x'");
    check_refused("-", REFUSED "it ends after 1 bytes where a digit should be");
    check_refused("1.x", REFUSED "byte 2 should be a digit, not 'x'");
    check_refused("\"\\x\"", REFUSED "byte 1 should be one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u, not '\\x\"'");
    check_refused("\"\\u12\"", REFUSED "byte 1 should be \\u and four hexadecimal digits, not '\\u12\"'");
    check_refused("\"a\tb\"", REFUSED "byte 2 should be an escape such as \\n, for control characters, not '\\tb\"'");
    check_refused("\"\xff\"", REFUSED "byte 1 should be valid UTF-8, not '\xef\xbf\xbd\"'");
    check_refused("\"abc", REFUSED "it ends after 4 bytes where a double quote, the end of a text should be");
    check_refused("[\"0123456789012345\" 7]", REFUSED "byte 20 should be ',' or ']', not '7]'");
}

static void test_large(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_add_byte(&text, '"');
    memset(buf_reserve(&text, 8 << 20), 'a', 8 << 20);
    buf_grow(&text, 8 << 20);
    buf_add_byte(&text, '"');
    struct result r = split(buf_slice(&text));
    assert_true(r.ok && r.count == 1 && buf_len(&r.out) == buf_len(&text) + 1);
    check_boundaries(&r);
    result_clear(&r);

    buf_reset(&text);
    buf_add_byte(&text, '[');
    for (unsigned i = 0; i < 1000000; i++)
        buf_add_slice(&text, SLICE("0,"));
    text.data[text.end - 1] = ']';
    r = split(buf_slice(&text));
    assert_true(r.ok && r.count == 1000000);
    check_boundaries(&r);
    result_clear(&r);
    buf_clear(&text);
}

static void lines_are(const char *text, enum error expected, uint64_t lines, const char *out_text,
                      const char *detail_text)
{
    struct buf out = {0}, boundaries = {0};
    struct json_lines found = {.lines = 10};
    struct detail detail = {0};
    assert_int_equal(json_lines(slice_str(text), &out, &boundaries, &found, &detail), expected);
    assert_int_equal(found.lines, 10 + lines);
    assert_int_equal(buf_len(&out), strlen(out_text));
    assert_memory_equal(buf_slice(&out).data, out_text, strlen(out_text));
    assert_string_equal(detail.text, detail_text);
    struct slice marks = buf_slice(&boundaries);
    uint64_t length, count = 0, bytes = 0;
    for (bool last = false; boundaries_next(&marks, &length, &last); count++) {
        bytes += length;
        assert_int_equal(last, bytes == strlen(out_text));
    }
    assert_int_equal(count, found.count);
    buf_clear(&out);
    buf_clear(&boundaries);
}

/* One append, however many lines; what is wrong leaves the lines before it. */
static void lines(void **state)
{
    (void)state;
    lines_are("1", ERR_NONE, 1, "1,", "");
    lines_are("1\n", ERR_NONE, 1, "1,", "");
    lines_are(" {\"a\": 1}\r\n\n \t\n[2, [3]]\n\"x\"", ERR_NONE, 5, "{\"a\": 1},2,[3],\"x\",", "");
    lines_are("\n\n", ERR_NONE, 2, "", "");
    lines_are("1\n[2,3\n4", ERR_INVALID_JSON, 1, "1,",
              "line 12 of the body is not valid JSON: it ends after 4 bytes where ',' or ']' should be");
    lines_are("[1,2]\n[3,4}\n5", ERR_INVALID_JSON, 1, "1,2,",
              "line 12 of the body is not valid JSON: byte 4 should be ',' or ']', not '}'");
    lines_are("1 2\n3", ERR_INVALID_JSON, 0, "",
              "line 11 of the body is not valid JSON: byte 2 should be the end, not '2'");
    lines_are("1\n[ ]\n2", ERR_EMPTY_JSON_ARRAY, 1, "1,",
              "line 12 of the body is an empty array, which appends nothing");
}

static void check_valid(const char *text, bool good)
{
    struct detail detail = {0};
    assert_int_equal(json_valid(slice_str(text), &detail), good);
    assert_int_equal(*detail.text != 0, !good);
}

static void test_any_value_is_valid(void **state)
{
    (void)state;
    check_valid(" {\"a\": [1, {}]} ", true);
    check_valid("[]", true);
    check_valid("\"\"", true);
    check_valid("", false);
    check_valid(" ", false);
    check_valid("{\"a\":1", false);
    check_valid("{} {}", false);
    check_valid("[1,]", false);
}

/* Members as "key=value;", elements as "value;". */
static void check_walk(const char *text, char bracket, const char *expected)
{
    struct json_walk walk;
    struct slice key = {0}, value;
    struct buf seen = {0};
    assert_true(json_valid(slice_str(text), NULL));
    assert_int_equal(json_open(&walk, slice_str(text), bracket), expected != NULL);
    while (expected && json_next(&walk, &key, &value)) {
        if (bracket == '{') {
            buf_add_slice(&seen, key);
            buf_add_byte(&seen, '=');
        }
        buf_add_slice(&seen, value);
        buf_add_byte(&seen, ';');
    }
    assert_true(slice_equal(buf_slice(&seen), slice_str(expected ? expected : "")));
    buf_clear(&seen);
}

static void test_values_are_taken_apart_as_they_are_written(void **state)
{
    (void)state;
    check_walk("{}", '{', "");
    check_walk(" { } ", '{', "");
    check_walk("{\"a\":1,\"b\\\"\" : [2 ,{}] , \"\":\"}\"}", '{', "a=1;b\\\"=[2 ,{}];=\"}\";");
    check_walk("{\"a\":1.50e+3}", '{', "a=1.50e+3;");
    check_walk("[1 , [2,3],{\"a\":4} ]", '[', "1;[2,3];{\"a\":4};");
    check_walk("[ ]", '[', "");
    check_walk("[1]", '{', NULL);
    check_walk("7", '[', NULL);
    check_walk("\"{\"", '{', NULL);
}

static void check_string(const char *value, const char *text, size_t len)
{
    struct buf out = {0};
    assert_true(json_valid(slice_str(value), NULL));
    assert_int_equal(json_unquote(slice_str(value), &out), text != NULL);
    if (text)
        assert_true(slice_equal(buf_slice(&out), slice_of(text, len)));
    buf_clear(&out);
}

static void test_strings_spell_texts(void **state)
{
    (void)state;
    check_string("\"\"", "", 0);
    check_string("\"plain \xc3\xa9\"", "plain \xc3\xa9", 8);
    check_string("\"\\\"\\\\\\/\\b\\f\\n\\r\\t.\"", "\"\\/\b\f\n\r\t.", 9);
    check_string("\"a\\u0000b\"", "a\0b", 3);
    check_string("\"\\u007f\\u0080\\u07FF\\u0800\\uFFFF\"", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf", 11);
    check_string("\"\\ud83d\\uDE00\\ud800\\udc00\\udbff\\udfff\"", "\xf0\x9f\x98\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
                 12);
    check_string("\"\\ud800\"", NULL, 0);
    check_string("\"\\ud800x\"", NULL, 0);
    check_string("\"\\ud800\\n\"", NULL, 0);
    check_string("\"\\ud800\\u0041\"", NULL, 0);
    check_string("\"\\udc00\\ud800\"", NULL, 0);
    check_string("7", NULL, 0);
    check_string("[\"a\"]", NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_every_byte_in_a_string),
        cmocka_unit_test(test_scanners_agree),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_mixed_nesting),
        cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_failure_leaves_buffers_alone),
        cmocka_unit_test(test_says_what_is_wrong),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_any_value_is_valid),
        cmocka_unit_test(test_values_are_taken_apart_as_they_are_written),
        cmocka_unit_test(test_strings_spell_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
