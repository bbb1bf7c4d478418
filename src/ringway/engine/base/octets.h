/* The classes of each octet, as bits (octets.pxd names them), and the searches that use SIMD. */
#pragma once
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static const uint8_t OCTETS[256] = {
     0,  0,  0,  0,  0,  0,  0,  0,  0,  4,  0,  0,  0,  0,  0,  0,
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
     4, 15,  6,  5, 15,  7, 15, 15, 14, 14, 15, 15,  6, 15, 15,  6,
    63, 63, 63, 63, 63, 63, 63, 63, 63, 63,  6, 14,  6, 14,  6,  6,
     6, 47, 47, 47, 47, 47, 47, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  6,  6,  6,  7, 15,
     7, 47, 47, 47, 47, 47, 47, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  6,  7,  6, 15,  0,
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,
};

/* The number of octets of at[0:length] before the first one that a field value must not contain: a control character
   other than HTAB (RFC 9110 5.5). In a valid head that is the CR at the end of the line, so one search finds the end
   and checks the value. */
static inline uint32_t value_run(const char *at, uint32_t length)
{
    uint32_t i = 0;
#ifdef __SSE2__
    const __m128i last_control = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8(0x09), del = _mm_set1_epi8(0x7f);
    for (; i + 16 <= length; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(at + i));
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, last_control), v);
        __m128i bad = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(v, tab), control), _mm_cmpeq_epi8(v, del));
        int mask = _mm_movemask_epi8(bad);
        if (mask)
            return i + (uint32_t)__builtin_ctz((unsigned)mask);
    }
#endif
    while (i < length && (OCTETS[(uint8_t)at[i]] & 4))
        i++;
    return i;
}

/* The number of octets of at[0:length] before the first one that a token must not contain (RFC 9110 5.6.2). Nearly all
   field names consist of letters and "-": SIMD checks these, 16 at a time. The table checks the rest. */
static inline uint32_t token_run(const char *at, uint32_t length)
{
    uint32_t i = 0;
#ifdef __SSE2__
    const __m128i a = _mm_set1_epi8('a'), last = _mm_set1_epi8(25), hyphen = _mm_set1_epi8('-');
    for (; i + 16 <= length; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(at + i));
        __m128i letter = _mm_sub_epi8(_mm_or_si128(v, _mm_set1_epi8(0x20)), a);
        __m128i good = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(letter, last), letter), _mm_cmpeq_epi8(v, hyphen));
        int mask = _mm_movemask_epi8(good) ^ 0xffff;
        if (mask) {
            i += (uint32_t)__builtin_ctz((unsigned)mask);
            break;
        }
    }
#endif
    while (i < length && (OCTETS[(uint8_t)at[i]] & 1))
        i++;
    return i;
}

/* The number of octets of at[0:length] before the first one that is "#" or not visible ASCII. */
static inline uint32_t target_run(const char *at, uint32_t length)
{
    uint32_t i = 0;
#ifdef __SSE2__
    for (; i + 16 <= length; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(at + i));
        __m128i bad = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('#')), _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f)));
        int mask = _mm_movemask_epi8(_mm_or_si128(bad, _mm_cmplt_epi8(v, _mm_set1_epi8(0x21))));
        if (mask)
            return i + (uint32_t)__builtin_ctz((unsigned)mask);
    }
#endif
    while (i < length && (OCTETS[(uint8_t)at[i]] & 2))
        i++;
    return i;
}

/* Bit i is set if at[i] is this octet. Reads 16 octets from `at`. */
static inline uint32_t octet_mask(const char *at, char octet)
{
#ifdef __SSE2__
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)at), _mm_set1_epi8(octet)));
#else
    uint32_t mask = 0;
    for (int i = 0; i < 16; i++)
        mask |= (uint32_t)(at[i] == octet) << i;
    return mask;
#endif
}
