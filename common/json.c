/* A pushdown scanner (RFC 8259): one bit of stack a level, no tree and no recursion. Each json_scan_*() is given
 * where its part begins and returns where it ends, or NULL if the text is wrong; then *s says where, and what would
 * be right there.
 *
 *     [ {"a": 1} , 2 ]      messages    {"a": 1},2,
 *                           boundaries  9 (8 and a comma), 2 (the last of the append)
 *     {"a": 1}              messages    {"a": 1},          one value that is no array is one message
 *
 * A good text is scanned once: strings go sixteen bytes a step (simd.h) or eight (swar.h), and messages are copied as
 * they were written.
 *
 * Failure modes: a wrong byte, a text that ends too early, more than JSON_DEPTH_MAX levels, or a second value behind
 * the first. The detail names the byte; the buffers are as they were before. */
#include "common/json.h"

#include <stdio.h>

#include "common/boundaries.h"
#include "common/simd.h"
#include "common/swar.h"
#include "common/utf8.h"

#define SHOWN 12 /* bytes of what is wrong */
#define STRING_OF(number) #number
#define STRING(number) STRING_OF(number)

struct scan {
    const uint8_t *end;
    unsigned depth;                        /* of open arrays and objects */
    uint64_t objects[JSON_DEPTH_MAX / 64]; /* a bit a level: 1 object, 0 array */
    struct buf *out;
    struct buf *boundaries;
    const uint8_t *run, *run_end; /* messages that are not in out yet; equal: none */
    uint64_t count;
    bool goes_on;     /* more texts of the same append follow: no message of this one is its last */
    size_t last_mark; /* where the mark of the newest message begins in boundaries */
    const uint8_t *wrong;
    const char *expected;
};

static const uint8_t *json_refuse(struct scan *s, const uint8_t *at, const char *expected)
{
    s->wrong = at;
    s->expected = expected;
    return NULL;
}

static inline const uint8_t *json_skip_space(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

/* ---- strings ---- */

static const uint8_t *json_scan_utf8(struct scan *s, const uint8_t *at)
{
    while (at < s->end && *at >= 0x80) {
        size_t length = utf8_length(at, (size_t)(s->end - at));
        if (!length)
            return json_refuse(s, at, "valid UTF-8");
        at += length;
    }
    return at;
}

static bool json_is_hex(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f');
}

static const uint8_t *json_scan_escape(struct scan *s, const uint8_t *at)
{
    const uint8_t *end = s->end;
    if (end - at < 2)
        return json_refuse(s, end, "an escape");
    if (at[1] != 'u')
        return at[1] && strchr("\"\\/bfnrt", at[1])
                   ? at + 2
                   : json_refuse(s, at, "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u");
    if (end - at < 6 || !json_is_hex(at[2]) || !json_is_hex(at[3]) || !json_is_hex(at[4]) || !json_is_hex(at[5]))
        return json_refuse(s, at, "\\u and four hexadecimal digits");
    return at + 6;
}

static inline bool json_is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/* Over the ASCII that stands for itself, eight bytes a step. */
static NOINLINE const uint8_t *json_skip_plain_words(const uint8_t *at, const uint8_t *end)
{
    while (end - at >= 8) {
        uint64_t word = swar_load(at);
        uint64_t special = swar_below(word, 0x20) | swar_equal(word, '"') | swar_equal(word, '\\') | (word & SWAR_TOPS);
        if (special)
            return at + swar_first(special);
        at += 8;
    }
    while (at < end && json_is_plain(*at))
        at++;
    return at;
}

/* Sixteen bytes a step. The last fifteen of a text go by words: nothing is read past its end. */
static inline const uint8_t *json_skip_plain(const uint8_t *at, const uint8_t *end)
{
#ifdef SIMD_BYTES
    for (; end - at >= SIMD_BYTES; at += SIMD_BYTES) {
        __m128i bytes = simd_load(at);
        unsigned special = simd_any(simd_equal(bytes, '"'), simd_equal(bytes, '\\'), simd_below(bytes, 0x20));
        if (special)
            return at + simd_first(special);
    }
#endif
    return json_skip_plain_words(at, end);
}

/* From the first byte of a string that does not stand for itself. Most strings have none but the quote at their end,
 * and need not pay for the registers of this: NOINLINE. */
static NOINLINE const uint8_t *json_scan_special(struct scan *s, const uint8_t *at)
{
    while (at) {
        if (at == s->end)
            return json_refuse(s, at, "a double quote, the end of a text");
        if (*at < 0x20)
            return json_refuse(s, at, "an escape such as \\n, for control characters");
        if (*at == '"')
            return at + 1;
        at = *at == '\\' ? json_scan_escape(s, at) : json_scan_utf8(s, at);
        at = at ? json_skip_plain(at, s->end) : NULL;
    }
    return NULL;
}

/* From the byte after the opening quote. */
static const uint8_t *json_scan_string(struct scan *s, const uint8_t *at)
{
    at = json_skip_plain(at, s->end);
    return at < s->end && *at == '"' ? at + 1 : json_scan_special(s, at);
}

/* ---- the other scalars ---- */

static const uint8_t *json_scan_digits(struct scan *s, const uint8_t *at)
{
    const uint8_t *start = at;
    while (at < s->end && *at >= '0' && *at <= '9')
        at++;
    return at > start ? at : json_refuse(s, at, "a digit");
}

static const uint8_t *json_scan_number(struct scan *s, const uint8_t *at)
{
    if (*at == '-')
        at++;
    if (at < s->end && *at == '0')
        at++;
    else
        at = json_scan_digits(s, at);
    if (at && at < s->end && *at == '.')
        at = json_scan_digits(s, at + 1);
    if (at && at < s->end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < s->end && (*at == '+' || *at == '-'))
            at++;
        at = json_scan_digits(s, at);
    }
    return at;
}

