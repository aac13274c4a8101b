/* vec.h with AVX2 and FMA: sixteen lanes are two registers. Included by vec.h only, which holds the contract. */
#ifndef LLMRUN_CPU_VEC_AVX2_H
#define LLMRUN_CPU_VEC_AVX2_H

#include <immintrin.h>

#define VEC_PARTS 2
#define VEC_WIDTH 8

#define VEC_INTRINSIC(name) _mm256_##name
#define PART_LOW(x)         _mm256_castps256_ps128(x)
#define PART_HIGH(x)        _mm256_extractf128_ps(x, 1)
#define PART_ODD(even, odd) _mm256_blend_epi32(even, odd, 0xaa)
#define VEC_LOW(v)          ((v).part[0])
#define VEC_HIGH(v)         ((v).part[1])
#define VEC_DOUBLE_FOUR(v)  (((v).part[0] + (v).part[2]) + ((v).part[1] + (v).part[3]))
#include "kernels/vec_x86.h"

struct mask16 {
    vec_i32 part[VEC_PARTS];
};

VEC_INLINE struct mask16 vec_first(int count)
{
    const vec_i32 lane = {0, 1, 2, 3, 4, 5, 6, 7};

    return (struct mask16){{lane < count, lane < count - 8}};
}

#define PART_TRUTH(comparison)  (comparison)
#define PART_SELECT(mask, a, b) _mm256_blendv_ps(b, a, (vec_f32)(mask))
#define PART_TO_INT(x)          (vec_i32) _mm256_cvtps_epi32(x)
#include "kernels/vec_masks.h"

VEC_INLINE struct f32x16 vec_load_tail(const float *p, int count, float other)
{
    struct mask16 first = vec_first(count);
    struct f32x16 v;

    VEC_EACH_PART(i) v.part[i] = _mm256_maskload_ps(p + VEC_WIDTH * i, (vec_bits)first.part[i]);
    return vec_select(first, v, vec_set(other));
}

VEC_INLINE void vec_store_tail(float *p, struct f32x16 v, int count)
{
    struct mask16 first = vec_first(count);

    VEC_EACH_PART(i) _mm256_maskstore_ps(p + VEC_WIDTH * i, (vec_bits)first.part[i], v.part[i]);
}

VEC_INLINE void vec_int_store_high(uint16_t *p, struct i32x16 v)
{
    __m256i packed = _mm256_packus_epi32((vec_bits)(v.part[0] >> 16), (vec_bits)(v.part[1] >> 16));

    _mm256_storeu_si256((__m256i *)p, _mm256_permute4x64_epi64(packed, 0xd8));
}

#endif
