/* The token of a whole request's head is a piece of that head, or was decoded from one. */
#include <string.h>

#include "router/auth/bearer.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct buf room = {0};
    struct slice in = slice_of((const char *)bytes, size), token;
    struct http_head head;
    enum error error;
    size_t scanned = 0, used;
    if (http_head_parse(in, &scanned, &head, &used, &error, NULL) != HTTP_PARSE_DONE)
        return 0;
    if (bearer_token(&head, SLICE("session"), &room, &token) >= BEARER_HEADER)
        must(token.len < used && (buf_len(&room) || !token.len || memmem(bytes, used, token.data, token.len)));
    else
        must(!token.data);
    buf_clear(&room);
    return 0;
}
