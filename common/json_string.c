/* Escapes become what they stand for; everything else of a string is UTF-8 already, and is copied in runs.
 *
 *     "a\u00e9\ud83d\ude00\n"     a, U+00E9, U+1F600 of two surrogates, a line end
 */
#include "common/json.h"

static unsigned json_string_hex(const char *digits)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned digit = (unsigned char)digits[i];
        value = value << 4 | (digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
    }
    return value;
}

static void json_string_add(struct buf *out, unsigned code)
{
    if (code < 0x80) {
        buf_add_byte(out, (uint8_t)code);
        return;
    }
    if (code < 0x800) {
        buf_add_byte(out, (uint8_t)(0xc0 | code >> 6));
    } else {
        if (code < 0x10000) {
            buf_add_byte(out, (uint8_t)(0xe0 | code >> 12));
        } else {
            buf_add_byte(out, (uint8_t)(0xf0 | code >> 18));
            buf_add_byte(out, (uint8_t)(0x80 | (code >> 12 & 0x3f)));
        }
        buf_add_byte(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
    }
    buf_add_byte(out, (uint8_t)(0x80 | (code & 0x3f)));
}

/* \uXXXX at the front of `rest`, which a pair of them may be. Returns its length; 0: it is half of a pair. */
static size_t json_string_take_code(struct slice rest, struct buf *out)
{
    unsigned code = json_string_hex(rest.data + 2), low = 0;
    if (code < 0xd800 || code > 0xdfff) {
        json_string_add(out, code);
        return 6;
    }
    if (rest.len >= 12 && rest.data[6] == '\\' && rest.data[7] == 'u')
        low = json_string_hex(rest.data + 8);
    if (code > 0xdbff || low < 0xdc00 || low > 0xdfff)
        return 0;
    json_string_add(out, 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00)));
    return 12;
}

/* An escape at the front of `rest`: its length, or 0. */
static size_t json_string_take_escape(struct slice rest, struct buf *out)
{
    static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    const char *letter = strchr(letters, rest.data[1]);
    if (rest.data[1] == 'u')
        return json_string_take_code(rest, out);
    buf_add_byte(out, (uint8_t)(letter ? meanings[letter - letters] : rest.data[1]));
    return 2;
}

bool json_unquote(struct slice value, struct buf *out)
{
    if (value.len < 2 || *value.data != '"')
        return false;
    struct slice rest = slice_of(value.data + 1, value.len - 2);
    while (rest.len) {
        const char *escape = memchr(rest.data, '\\', rest.len);
        size_t plain = escape ? (size_t)(escape - rest.data) : rest.len;
        buf_add(out, rest.data, plain);
        rest = slice_of(rest.data + plain, rest.len - plain);
        size_t taken = rest.len ? json_string_take_escape(rest, out) : 0;
        if (rest.len && !taken)
            return false;
        rest = slice_of(rest.data + taken, rest.len - taken);
    }
    return true;
}
