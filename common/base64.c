/* Base64 (RFC 4648, 4) and its URL form (5) by libcrypto, DIGITS at a time through a buffer on the stack. libcrypto
 * takes one alphabet, whole quads and white space; base64_digit() maps the URL alphabet to it and refuses white
 * space, and the last quad is filled up with "=".
 *
 * Failure modes: a character that is no digit, one digit more than quads, or padding that does not end the last quad
 * makes the whole text wrong: nothing of what a client sends is dropped. */
#include "common/base64.h"

#include <openssl/evp.h>
#include <string.h>

#define DIGITS 256 /* that are decoded at a time: whole quads */

void base64_add(struct buf *out, struct slice bytes)
{
    char *text = buf_reserve(out, (bytes.len + 2) / 3 * 4 + 1); /* libcrypto ends it with a NUL */
    buf_grow(out, (size_t)EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes.data, (int)bytes.len));
}

/* The digit in the alphabet that libcrypto reads; 0: it is none. libcrypto itself would pass over white space. */
static unsigned char base64_digit(char c, bool url)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
        return (unsigned char)c;
    if (c == (url ? '-' : '+'))
        return '+';
    return c == (url ? '_' : '/') ? '/' : 0;
}

/* Up to DIGITS digits. A digit that is left over alone is no byte: the callers refuse it. */
static bool base64_take_some(struct slice digits, bool url, unsigned char bytes[DIGITS / 4 * 3], size_t *len)
{
    unsigned char quads[DIGITS];
    size_t count = digits.len;
    for (size_t i = 0; i < count; i++)
        if (!(quads[i] = base64_digit(digits.data[i], url)))
            return false;
    /* The length comes from the digits, since libcrypto counts the padding's zero bytes too. */
    *len = count * 3 / 4;
    if (count % 4 == 1)
        count--;
    while (count % 4)
        quads[count++] = '=';
    return EVP_DecodeBlock(bytes, quads, (int)count) >= 0;
}

static struct slice base64_first(struct slice text)
{
    return slice_of(text.data, text.len < DIGITS ? text.len : DIGITS);
}

/* Digits before the padding, which fills the last quad if there is any. */
static size_t base64_digits(struct slice text)
{
    size_t digits = text.len;
    for (size_t i = 0; i < 2 && text.len % 4 == 0 && digits && text.data[digits - 1] == '='; i++)
        digits--;
    return digits;
}

bool base64_take(struct buf *out, struct slice text)
{
    unsigned char bytes[DIGITS / 4 * 3];
    size_t end = base64_digits(text), len;
    if (end % 4 == 1)
        return false;
    for (size_t at = 0; at < end; at += DIGITS) {
        if (!base64_take_some(base64_first(slice_of(text.data + at, end - at)), false, bytes, &len))
            return false;
        buf_add(out, bytes, len);
    }
    return true;
}

bool base64_take_url(struct slice text, uint8_t *out, size_t room, size_t *len)
{
    unsigned char bytes[DIGITS / 4 * 3];
    size_t some;
    *len = 0;
    for (size_t at = 0; at < text.len; at += DIGITS) {
        if (!base64_take_some(base64_first(slice_of(text.data + at, text.len - at)), true, bytes, &some) ||
            some > room - *len)
            return false;
        memcpy(out + *len, bytes, some);
        *len += some;
    }
    return *len > 0 && text.len % 4 != 1;
}
