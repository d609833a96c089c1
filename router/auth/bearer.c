#include "router/auth/bearer.h"

#include <strings.h>

#include "router/http/query.h"

/* "Bearer", spaces, and the token (RFC 6750 2.1, RFC 9110 11.4), the scheme in any case. data NULL: there is no such
 * header, or it has another scheme. */
static struct slice bearer_of_header(struct slice header)
{
    static const struct slice scheme = {"Bearer", 6};
    if (header.len < scheme.len || strncasecmp(header.data, scheme.data, scheme.len) != 0 ||
        (header.len > scheme.len && header.data[scheme.len] != ' '))
        return (struct slice){0};
    struct slice token = slice_of(header.data + scheme.len, header.len - scheme.len);
    while (token.len && *token.data == ' ')
        token = slice_of(token.data + 1, token.len - 1);
    return token;
}

enum bearer bearer_token(const struct http_head *head, struct slice name, struct buf *room, struct slice *token)
{
    struct slice cookies = head->headers[HTTP_COOKIE_HEADER];
    *token = bearer_of_header(head->headers[HTTP_AUTHORIZATION_HEADER]);
    if (token->data)
        return BEARER_HEADER;
    *token = query_text(head->query, SLICE("token"), room);
    if (token->data)
        return BEARER_QUERY;
    *token = name.len ? query_value(cookies, ';', name) : (struct slice){0};
    if (token->data)
        return BEARER_COOKIE;
    return head->headers[HTTP_AUTHORIZATION_HEADER].len ? BEARER_SCHEME : BEARER_ABSENT;
}
