#include "router/bearer.h"

#include <strings.h>

#include "router/query.h"

static bool copy(struct slice text, char room[TOKEN_MAX + 1])
{
    if (!text.len || text.len > TOKEN_MAX || memchr(text.data, 0, text.len))
        return false;
    memcpy(room, text.data, text.len);
    room[text.len] = 0;
    return true;
}

enum bearer bearer_token(const struct http_head *head, struct slice name, char room[TOKEN_MAX + 1])
{
    static const struct slice scheme = {"bearer ", 7};
    struct slice header = head->headers[HTTP_AUTHORIZATION_HEADER], cookies = head->headers[HTTP_COOKIE_HEADER];
    struct slice query = query_value(head->query, '&', SLICE("token"));
    struct slice cookie = name.len ? query_value(cookies, ';', name) : (struct slice){0};
    if (header.data) {
        if (header.len < scheme.len || strncasecmp(header.data, scheme.data, scheme.len) != 0)
            return BEARER_BAD;
        header = slice_of(header.data + scheme.len, header.len - scheme.len);
    }
    struct slice token = header.data ? header : query.data ? query : cookie;
    if (!token.data)
        return BEARER_ABSENT;
    return copy(token, room) ? BEARER_FOUND : BEARER_BAD;
}
