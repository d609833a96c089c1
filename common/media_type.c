#include "common/media_type.h"

#include <strings.h>

static bool is_token_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* Without the parameters and the space before them. */
static struct slice essence(struct slice type)
{
    const char *end = type.len ? memchr(type.data, ';', type.len) : NULL;
    size_t len = end ? (size_t)(end - type.data) : type.len;
    while (len && (type.data[len - 1] == ' ' || type.data[len - 1] == '\t'))
        len--;
    return slice_of(type.data, len);
}

static bool is_token(const char *at, const char *end)
{
    const char *start = at;
    while (at < end && is_token_byte(*at))
        at++;
    return at == end && at > start;
}

bool media_type_valid(struct slice type)
{
    struct slice name = essence(type);
    const char *end = name.data + name.len, *slash = name.len ? memchr(name.data, '/', name.len) : NULL;
    for (size_t i = name.len; i < type.len; i++)
        if ((type.data[i] < ' ' || type.data[i] > '~') && type.data[i] != '\t')
            return false;
    return type.len <= MEDIA_TYPE_MAX && slash && is_token(name.data, slash) && is_token(slash + 1, end);
}

bool media_type_same(struct slice a, struct slice b)
{
    struct slice one = essence(a), other = essence(b);
    return one.len == other.len && (!one.len || strncasecmp(one.data, other.data, one.len) == 0);
}

bool media_type_is_json(struct slice type)
{
    return media_type_same(type, SLICE("application/json"));
}

bool media_type_is_text(struct slice type)
{
    return type.len > 5 && strncasecmp(type.data, "text/", 5) == 0;
}
