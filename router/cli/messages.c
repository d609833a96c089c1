/* Prints the bodies of answers and events: bytes as they are, or escaped if stdout is a terminal; JSON as one
 * message a line; base64 of events decoded. */
#include "router/cli/messages.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base64.h"
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

bool messages_print_base64(struct slice text)
{
    struct buf bytes = {0};
    bool good = base64_take(&bytes, text);
    messages_print_bytes(buf_slice(&bytes));
    buf_clear(&bytes);
    return good;
}
