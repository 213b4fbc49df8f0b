/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cards of which the driver does not say otherwise put the check sequence behind each frame that they
 * receive: by zlib alone it would be a quarter of what a long frame costs.
 */
#include <zlib.h>

#include "net/net.h"

#ifdef __x86_64__
#include <immintrin.h>

enum { LANE = 16, LANES = 4, STRIDE = LANES * LANE };

/*
 * The method and its constants: V. Gopal and others, "Fast CRC Computation for Generic Polynomials Using
 * PCLMULQDQ Instruction" (Intel, 2009). The two halves of a lane, each multiplied with what the polynomial
 * leaves over of a distance, are together as good as the lane that far behind it. The distances are a stride
 * and a lane.
 */
#define BY_STRIDE _mm_set_epi64x(0x1C6E41596, 0x154442BD4)
#define BY_LANE   _mm_set_epi64x(0x0CCAA009E, 0x1751997D0)

__attribute__((target("pclmul"))) static __m128i fold(__m128i lane, __m128i distance, __m128i next)
{
    __m128i low = _mm_clmulepi64_si128(lane, distance, 0x00);
    __m128i high = _mm_clmulepi64_si128(lane, distance, 0x11);

    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

/* At least a stride: the whole lanes become one with the same remainder, which zlib finds as that of the
 * rest. */
__attribute__((target("pclmul"))) static uint32_t crc_by_folding(const uint8_t *data, size_t length)
{
    const __m128i *from = (const __m128i *)data, *end = from + length / LANE;
    __m128i lanes[LANES], last;
    uint32_t crc;

    for (int i = 0; i < LANES; i++)
        lanes[i] = _mm_loadu_si128(from++);
    lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128(-1)); /* the CRC begins with ones */
    while (end - from >= LANES)
        for (int i = 0; i < LANES; i++)
            lanes[i] = fold(lanes[i], BY_STRIDE, _mm_loadu_si128(from++));
    last = lanes[0];
    for (int i = 1; i < LANES; i++)
        last = fold(last, BY_LANE, lanes[i]);
    while (from < end)
        last = fold(last, BY_LANE, _mm_loadu_si128(from++));
    crc = crc32(UINT32_MAX, (const uint8_t *)&last, LANE); /* begins with zeros: the ones are in */
    return crc32(crc, (const uint8_t *)end, length % LANE);
}
#endif

uint32_t net_crc(const uint8_t *data, size_t length)
{
#ifdef __x86_64__
    if (length >= STRIDE && __builtin_cpu_supports("pclmul"))
        return ~crc_by_folding(data, length);
#endif
    return ~crc32(0, data, length);
}
