/* Base64 (RFC 4648): bytes as text, by libcrypto. */
#ifndef COMMON_BASE64_H
#define COMMON_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"

/* Appends the bytes, less than 1 GiB, with padding and without line ends. */
void base64_add(struct buf *out, struct slice bytes);

/* Appends the bytes of a text, whose padding may lack. False: it is no base64; some bytes may have been added then. */
bool base64_take(struct buf *out, struct slice text) MUSTUSE;

/* Base64url without padding (RFC 7515 2), into out. False: it is none, is empty, or is longer than room. */
bool base64_take_url(struct slice text, uint8_t *out, size_t room, size_t *len) MUSTUSE;

#endif
