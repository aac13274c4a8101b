/* vec.h in plain C: what each operation means, a lane at a time. Included by vec.h only, which holds the contract. */
#ifndef LLMRUN_CPU_VEC_PLAIN_H
#define LLMRUN_CPU_VEC_PLAIN_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define VEC_PARTS 16
#define VEC_WIDTH 1

typedef float vec_f32;
typedef uint32_t vec_u32;
typedef int32_t vec_i32;
typedef uint16_t vec_u16;

VEC_INLINE uint32_t vec_number_bits(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

VEC_INLINE float vec_number(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

#define PART_BITS(x)       vec_number_bits(x)
#define PART_FLOAT(x)      vec_number(x)
#define PART_SET(x)        (x)
#define PART_SQRT(a)       sqrtf(a)
#define PART_MIN(a, b)     ((a) < (b) ? (a) : (b))
#define PART_MAX(a, b)     ((a) > (b) ? (a) : (b))
#define PART_FMA(a, b, c)  fmaf(a, b, c)
#define PART_FNMA(a, b, c) fmaf(-(a), b, c)
#define PART_TO_FLOAT(a)   ((float)(a))
#define PART_WIDEN(a)      ((uint32_t)(a))
#include "kernels/vec_parts.h"

struct f64x16 {
    double part[16];
};

struct mask16 {
    vec_i32 part[16];
};

/* Not a conversion, which nobody defines for a NaN: with 1.5 * 2^23 added, the whole number stands in the low bits. */
VEC_INLINE int32_t vec_whole(float x)
{
    return (int32_t)(vec_number_bits(x + 12582912.0f) - 0x4b400000u);
}

VEC_INLINE struct mask16 vec_first(int count)
{
    struct mask16 m;

    VEC_EACH_PART(i) m.part[i] = -(i < count);
    return m;
}

#define PART_TRUTH(comparison) (-(comparison))
#define PART_SELECT(mask, a, b)                                                                                        \
    vec_number((vec_number_bits(a) & (uint32_t)(mask)) | (vec_number_bits(b) & ~(uint32_t)(mask)))
#define PART_TO_INT(x) vec_whole(x)
#include "kernels/vec_masks.h"

VEC_INLINE struct f32x16 vec_load_tail(const float *p, int count, float other)
{
    struct f32x16 v = vec_set(other);

    memcpy(v.part, p, (size_t)count * sizeof v.part[0]);
    return v;
}

VEC_INLINE void vec_store_tail(float *p, struct f32x16 v, int count)
{
    memcpy(p, v.part, (size_t)count * sizeof v.part[0]);
}

VEC_INLINE void vec_int_store_high(uint16_t *p, struct i32x16 v)
{
    VEC_EACH_PART(i) p[i] = (uint16_t)(v.part[i] >> 16);
}

VEC_INLINE void vec_int_wide(struct i32x16 a, struct i32x16 b, struct i32x16 *low, struct i32x16 *high)
{
    VEC_EACH_PART(i)
    {
        uint64_t product = (uint64_t)a.part[i] * b.part[i];

        low->part[i] = (uint32_t)product;
        high->part[i] = (uint32_t)(product >> 32);
    }
}

VEC_INLINE void vec_int_transpose4(struct i32x16 v[4])
{
    struct i32x16 t[4];

    for (int row = 0; row < 4; row++)
        VEC_EACH_PART(i) t[row].part[i] = v[i % 4].part[i / 4 * 4 + row];
    memcpy(v, t, sizeof t);
}

VEC_INLINE float vec_sum(struct f32x16 v)
{
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            v.part[i] = v.part[i] + v.part[i + half];
    return v.part[0];
}

VEC_INLINE float vec_maximum(struct f32x16 v)
{
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            v.part[i] = PART_MAX(v.part[i], v.part[i + half]);
    return v.part[0];
}

VEC_INLINE struct f64x16 vec_double_add_square(struct f64x16 a, struct f32x16 x)
{
    VEC_EACH_PART(i) a.part[i] += (double)x.part[i] * (double)x.part[i];
    return a;
}

VEC_INLINE double vec_double_sum(struct f64x16 v)
{
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            v.part[i] = v.part[i] + v.part[i + half];
    return v.part[0];
}

#endif
