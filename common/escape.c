/* Escaping for lines and terminals: control characters become \n or \u001b, bytes that are no UTF-8 become U+FFFD,
 * and C1 controls and U+2028/2029 are spelled out too, because terminals and readers of lines act on them. With
 * `quotes` (JSON), the quote and the backslash get a backslash as well. A character that does not fit ends the text,
 * so no escape is ever cut in half; ESCAPE_GROWTH bounds the growth. */
#include "common/escape.h"

#include <stdint.h>
#include <stdio.h>

#include "common/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd"

/* Those of two and three bytes that a terminal or a reader of lines may take for more than a letter. */
static unsigned escape_control_of(const uint8_t *at, size_t len)
{
    if (len == 2 && at[0] == 0xc2 && at[1] < 0xa0)
        return at[1];
    if (len == 3 && at[0] == 0xe2 && at[1] == 0x80 && (at[2] == 0xa8 || at[2] == 0xa9))
        return 0x2000u + (at[2] & 0x3fu);
    return 0;
}

/* What stands behind the backslash; 0: the byte has no such form. */
static char escape_short_form(uint8_t byte)
{
    switch (byte) {
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '"':
    case '\\':
        return (char)byte;
    default:
        return 0;
    }
}

static size_t escape_print_ascii(char out[8], uint8_t byte, bool quotes)
{
    char form = !quotes && byte > ' ' ? 0 : escape_short_form(byte);
    out[0] = form ? '\\' : (char)byte;
    out[1] = form;
    if (form)
        return 2;
    return byte >= 0x20 && byte != 0x7f ? 1 : (size_t)snprintf(out, 8, "\\u%04x", byte);
}

/* The character at `at`, of which *taken bytes are taken. Returns the length of what stands for it. */
static size_t escape_print_one(char out[8], const uint8_t *at, size_t left, bool quotes, size_t *taken)
{
    *taken = 1;
    if (*at < 0x80)
        return escape_print_ascii(out, *at, quotes);
    size_t len = utf8_length(at, left);
    if (!len) {
        memcpy(out, REPLACEMENT, 3);
        return 3;
    }
    *taken = len;
    unsigned control = escape_control_of(at, len);
    if (control)
        return (size_t)snprintf(out, 8, "\\u%04x", control);
    memcpy(out, at, len);
    return len;
}

static size_t escape(char *out, size_t room, struct slice text, bool quotes)
{
    const uint8_t *at = (const uint8_t *)text.data;
    size_t done = 0;
    for (size_t i = 0, taken; i < text.len; i += taken) {
        char one[8];
        size_t len = escape_print_one(one, at + i, text.len - i, quotes, &taken);
        if (done + len > room)
            break;
        memcpy(out + done, one, len);
        done += len;
    }
    return done;
}

size_t escape_json(char *out, size_t room, struct slice text)
{
    return escape(out, room, text, true);
}

size_t escape_plain(char *out, size_t room, struct slice text)
{
    return escape(out, room, text, false);
}

bool escape_bare(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f || strchr("\"\\=", text.data[i]))
            return false;
    return text.len > 0;
}
