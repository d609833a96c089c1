/* Copies of exactly their length on the heap, so that a sanitizer sees the first byte read past the end. */
#ifndef TESTS_UNIT_EXACT_H
#define TESTS_UNIT_EXACT_H

#include <stdint.h>
#include <stdlib.h>

#include "common/slice.h"

static inline struct slice exact_copy(struct slice s)
{
    char *copy = malloc(s.len ? s.len : 1);
    if (!copy)
        abort();
    if (s.len)
        memcpy(copy, s.data, s.len);
    return slice_of(copy, s.len);
}

static inline void exact_free(struct slice s)
{
    free((void *)(uintptr_t)s.data);
}

#endif
