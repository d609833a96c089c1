#include "router/cli/messages.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/boundaries.h"
#include "common/buf.h"
#include "common/json.h"
#include "router/cli/cli.h"

/* A stream must not move the cursor of a terminal, nor do worse. */
void messages_print_bytes(struct slice text)
{
    if (text.len && isatty(STDOUT_FILENO))
        cli_print_text(text);
    else if (text.len)
        fwrite(text.data, 1, text.len, stdout);
}

/* One message a line: line ends inside of it are whitespace. */
static void messages_print_one(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\n' || text[i] == '\r')
            text[i] = ' ';
    messages_print_bytes(slice_of(text, len));
    messages_print_bytes(SLICE("\n"));
}

bool messages_print(struct slice json)
{
    struct buf messages = {0}, boundaries = {0};
    uint64_t count, length;
    bool last, good = json_messages(json, &messages, &boundaries, &count, NULL);
    struct slice rest = buf_slice(&boundaries);
    while (good && boundaries_next(&rest, &length, &last)) {
        messages_print_one(messages.data + messages.start, (size_t)length - 1); /* without its comma */
        buf_consume(&messages, (size_t)length);
    }
    buf_clear(&messages);
    buf_clear(&boundaries);
    return good;
}

static int messages_digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static bool messages_decode_base64(struct slice text, struct buf *out)
{
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < text.len && text.data[i] != '='; i++) {
        int digit = messages_digit_of(text.data[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            buf_add_byte(out, (uint8_t)(bits >> have & 255));
        }
    }
    return true;
}

bool messages_print_base64(struct slice text)
{
    struct buf bytes = {0};
    bool good = messages_decode_base64(text, &bytes);
    messages_print_bytes(buf_slice(&bytes));
    buf_clear(&bytes);
    return good;
}
