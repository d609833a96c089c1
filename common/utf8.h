/* Where UTF-8 is UTF-8 (RFC 3629 section 4: no overlong forms, no surrogates, nothing above U+10FFFF). */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool utf8_is_tail(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The length of the sequence at `at`, which is no ASCII and has `left` bytes (one or more); 0 if it is none. */
static inline size_t utf8_length(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0];
    if (lead >= 0xc2 && lead <= 0xdf)
        return left >= 2 && utf8_is_tail(at[1]) ? 2 : 0;
    if (lead >= 0xe0 && lead <= 0xef) {
        uint8_t low = lead == 0xe0 ? 0xa0 : 0x80, high = lead == 0xed ? 0x9f : 0xbf;
        return left >= 3 && at[1] >= low && at[1] <= high && utf8_is_tail(at[2]) ? 3 : 0;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        uint8_t low = lead == 0xf0 ? 0x90 : 0x80, high = lead == 0xf4 ? 0x8f : 0xbf;
        return left >= 4 && at[1] >= low && at[1] <= high && utf8_is_tail(at[2]) && utf8_is_tail(at[3]) ? 4 : 0;
    }
    return 0;
}

#endif
