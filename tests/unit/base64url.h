/* Base64url without padding (RFC 7515 2), for tests that make tokens of their own. */
#ifndef UNIT_BASE64URL_H
#define UNIT_BASE64URL_H

#include <openssl/evp.h>

#include "common/buf.h"

static inline void base64url_add(struct buf *out, struct slice bytes)
{
    char *text = buf_reserve(out, bytes.len / 3 * 4 + 5);
    int len = EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes.data, (int)bytes.len);
    while (len && text[len - 1] == '=')
        len--;
    for (int i = 0; i < len; i++)
        text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    buf_grow(out, (size_t)len);
}

#endif
