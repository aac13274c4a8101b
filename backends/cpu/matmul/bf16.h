/* bfloat16 as the upper half of an fp32: widening is exact, narrowing rounds to nearest-even and keeps NaN a NaN. */
#ifndef LLMRUN_CPU_BF16_H
#define LLMRUN_CPU_BF16_H

#include <stdint.h>
#include <string.h>

static inline float bf16_widen(uint16_t number)
{
    uint32_t bits = (uint32_t)number << 16;
    float wide;
    memcpy(&wide, &bits, sizeof(wide));
    return wide;
}

static inline uint16_t bf16_round(float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof(bits));
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x0040u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

#endif
