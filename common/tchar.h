/* The characters that tokens of HTTP are made of, such as the names of headers and cookies (RFC 9110 5.6.2). */
#ifndef COMMON_TCHAR_H
#define COMMON_TCHAR_H

#include "common/slice.h"

static inline bool tchar_is(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* How many bytes at the start of the text are such characters. */
static inline size_t tchar_span(struct slice text)
{
    size_t len = 0;
    while (len < text.len && tchar_is(text.data[len]))
        len++;
    return len;
}

/* The whole text is a token. */
static inline bool tchar_all(struct slice text)
{
    return text.len && tchar_span(text) == text.len;
}

#endif
