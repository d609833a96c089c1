/* Random numbers: secret ones, and those that only look random, for jitter, balance and names (xorshift64: whoever sees
 * one knows those before and after it). */
#ifndef COMMON_RANDOM_H
#define COMMON_RANDOM_H

#include <stdint.h>
#include <sys/random.h>

#include "common/log.h"

/* From the kernel: nobody can guess it. */
static inline uint64_t random_secret(void)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        fatal("getrandom");
    return number;
}

/* state: never zero. */
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
