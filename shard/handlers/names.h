/* Lists of names in frames: each name with a NUL behind it. */
#ifndef SHARD_HANDLERS_NAMES_H
#define SHARD_HANDLERS_NAMES_H

#include <string.h>

#include "common/buf.h"

static inline void names_add(struct buf *names, struct slice name)
{
    buf_add_slice(names, name);
    buf_add_byte(names, 0);
}

/* Takes the first name off a list that is not empty. */
static inline struct slice names_next(struct slice *names)
{
    const char *end = memchr(names->data, 0, names->len);
    size_t len = end ? (size_t)(end - names->data) : names->len;
    struct slice name = slice_of(names->data, len);
    *names = slice_from(*names, len + (end != NULL));
    return name;
}

#endif
