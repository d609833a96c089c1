/* A pushdown scanner: one bit of stack a level, no tree and no recursion. Each scan_*() is given where its part begins
 * and returns where it ends, or NULL where the text is wrong. */
#include "common/json.h"

#include "common/marks.h"
#include "common/swar.h"
#include "common/utf8.h"

struct scan {
    const uint8_t *end;
    unsigned depth;                        /* of open arrays and objects */
    uint64_t objects[JSON_DEPTH_MAX / 64]; /* a bit a level: 1 object, 0 array */
    struct buf *out;
    struct buf *marks;
    uint64_t count;
};

static inline const uint8_t *skip_space(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

/* ---- strings ---- */

static const uint8_t *scan_utf8(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at >= 0x80) {
        size_t length = utf8_length(at, (size_t)(end - at));
        if (!length)
            return NULL;
        at += length;
    }
    return at;
}

static bool is_hex(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f');
}

static const uint8_t *scan_escape(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 2)
        return NULL;
    switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return at + 2;
    case 'u':
        if (end - at < 6 || !is_hex(at[2]) || !is_hex(at[3]) || !is_hex(at[4]) || !is_hex(at[5]))
            return NULL;
        return at + 6;
    default:
        return NULL;
    }
}

static inline bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/* Over the ASCII that stands for itself. */
static inline const uint8_t *skip_plain(const uint8_t *at, const uint8_t *end)
{
    while (end - at >= 8) {
        uint64_t word = swar_load(at);
        uint64_t special = swar_below(word, 0x20) | swar_equal(word, '"') | swar_equal(word, '\\') | (word & SWAR_TOPS);
        if (special)
            return at + swar_first(special);
        at += 8;
    }
    while (at < end && is_plain(*at))
        at++;
    return at;
}

/* From the byte after the opening quote. */
static const uint8_t *scan_string(const uint8_t *at, const uint8_t *end)
{
    while (at) {
        at = skip_plain(at, end);
        if (at == end || *at < 0x20)
            return NULL;
        if (*at == '"')
            return at + 1;
        at = *at == '\\' ? scan_escape(at, end) : scan_utf8(at, end);
    }
    return NULL;
}

/* ---- the other scalars ---- */

static const uint8_t *scan_digits(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *start = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at > start ? at : NULL;
}

static const uint8_t *scan_number(const uint8_t *at, const uint8_t *end)
{
    if (*at == '-')
        at++;
    if (at < end && *at == '0')
        at++;
    else
        at = scan_digits(at, end);
    if (at && at < end && *at == '.')
        at = scan_digits(at + 1, end);
    if (at && at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        at = scan_digits(at, end);
    }
    return at;
}

static const uint8_t *scan_word(const uint8_t *at, const uint8_t *end, struct slice word)
{
    return (size_t)(end - at) >= word.len && memcmp(at, word.data, word.len) == 0 ? at + word.len : NULL;
}

static const uint8_t *scan_scalar(const uint8_t *at, const uint8_t *end)
{
    switch (*at) {
    case '"':
        return scan_string(at + 1, end);
    case 't':
        return scan_word(at, end, SLICE("true"));
    case 'f':
        return scan_word(at, end, SLICE("false"));
    case 'n':
        return scan_word(at, end, SLICE("null"));
    default:
        return scan_number(at, end);
    }
}

/* ---- arrays and objects ---- */

static bool push(struct scan *s, bool object)
{
    if (s->depth == JSON_DEPTH_MAX)
        return false;
    uint64_t bit = (uint64_t)1 << s->depth % 64, *word = &s->objects[s->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
    s->depth++;
    return true;
}

static inline bool in_object(const struct scan *s)
{
    return s->objects[(s->depth - 1) / 64] >> (s->depth - 1) % 64 & 1;
}

static inline uint8_t closing(const struct scan *s)
{
    return in_object(s) ? '}' : ']';
}

/* An object's key with its colon and the space after it. */
static const uint8_t *scan_key(const uint8_t *at, const uint8_t *end)
{
    if (at == end || *at != '"' || !(at = scan_string(at + 1, end)))
        return NULL;
    at = skip_space(at, end);
    return at < end && *at == ':' ? skip_space(at + 1, end) : NULL;
}

/* Where the next member's value begins; `at` is past the bracket or comma before it, and space. */
static inline const uint8_t *scan_member(const struct scan *s, const uint8_t *at)
{
    return in_object(s) ? scan_key(at, s->end) : at;
}

/* After a value: closes every array and object that ends here. Returns where the value after a comma begins, or, down
 * at depth `floor`, the end. */
static const uint8_t *scan_after(struct scan *s, const uint8_t *at, unsigned floor)
{
    while (s->depth > floor) {
        at = skip_space(at, s->end);
        if (at == s->end)
            return NULL;
        if (*at == ',')
            return scan_member(s, skip_space(at + 1, s->end));
        if (*at != closing(s))
            return NULL;
        s->depth--;
        at++;
    }
    return at;
}

static const uint8_t *scan_value(struct scan *s, const uint8_t *at)
{
    unsigned floor = s->depth;
    do {
        if (at == s->end)
            return NULL;
        if (*at == '{' || *at == '[') {
            if (!push(s, *at == '{'))
                return NULL;
            at = skip_space(at + 1, s->end);
            if (at == s->end)
                return NULL;
            if (*at != closing(s)) {
                at = scan_member(s, at);
                continue;
            }
        } else {
            at = scan_scalar(at, s->end);
            if (!at)
                return NULL;
        }
        at = scan_after(s, at, floor);
    } while (at && s->depth > floor);
    return at;
}

/* ---- messages ---- */

static void add_message(struct scan *s, const uint8_t *start, const uint8_t *end, bool last)
{
    size_t len = (size_t)(end - start);
    buf_add(s->out, start, len);
    buf_add_byte(s->out, ',');
    marks_add(s->marks, len + 1, last);
    s->count++;
}

/* The elements of the array at the top, from the byte after its bracket. */
static const uint8_t *scan_elements(struct scan *s, const uint8_t *at)
{
    if (!push(s, false))
        return NULL;
    at = skip_space(at, s->end);
    if (at < s->end && *at == ']')
        return at + 1;
    for (;;) {
        const uint8_t *start = at, *end = scan_value(s, at);
        if (!end)
            return NULL;
        at = skip_space(end, s->end);
        if (at == s->end || (*at != ',' && *at != ']'))
            return NULL;
        bool last = *at == ']';
        add_message(s, start, end, last);
        if (last)
            return at + 1;
        at = skip_space(at + 1, s->end);
    }
}

static const uint8_t *scan_text(struct scan *s, const uint8_t *at)
{
    at = skip_space(at, s->end);
    if (at < s->end && *at == '[')
        return scan_elements(s, at + 1);
    const uint8_t *end = scan_value(s, at);
    if (end)
        add_message(s, at, end, true);
    return end;
}

bool json_messages(struct slice text, struct buf *out, struct buf *marks, uint64_t *count)
{
    if (!text.len)
        return false;
    const uint8_t *at = (const uint8_t *)text.data;
    struct scan s = {.end = at + text.len, .out = out, .marks = marks};
    size_t out_len = buf_len(out), marks_len = buf_len(marks);
    buf_reserve(out, text.len + 1); /* the most it can come to */
    at = scan_text(&s, at);
    if (!at || skip_space(at, s.end) != s.end) {
        out->end = out->start + out_len;
        marks->end = marks->start + marks_len;
        return false;
    }
    *count = s.count;
    return true;
}
