/* Base64 (RFC 4648, 4) and its URL form (5) by libcrypto, DIGITS at a time through a buffer on the stack. libcrypto
 * takes one alphabet, whole quads and white space; base64_digit() maps the URL alphabet to it and refuses white
 * space, and the last quad is filled up with "=".
 *
 * Failure modes: the plain form ends at the first "="; any other character makes the whole text wrong. The URL form
 * of one digit more than quads is wrong too; the plain form drops that digit. */
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

/* Up to DIGITS digits. A digit that is left over alone is no byte, and is dropped. */
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

bool base64_take(struct buf *out, struct slice text)
{
    unsigned char bytes[DIGITS / 4 * 3];
    const char *padding = text.len ? memchr(text.data, '=', text.len) : NULL;
    size_t end = padding ? (size_t)(padding - text.data) : text.len, len;
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
