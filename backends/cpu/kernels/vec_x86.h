/* What vectors of x86 do alike, whose registers are of 256 or 512 bits. Included by vec_avx2.h and vec_avx512.h, which
 * define before it VEC_PARTS, VEC_WIDTH (vec_parts.h) and
 *
 *   VEC_INTRINSIC(name)              the intrinsic of that name for whole registers
 *   PART_LOW(x), PART_HIGH(x)        the halves of a register of fp32
 *   PART_ODD(even, odd)              the lanes of both in turn, as 32-bit integers
 *   VEC_LOW(v), VEC_HIGH(v)          lanes 0 to 7 and 8 to 15 of an f32x16, as __m256
 *   VEC_DOUBLE_FOUR(v)               the sum of an f64x16's lanes j, j + 4, j + 8, j + 12 for j < 4, as __m256d */
#ifndef LLMRUN_CPU_VEC_X86_H
#define LLMRUN_CPU_VEC_X86_H

#include <stdint.h>
#include <string.h>

typedef float vec_f32 __attribute__((vector_size(4 * VEC_WIDTH)));
typedef uint32_t vec_u32 __attribute__((vector_size(4 * VEC_WIDTH)));
typedef int32_t vec_i32 __attribute__((vector_size(4 * VEC_WIDTH)));
typedef uint16_t vec_u16 __attribute__((vector_size(2 * VEC_WIDTH)));
typedef double vec_f64 __attribute__((vector_size(4 * VEC_WIDTH)));
typedef long long vec_bits __attribute__((vector_size(4 * VEC_WIDTH))); /* what intrinsics take for integers */
typedef long long vec_half_bits __attribute__((vector_size(2 * VEC_WIDTH)));

#define PART_SET(x)        VEC_INTRINSIC(set1_ps)(x)
#define PART_SQRT(a)       VEC_INTRINSIC(sqrt_ps)(a)
#define PART_MIN(a, b)     VEC_INTRINSIC(min_ps)(a, b)
#define PART_MAX(a, b)     VEC_INTRINSIC(max_ps)(a, b)
#define PART_FMA(a, b, c)  VEC_INTRINSIC(fmadd_ps)(a, b, c)
#define PART_FNMA(a, b, c) VEC_INTRINSIC(fnmadd_ps)(a, b, c)
#define PART_TO_FLOAT(a)   VEC_INTRINSIC(cvtepi32_ps)((vec_bits)(a))
#define PART_BITS(x)       ((vec_u32)(x))
#define PART_FLOAT(x)      ((vec_f32)(x))
#define PART_WIDEN(a)      ((vec_u32)VEC_INTRINSIC(cvtepu16_epi32)((vec_half_bits)(a)))
#include "kernels/vec_parts.h"

struct f64x16 {
    vec_f64 part[2 * VEC_PARTS];
};

VEC_INLINE void vec_int_wide(struct i32x16 a, struct i32x16 b, struct i32x16 *low, struct i32x16 *high)
{
    VEC_EACH_PART(i)
    {
        vec_bits x = (vec_bits)a.part[i], y = (vec_bits)b.part[i];
        vec_bits even = VEC_INTRINSIC(mul_epu32)(x, y);
        vec_bits odd = VEC_INTRINSIC(mul_epu32)(VEC_INTRINSIC(srli_epi64)(x, 32), VEC_INTRINSIC(srli_epi64)(y, 32));

        low->part[i] = (vec_u32)PART_ODD(even, VEC_INTRINSIC(slli_epi64)(odd, 32));
        high->part[i] = (vec_u32)PART_ODD(VEC_INTRINSIC(srli_epi64)(even, 32), odd);
    }
}

VEC_INLINE void vec_int_transpose4(struct i32x16 v[4])
{
    VEC_EACH_PART(i)
    {
        vec_bits row[4] = {(vec_bits)v[0].part[i], (vec_bits)v[1].part[i], (vec_bits)v[2].part[i],
                           (vec_bits)v[3].part[i]};
        vec_bits a = VEC_INTRINSIC(unpacklo_epi32)(row[0], row[1]), b = VEC_INTRINSIC(unpacklo_epi32)(row[2], row[3]);
        vec_bits c = VEC_INTRINSIC(unpackhi_epi32)(row[0], row[1]), d = VEC_INTRINSIC(unpackhi_epi32)(row[2], row[3]);

        v[0].part[i] = (vec_u32)VEC_INTRINSIC(unpacklo_epi64)(a, b);
        v[1].part[i] = (vec_u32)VEC_INTRINSIC(unpackhi_epi64)(a, b);
        v[2].part[i] = (vec_u32)VEC_INTRINSIC(unpacklo_epi64)(c, d);
        v[3].part[i] = (vec_u32)VEC_INTRINSIC(unpackhi_epi64)(c, d);
    }
}

VEC_INLINE float vec_sum(struct f32x16 v)
{
    __m256 a = _mm256_add_ps(VEC_LOW(v), VEC_HIGH(v));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

VEC_INLINE float vec_maximum(struct f32x16 v)
{
    __m256 a = _mm256_max_ps(VEC_LOW(v), VEC_HIGH(v));
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

VEC_INLINE struct f64x16 vec_double_add_square(struct f64x16 a, struct f32x16 x)
{
    VEC_EACH_PART(i)
    {
        vec_f64 low = VEC_INTRINSIC(cvtps_pd)(PART_LOW(x.part[i]));
        vec_f64 high = VEC_INTRINSIC(cvtps_pd)(PART_HIGH(x.part[i]));

        a.part[2 * i] = VEC_INTRINSIC(fmadd_pd)(low, low, a.part[2 * i]);
        a.part[2 * i + 1] = VEC_INTRINSIC(fmadd_pd)(high, high, a.part[2 * i + 1]);
    }
    return a;
}

VEC_INLINE double vec_double_sum(struct f64x16 v)
{
    __m256d four = VEC_DOUBLE_FOUR(v);
    __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));

    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

#endif
