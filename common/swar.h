/* Looking at eight bytes at a time. The tests flag a byte with its top bit; flags above the lowest one may be false, so
 * only the lowest is to be believed. */
#ifndef COMMON_SWAR_H
#define COMMON_SWAR_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define SWAR_ONES 0x0101010101010101u
#define SWAR_TOPS 0x8080808080808080u

/* The first byte is the lowest, on every machine. */
static inline uint64_t swar_load(const void *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return le64toh(word);
}

/* Flags bytes below limit (at most 0x80). */
static inline uint64_t swar_below(uint64_t word, uint8_t limit)
{
    return (word - SWAR_ONES * limit) & ~word & SWAR_TOPS;
}

static inline uint64_t swar_equal(uint64_t word, uint8_t byte)
{
    return swar_below(word ^ SWAR_ONES * byte, 1);
}

/* Which of the eight bytes is the first flagged one; flags != 0. */
static inline unsigned swar_first(uint64_t flags)
{
    return (unsigned)__builtin_ctzll(flags) / 8;
}

#endif
