/* The one hash of tables in memory (FNV-1a). Nothing on disk or between processes depends on it. */
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

#endif
