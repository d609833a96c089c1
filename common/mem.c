/* Allocation that cannot fail: a process without memory logs the size and ends; the supervisor starts a child again.
 * A size of zero asks for one byte, because malloc(0) may return NULL (malloc(3)). */
#include "common/mem.h"

#include <stdlib.h>

#include "common/log.h"

void *xmalloc(size_t size)
{
    void *ptr = malloc(size ? size : 1);
    if (!ptr)
        fatalx("out of memory: %zu bytes", size);
    return ptr;
}

void *xcalloc(size_t count, size_t size)
{
    void *ptr = calloc(count ? count : 1, size ? size : 1);
    if (!ptr)
        fatalx("out of memory: %zu x %zu bytes", count, size);
    return ptr;
}

void *xrealloc(void *ptr, size_t size)
{
    void *grown = realloc(ptr, size ? size : 1);
    if (!grown)
        fatalx("out of memory: %zu bytes", size);
    return grown;
}

char *xstrdup(const char *text)
{
    return xslicedup(slice_str(text));
}

char *xslicedup(struct slice s)
{
    char *copy = xmalloc(s.len + 1);
    if (s.len)
        memcpy(copy, s.data, s.len);
    copy[s.len] = '\0';
    return copy;
}
