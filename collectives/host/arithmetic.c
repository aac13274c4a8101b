#include "arithmetic.h"

#include <string.h>

int64_t arithmetic_width(uint32_t dtype)
{
    return dtype == LLMRUN_F32 || dtype == LLMRUN_U32 ? 4 : dtype == LLMRUN_BF16 || dtype == LLMRUN_F16 ? 2 : 0;
}

static inline float from_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t to_bits(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float bf16_decode(uint16_t bits)
{
    return from_bits((uint32_t)bits << 16);
}

static inline uint16_t bf16_encode(float value)
{
    const uint32_t bits = to_bits(value);

    return (uint16_t)(value != value ? (bits >> 16 | 0x40) : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* 5 bits of exponent, bias 15; f32 has bias 127. */
static inline float f16_decode(uint16_t half)
{
    const uint32_t size = (uint32_t)(half & 0x7fff) << 13, sign = (uint32_t)(half & 0x8000) << 16;
    const float value = from_bits(size) * 0x1p112F; /* exact, of subnormal numbers too */

    return from_bits(sign | (size >= 0x0f800000 ? size | 0x7f800000 : to_bits(value)));
}

static inline uint16_t f16_encode(float value)
{
    const uint32_t bits = to_bits(value), size = bits & 0x7fffffff, sign = bits >> 16 & 0x8000;

    if (size > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (size >= to_bits(65520.0F))
        return (uint16_t)(sign | 0x7c00);
    if (size < to_bits(0x1p-14F)) /* subnormal: beside 0.5 the last bit of an f32 is 2^-24, as that of such an f16 */
        return (uint16_t)(sign | (to_bits(from_bits(size) + 0.5F) - to_bits(0.5F)));
    return (uint16_t)(sign | ((size + 0xfff + (size >> 13 & 1) - ((127U - 15) << 23)) >> 13));
}

static inline float sum(float a, float b)
{
    return a + b;
}

static inline float most(float a, float b)
{
    return a > b || a != a ? a : b;
}

static inline uint32_t u32_sum(uint32_t a, uint32_t b)
{
    return a + b;
}

static inline uint32_t u32_most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static inline float f32_same(float value)
{
    return value;
}

static inline uint32_t u32_same(uint32_t value)
{
    return value;
}

/* Copies in and out, for elements need not be aligned; compilers make plain vector loops of them. */
#define JOIN(name, type, decode, encode, join)                                                                         \
    static void name(char *to, const char *a, const char *b, int64_t bytes)                                            \
    {                                                                                                                  \
        for (int64_t i = 0; i < bytes; i += (int64_t)sizeof(type)) {                                                   \
            type x, y;                                                                                                 \
                                                                                                                       \
            memcpy(&x, a + i, sizeof x);                                                                               \
            memcpy(&y, b + i, sizeof y);                                                                               \
            x = encode(join(decode(x), decode(y)));                                                                    \
            memcpy(to + i, &x, sizeof x);                                                                              \
        }                                                                                                              \
    }

JOIN(f32_add, float, f32_same, f32_same, sum)
JOIN(f32_max, float, f32_same, f32_same, most)
JOIN(u32_add, uint32_t, u32_same, u32_same, u32_sum)
JOIN(u32_max, uint32_t, u32_same, u32_same, u32_most)
JOIN(bf16_add, uint16_t, bf16_decode, bf16_encode, sum)
JOIN(bf16_max, uint16_t, bf16_decode, bf16_encode, most)
JOIN(f16_add, uint16_t, f16_decode, f16_encode, sum)
JOIN(f16_max, uint16_t, f16_decode, f16_encode, most)

void arithmetic_join(uint32_t dtype, uint32_t operation, void *to, const void *a, const void *b, int64_t bytes)
{
    const bool adds = operation == LLMRUN_REDUCE_SUM;

    switch (dtype) {
    case LLMRUN_F32:
        (adds ? f32_add : f32_max)(to, a, b, bytes);
        break;
    case LLMRUN_U32:
        (adds ? u32_add : u32_max)(to, a, b, bytes);
        break;
    case LLMRUN_BF16:
        (adds ? bf16_add : bf16_max)(to, a, b, bytes);
        break;
    default:
        (adds ? f16_add : f16_max)(to, a, b, bytes);
        break;
    }
}
