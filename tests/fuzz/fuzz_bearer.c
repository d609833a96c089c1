/* The token of a whole request's head is a piece of that head, and of a length that a token may have. */
#include <string.h>

#include "router/bearer.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static char room[TOKEN_MAX + 1];
    struct slice in = slice_of((const char *)bytes, size);
    struct http_head head;
    enum error error;
    size_t scanned = 0, used;
    if (http_head_parse(in, &scanned, &head, &used, &error, NULL) != HTTP_PARSE_DONE)
        return 0;
    memset(room, 'x', sizeof room);
    if (bearer_token(&head, SLICE("session"), room) == BEARER_FOUND) {
        size_t len = strnlen(room, sizeof room);
        must(len > 0 && len <= TOKEN_MAX && memmem(bytes, used, room, len));
    }
    return 0;
}
