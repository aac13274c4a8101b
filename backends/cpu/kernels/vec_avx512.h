/* vec.h with AVX-512 F, BW, DQ and VL. Included by vec.h only, which holds the contract. */
#ifndef LLMRUN_CPU_VEC_AVX512_H
#define LLMRUN_CPU_VEC_AVX512_H

#include <immintrin.h>

#define VEC_PARTS 1
#define VEC_WIDTH 16

#define VEC_INTRINSIC(name) _mm512_##name
#define PART_LOW(x)         _mm512_castps512_ps256(x)
#define PART_HIGH(x)        _mm512_extractf32x8_ps(x, 1)
#define PART_ODD(even, odd) _mm512_mask_blend_epi32(0xaaaa, even, odd)
#define VEC_LOW(v)          PART_LOW((v).part[0])
#define VEC_HIGH(v)         PART_HIGH((v).part[0])
#define VEC_DOUBLE_FOUR(v)  vec_double_four((v).part[0] + (v).part[1])

VEC_INLINE __m256d vec_double_four(__m512d eight)
{
    return _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
}
#include "kernels/vec_x86.h"

struct mask16 {
    __mmask16 bits;
};

#define VEC_MASK(value) ((struct mask16){(__mmask16)(value)})

VEC_INLINE struct mask16 vec_first(int count)
{
    return VEC_MASK((1u << count) - 1u);
}

#define VEC_COMPARE(name, predicate)                                                                                   \
    VEC_INLINE struct mask16 name(struct f32x16 a, struct f32x16 b)                                                    \
    {                                                                                                                  \
        return VEC_MASK(_mm512_cmp_ps_mask(a.part[0], b.part[0], predicate));                                          \
    }
VEC_COMPARE(vec_lt, _CMP_LT_OQ)
VEC_COMPARE(vec_le, _CMP_LE_OQ)
VEC_COMPARE(vec_eq, _CMP_EQ_OQ)
#undef VEC_COMPARE

VEC_INLINE struct mask16 vec_int_below(struct i32x16 a, struct i32x16 b)
{
    return VEC_MASK(_mm512_cmplt_epu32_mask((vec_bits)a.part[0], (vec_bits)b.part[0]));
}

VEC_INLINE struct mask16 vec_mask_and(struct mask16 a, struct mask16 b)
{
    return VEC_MASK(a.bits & b.bits);
}

VEC_INLINE struct f32x16 vec_select(struct mask16 m, struct f32x16 a, struct f32x16 b)
{
    return (struct f32x16){{_mm512_mask_blend_ps(m.bits, b.part[0], a.part[0])}};
}

VEC_INLINE struct f32x16 vec_scale(struct f32x16 x, struct f32x16 n)
{
    return (struct f32x16){{_mm512_scalef_ps(x.part[0], n.part[0])}};
}

VEC_INLINE struct f32x16 vec_load_tail(const float *p, int count, float other)
{
    return (struct f32x16){{_mm512_mask_loadu_ps(_mm512_set1_ps(other), vec_first(count).bits, p)}};
}

VEC_INLINE void vec_store_tail(float *p, struct f32x16 v, int count)
{
    _mm512_mask_storeu_ps(p, vec_first(count).bits, v.part[0]);
}

VEC_INLINE struct f32x16 vec_load_bf16_tail(const uint16_t *p, int count, float other)
{
    vec_u16 found = (vec_u16)_mm256_maskz_loadu_epi16(vec_first(count).bits, p);
    struct i32x16 v = {{PART_WIDEN(found) << 16}};

    return vec_select(vec_first(count), vec_from_bits(v), vec_set(other));
}

VEC_INLINE void vec_int_store_high(uint16_t *p, struct i32x16 v)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16((vec_bits)(v.part[0] >> 16)));
}

VEC_INLINE void vec_int_store_high_tail(uint16_t *p, struct i32x16 v, int count)
{
    _mm256_mask_storeu_epi16(p, vec_first(count).bits, _mm512_cvtepi32_epi16((vec_bits)(v.part[0] >> 16)));
}

#if defined(__AVX512BF16__)
/* sum + a b of both halves of each lane, which hold bf16, in the order and with the flushing of vdpbf16ps. */
VEC_INLINE struct f32x16 vec_add_pairs(struct i32x16 a, struct i32x16 b, struct f32x16 sum)
{
    return (struct f32x16){{_mm512_dpbf16_ps(sum.part[0], (__m512bh)a.part[0], (__m512bh)b.part[0])}};
}
#endif

#endif
