#include "router/etag.h"

#include <inttypes.h>
#include <stdio.h>

size_t etag_print(char out[ETAG_MAX], uint64_t uid, uint64_t start, uint64_t next, bool closed)
{
    int len =
        snprintf(out, ETAG_MAX, "\"%" PRIx64 ":%" PRIu64 ":%" PRIu64 "%s\"", uid, start, next, closed ? ":c" : "");
    return (size_t)len;
}

static struct slice skip_separators(struct slice list)
{
    while (list.len && (*list.data == ' ' || *list.data == '\t' || *list.data == ','))
        list = slice_of(list.data + 1, list.len - 1);
    return list;
}

bool etag_listed(struct slice list, struct slice etag)
{
    list = skip_separators(list);
    if (list.len && list.data[0] == '*')
        return true;
    while (list.len) {
        if (list.len > 2 && memcmp(list.data, "W/", 2) == 0)
            list = slice_of(list.data + 2, list.len - 2);
        if (list.data[0] != '"')
            return false;
        const char *end = list.len > 1 ? memchr(list.data + 1, '"', list.len - 1) : NULL;
        if (!end)
            return false;
        size_t len = (size_t)(end - list.data) + 1;
        if (slice_equal(slice_of(list.data, len), etag))
            return true;
        list = skip_separators(slice_of(list.data + len, list.len - len));
    }
    return false;
}
