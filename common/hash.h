/* Marks of texts (FNV-1a): whether a text is still the same. Tables have a keyed hash of their own (common/table.h).
 * Routers of an upgrade hand such marks to each other (router/auth/mark.h), so the function stays. */
#ifndef COMMON_HASH_H
#define COMMON_HASH_H

#include <stdint.h>

#include "common/slice.h"

#define HASH_SEED 1469598103934665603u

/* Goes on from an earlier hash, or from HASH_SEED. */
static inline uint64_t hash_add(uint64_t hash, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (uint8_t)bytes.data[i]) * 1099511628211u;
    return hash;
}

/* Of each text with its NUL, so that no two lists look alike. */
static inline uint64_t hash_texts(uint64_t hash, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hash = hash_add(hash, slice_of(texts[i], strlen(texts[i]) + 1));
    return hash;
}

#endif
