/* Looking at sixteen bytes at a time, with SSE2; SIMD_BYTES is not defined on other machines, nor with SIMD_OFF. */
#ifndef COMMON_SIMD_H
#define COMMON_SIMD_H

#if defined __SSE2__ && !defined SIMD_OFF
#include <emmintrin.h>

#define SIMD_BYTES 16

static inline __m128i simd_load(const void *at)
{
    return _mm_loadu_si128((const __m128i *)at);
}

/* The tests flag a byte with all its bits. */
static inline __m128i simd_equal(__m128i bytes, char byte)
{
    return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte));
}

/* Bytes are signed here: those from 0x80 are below any ASCII. */
static inline __m128i simd_below(__m128i bytes, char limit)
{
    return _mm_cmplt_epi8(bytes, _mm_set1_epi8(limit));
}

/* Bit i of the mask is set if byte i has a flag in one of the three. */
static inline unsigned simd_any(__m128i a, __m128i b, __m128i c)
{
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(a, b), c));
}

/* Which of the sixteen bytes is the first flagged one; mask != 0. */
static inline unsigned simd_first(unsigned mask)
{
    return (unsigned)__builtin_ctz(mask);
}
#endif

#endif