static const uint8_t *json_scan_word(struct scan *s, const uint8_t *at, const char *word)
{
    size_t len = strlen(word);
    bool there = (size_t)(s->end - at) >= len && memcmp(at, word, len) == 0;
    return there ? at + len : json_refuse(s, at, word);
}

static const uint8_t *json_scan_scalar(struct scan *s, const uint8_t *at)
{
    switch (*at) {
    case '"':
        return json_scan_string(s, at + 1);
    case 't':
        return json_scan_word(s, at, "true");
    case 'f':
        return json_scan_word(s, at, "false");
    case 'n':
        return json_scan_word(s, at, "null");
    default:
        return *at == '-' || (*at >= '0' && *at <= '9') ? json_scan_number(s, at) : json_refuse(s, at, "a value");
    }
}

/* ---- arrays and objects ---- */

static bool json_push(struct scan *s, const uint8_t *at, bool object)
{
    if (s->depth == JSON_DEPTH_MAX)
        return json_refuse(s, at, "at most " STRING(JSON_DEPTH_MAX) " levels of arrays and objects");
    uint64_t bit = (uint64_t)1 << s->depth % 64, *word = &s->objects[s->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
    s->depth++;
    return true;
}

static inline bool json_in_object(const struct scan *s)
{
    return s->objects[(s->depth - 1) / 64] >> (s->depth - 1) % 64 & 1;
}

static inline uint8_t json_closing(const struct scan *s)
{
    return json_in_object(s) ? '}' : ']';
}

/* An object's key with its colon and the space after it. */
static const uint8_t *json_scan_key(struct scan *s, const uint8_t *at)
{
    if (at == s->end || *at != '"')
        return json_refuse(s, at, "a key in double quotes");
    at = json_scan_string(s, at + 1);
    if (!at)
        return NULL;
    at = json_skip_space(at, s->end);
    return at < s->end && *at == ':' ? json_skip_space(at + 1, s->end) : json_refuse(s, at, "':'");
}

/* Where the next member's value begins; `at` is past the bracket or comma before it, and space. */
static inline const uint8_t *json_scan_member(struct scan *s, const uint8_t *at)
{
    return json_in_object(s) ? json_scan_key(s, at) : at;
}

/* After a value: closes every array and object that ends here. Returns where the value after a comma begins, or, down
 * at depth `floor`, the end. */
static const uint8_t *json_scan_after(struct scan *s, const uint8_t *at, unsigned floor)
{
    while (s->depth > floor) {
        at = json_skip_space(at, s->end);
        if (at < s->end && *at == ',')
            return json_scan_member(s, json_skip_space(at + 1, s->end));
        if (at == s->end || *at != json_closing(s))
            return json_refuse(s, at, json_in_object(s) ? "',' or '}'" : "',' or ']'");
        s->depth--;
        at++;
    }
    return at;
}

/* A value of any depth without recursion: opening brackets push a bit, json_scan_after() pops what ends. The loop ends
 * when the depth is back where it was. */
static const uint8_t *json_scan_value(struct scan *s, const uint8_t *at)
{
    unsigned floor = s->depth;
    do {
        if (at == s->end)
            return json_refuse(s, at, "a value");
        if (*at == '{' || *at == '[') {
            if (!json_push(s, at, *at == '{'))
                return NULL;
            at = json_skip_space(at + 1, s->end);
            if (at == s->end || *at != json_closing(s)) {
                at = json_scan_member(s, at);
                continue;
            }
        } else {
            at = json_scan_scalar(s, at);
            if (!at)
                return NULL;
        }
        at = json_scan_after(s, at, floor);
    } while (at && s->depth > floor);
    return at;
}

/* ---- messages ---- */

static void json_end_run(struct scan *s)
{
    if (s->run == s->run_end)
        return;
    buf_add(s->out, s->run, (size_t)(s->run_end - s->run));
    buf_add_byte(s->out, ',');
}

/* Messages with nothing but a comma between them stand in the text as they are stored: a run is copied in one piece. */
static void json_add_message(struct scan *s, const uint8_t *start, const uint8_t *end, bool last)
{
    if (s->run == s->run_end || start != s->run_end + 1) {
        json_end_run(s);
        s->run = start;
    }
    s->run_end = end;
    s->last_mark = buf_len(s->boundaries);
    boundaries_add(s->boundaries, (size_t)(end - start) + 1, last && !s->goes_on);
    s->count++;
}

/* The elements of the array at the top, from the byte after its bracket. */
static const uint8_t *json_scan_elements(struct scan *s, const uint8_t *at)
{
    if (!json_push(s, at, false))
        return NULL;
    at = json_skip_space(at, s->end);
    if (at < s->end && *at == ']')
        return at + 1;
    for (;;) {
        const uint8_t *start = at, *end = json_scan_value(s, at);
        if (!end)
            return NULL;
        at = json_skip_space(end, s->end);
        if (at == s->end || (*at != ',' && *at != ']'))
            return json_refuse(s, at, "',' or ']'");
        bool last = *at == ']';
        json_add_message(s, start, end, last);
        if (last)
            return at + 1;
        at = json_skip_space(at + 1, s->end);
    }
}

static const uint8_t *json_scan_text(struct scan *s, const uint8_t *at)
{
    at = json_skip_space(at, s->end);
    if (at < s->end && *at == '[')
        return json_scan_elements(s, at + 1);
    const uint8_t *end = json_scan_value(s, at);
    if (end)
        json_add_message(s, at, end, true);
    return end;
}

/* Says what is wrong where; `what` is the text, such as "the body". */
static void json_say(struct detail *detail, const struct scan *s, struct slice text, const char *what)
{
    size_t at = (size_t)(s->wrong - (const uint8_t *)text.data), left = text.len - at;
    if (left)
        detail_say(detail, ERR_INVALID_JSON, "%s is not valid JSON: byte %zu should be %s, not %s", what, at,
                   s->expected, detail_quote(slice_of(text.data + at, left < SHOWN ? left : SHOWN)).text);
    else
        detail_say(detail, ERR_INVALID_JSON, "%s is not valid JSON: it ends after %zu bytes where %s should be", what,
                   at, s->expected);
}

/* JSON lines are the most frequent mistake, so a second value at the fault gets a hint of its own. */
static void json_say_body(struct detail *detail, const struct scan *s, struct slice text, const uint8_t *end)
{
    /* A scan of its own, without buffers: json_scan_value() writes no messages. */
    struct scan rest = {.end = s->end};
    if (end && s->wrong < s->end && json_scan_value(&rest, s->wrong))
        detail_say(detail, ERR_INVALID_JSON,
                   "the body is not valid JSON: a second value begins at byte %zu; send several messages as an array, "
                   "[…, …], not as lines",
                   (size_t)(s->wrong - (const uint8_t *)text.data));
    else
        json_say(detail, s, text, "the body");
}

/* One text, which is not empty. Where it is wrong s->wrong says so, and the buffers are as they were. Returns the end
 * of its value, or NULL. */
static const uint8_t *json_scan_messages(struct scan *s, struct slice text)
{
    const uint8_t *at = (const uint8_t *)text.data;
    size_t out_len = buf_len(s->out), boundaries_len = buf_len(s->boundaries), last_mark = s->last_mark;
    uint64_t count = s->count;
    s->end = (const uint8_t *)slice_end(text);
    s->depth = 0;
    s->run = s->run_end = at;
    buf_reserve(s->out, text.len + 1); /* the most it can come to */
    const uint8_t *end = json_scan_text(s, at);
    if (end && json_skip_space(end, s->end) != s->end)
        json_refuse(s, json_skip_space(end, s->end), "the end");
    if (s->wrong) {
        s->out->end = s->out->start + out_len;
        s->boundaries->end = s->boundaries->start + boundaries_len;
        s->count = count;
        s->last_mark = last_mark;
    } else {
        json_end_run(s);
    }
    return end;
}

/* Stored form: every message of the array without the space around it, each followed by a comma, which makes a page an
 * array by two brackets and no copying. */
bool json_messages(struct slice text, struct buf *out, struct buf *boundaries, uint64_t *count, struct detail *detail)
{
    struct scan s = {.out = out, .boundaries = boundaries};
    if (!text.len)
        return false;
    const uint8_t *end = json_scan_messages(&s, text);
    if (s.wrong)
        json_say_body(detail, &s, text, end);
    else
        *count = s.count;
    return !s.wrong;
}

/* ---- lines ---- */

/* The mark of the last message becomes the append's last. A mark's lowest bit stands in its first byte. */
static void json_end_append(const struct scan *s)
{
    if (s->count)
        s->boundaries->data[s->boundaries->start + s->last_mark] |= 1;
}

static enum error json_take_line(struct scan *s, struct slice line, uint64_t number, struct detail *detail)
{
    const uint8_t *at = (const uint8_t *)line.data, *end = (const uint8_t *)slice_end(line);
    uint64_t before = s->count;
    char what[40];
    if (json_skip_space(at, end) == end)
        return ERR_NONE;
    snprintf(what, sizeof what, "line %llu of the body", (unsigned long long)number);
    (void)json_scan_messages(s, line);
    if (s->wrong) {
        json_say(detail, s, line, what);
        return ERR_INVALID_JSON;
    }
    return s->count > before
               ? ERR_NONE
               : detail_say(detail, ERR_EMPTY_JSON_ARRAY, "%s is an empty array, which appends nothing", what);
}

enum error json_lines(struct slice text, struct buf *out, struct buf *boundaries, struct json_lines *found,
                      struct detail *detail)
{
    struct scan s = {.out = out, .boundaries = boundaries, .goes_on = true};
    enum error error = ERR_NONE;
    while (text.len && error == ERR_NONE) {
        const char *feed = memchr(text.data, '\n', text.len);
        size_t len = feed ? (size_t)(feed - text.data) : text.len;
        error = json_take_line(&s, slice_of(text.data, len), found->lines + 1, detail);
        found->lines += error == ERR_NONE;
        text = slice_from(text, len + (feed != NULL));
    }
    json_end_append(&s);
    found->count = s.count;
    return error;
}

/* ---- taking values apart ---- */

bool json_valid(struct slice text, struct detail *detail)
{
    const uint8_t *at = (const uint8_t *)text.data;
    struct scan s = {.end = (const uint8_t *)slice_end(text)};
    const uint8_t *end = text.len ? json_scan_value(&s, json_skip_space(at, s.end)) : json_refuse(&s, at, "a value");
    if (end && json_skip_space(end, s.end) != s.end)
        json_refuse(&s, json_skip_space(end, s.end), "the end");
    if (s.wrong)
        json_say_body(detail, &s, text, end);
    return !s.wrong;
}

bool json_open(struct json_walk *walk, struct slice value, char bracket)
{
    const uint8_t *at = (const uint8_t *)value.data, *end = (const uint8_t *)slice_end(value);
    at = json_skip_space(at, end);
    *walk = (struct json_walk){.at = at + 1, .end = end, .object = bracket == '{'};
    return at < end && *at == (uint8_t)bracket;
}

bool json_next(struct json_walk *walk, struct slice *key, struct slice *value)
{
    struct scan s = {.end = walk->end};
    const uint8_t *at = json_skip_space(walk->at, s.end), *start;
    if (*at == ',')
        at = json_skip_space(at + 1, s.end);
    if (*at == '}' || *at == ']')
        return false;
    if (walk->object) {
        start = at + 1;
        at = json_scan_string(&s, start);
        *key = slice_of((const char *)start, (size_t)(at - start) - 1);
        at = json_skip_space(json_skip_space(at, s.end) + 1, s.end);
    }
    start = at;
    walk->at = json_scan_value(&s, at);
    *value = slice_of((const char *)start, (size_t)(walk->at - start));
    return true;
}
