/* Held against cJSON: what is accepted, cJSON accepts too; each message is, in value, the array's element; and what a
 * reader gets back, "[" messages "]", splits into the same bytes again. The scanner with SSE2 and the one without are
 * held against each other. */
#include "tests/unit/swar_json.h"

#include <cjson/cJSON.h>

#include "common/boundaries.h"
#include "common/json.h"
#include "tests/fuzz/fuzz.h"

/* cJSON refuses what RFC 8259 allows in two places: surrogates that are not pairs, and numbers of 64 bytes and more. */
static bool beyond_cjson(struct slice text)
{
    size_t digits = 0;
    for (size_t i = 0; i < text.len; i++) {
        digits = memchr("0123456789+-.eE", text.data[i], 15) ? digits + 1 : 0;
        if (digits >= 63)
            return true;
        if (i + 3 < text.len && text.data[i] == '\\' && (text.data[i + 2] | 0x20) == 'd' && text.data[i + 1] == 'u')
            return true;
    }
    return false;
}

static cJSON *parse(struct slice text)
{
    const char *end = NULL;
    cJSON *value = cJSON_ParseWithLengthOpts(text.data, text.len, &end, false);
    if (!value)
        return NULL;
    for (; end < text.data + text.len; end++)
        must(memchr(" \t\r\n", *end, 4) != NULL);
    return value;
}

static void check_equal(const cJSON *a, const cJSON *b)
{
    char *left = cJSON_PrintUnformatted(a), *right = cJSON_PrintUnformatted(b);
    must(left && right && strcmp(left, right) == 0);
    cJSON_free(left);
    cJSON_free(right);
}

static void check_message(struct slice message, const cJSON *expected)
{
    cJSON *value = parse(message);
    must(value != NULL);
    check_equal(value, expected);
    cJSON_Delete(value);
}

/* Each message with its element; a text that is no array is its own only message. */
static void check_against_cjson(struct slice text, struct slice out, struct slice boundaries)
{
    cJSON *whole = parse(text);
    must(whole != NULL);
    const cJSON *element = cJSON_IsArray(whole) ? whole->child : whole;
    uint64_t length;
    for (bool last = false; boundaries_next(&boundaries, &length, &last); element = element->next) {
        must(element && length >= 2 && length <= out.len && out.data[length - 1] == ',');
        must(last == (length == out.len));
        check_message(slice_of(out.data, (size_t)length - 1), element);
        out = slice_of(out.data + length, out.len - (size_t)length);
    }
    must(!element && boundaries.len == 0 && out.len == 0);
    cJSON_Delete(whole);
}

static void check_again(struct slice out, struct slice boundaries, uint64_t count, bool array)
{
    struct buf text = {0}, again = {0}, again_boundaries = {0};
    uint64_t again_count = 0;
    buf_add_byte(&text, '[');
    buf_add(&text, out.data, out.len ? out.len - 1 : 0);
    buf_add_byte(&text, ']');
    bool accepted = json_messages(buf_slice(&text), &again, &again_boundaries, &again_count, NULL);
    must(accepted || !array); /* a value as deep as may be is too deep within one more array */
    if (accepted) {
        must(again_count == count && slice_equal(buf_slice(&again), out));
        must(slice_equal(buf_slice(&again_boundaries), boundaries));
    }
    buf_clear(&text);
    buf_clear(&again);
    buf_clear(&again_boundaries);
}

static bool is_space(struct slice line)
{
    for (size_t i = 0; i < line.len; i++)
        if (!memchr(" \t\r", line.data[i], 3))
            return false;
    return true;
}

/* Lines are what json_messages() makes of each, up to the first wrong one, with marks of one append. */
static void check_lines(struct slice text)
{
    struct buf out = {0}, boundaries = {0}, expected = {0}, marks = {0}, all = {0};
    struct json_lines found = {0};
    uint64_t lines = 0, count = 0, one, length;
    bool wrong = false, last;
    enum error error = json_lines(text, &out, &boundaries, &found, NULL);
    while (text.len && !wrong) {
        const char *feed = memchr(text.data, '\n', text.len);
        struct slice line = slice_of(text.data, feed ? (size_t)(feed - text.data) : text.len);
        one = is_space(line);
        wrong = !one && (!json_messages(line, &expected, &marks, &one, NULL) || !one);
        count += wrong || is_space(line) ? 0 : one;
        lines += !wrong;
        text = slice_of(line.data + line.len + (feed != NULL), text.len - line.len - (feed != NULL));
    }
    must(wrong == (error != ERR_NONE) && found.lines == lines && found.count == count);
    must(slice_equal(buf_slice(&out), buf_slice(&expected)));
    struct slice rest = buf_slice(&marks);
    for (uint64_t i = 1; boundaries_next(&rest, &length, &last); i++)
        boundaries_add(&all, length, i == count);
    must(slice_equal(buf_slice(&boundaries), buf_slice(&all)));
    struct buf *const used[] = {&out, &boundaries, &expected, &marks, &all};
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++)
        buf_clear(used[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    struct buf out = {0}, boundaries = {0};
    uint64_t count = 0;
    struct detail detail = {0};
    must(swar_json_agrees(text));
    check_lines(text);
    if (json_messages(text, &out, &boundaries, &count, &detail)) {
        while (size && memchr(" \t\r\n", *data, 4))
            data++, size--;
        check_again(buf_slice(&out), buf_slice(&boundaries), count, *data == '[');
        if (!beyond_cjson(text))
            check_against_cjson(text, buf_slice(&out), buf_slice(&boundaries));
    } else {
        must(buf_len(&out) == 0 && buf_len(&boundaries) == 0);
        must((detail.text[0] != 0) == (size > 0));
    }
    buf_clear(&out);
    buf_clear(&boundaries);
    return 0;
}
