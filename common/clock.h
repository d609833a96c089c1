/* Clocks: the time in milliseconds or microseconds. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_us_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Since some time; never goes back. */
static inline uint64_t clock_monotonic_us(void)
{
    return clock_us_of(CLOCK_MONOTONIC);
}

static inline uint64_t clock_monotonic_ms(void)
{
    return clock_monotonic_us() / 1000;
}

/* Since 1970; may be set. */
static inline uint64_t clock_unix_us(void)
{
    return clock_us_of(CLOCK_REALTIME);
}

static inline uint64_t clock_unix_ms(void)
{
    return clock_unix_us() / 1000;
}

#endif
