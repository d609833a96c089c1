/* Borrowed bytes. A slice never owns: it is valid as long as the buffer it points into. */
#ifndef COMMON_SLICE_H
#define COMMON_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct slice {
    const char *data;
    size_t len;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})

static inline struct slice slice_of(const char *data, size_t len)
{
    return (struct slice){data, len};
}

static inline struct slice slice_str(const char *text)
{
    return (struct slice){text, strlen(text)};
}

/* `len` bytes of s from `at` on; at + len is at most s.len. Nothing may have no address, and to add even zero to NULL
 * is undefined: so the address is moved only where there is somewhere to go. */
static inline struct slice slice_part(struct slice s, size_t at, size_t len)
{
    return slice_of(at ? s.data + at : s.data, len);
}

/* The rest of s behind its first n bytes, which are at most s.len. */
static inline struct slice slice_from(struct slice s, size_t n)
{
    return slice_part(s, n, s.len - n);
}

/* One past the last byte. */
static inline const char *slice_end(struct slice s)
{
    return slice_from(s, s.len).data;
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Equal but for the case of ASCII letters. */
static inline bool slice_alike(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.data, b.data, a.len) == 0);
}

/* By bytes, as SQLite orders BLOBs: below, at or above 0. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.data, b.data, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static inline bool slice_begins(struct slice s, struct slice with)
{
    return s.len >= with.len && (with.len == 0 || memcmp(s.data, with.data, with.len) == 0);
}

#endif
