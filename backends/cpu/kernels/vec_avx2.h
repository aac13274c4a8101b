/* vec.h with AVX2 and FMA: sixteen lanes are two registers. Included by vec.h only, which holds the contract. */
#ifndef LLMRUN_CPU_VEC_AVX2_H
#define LLMRUN_CPU_VEC_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

struct f32x16 {
    __m256 low, high; /* lanes 0 to 7, lanes 8 to 15 */
};

struct i32x16 {
    __m256i low, high;
};

struct f64x16 {
    __m256d quarter[4];
};

struct mask16 {
    __m256 low, high; /* all bits of a lane, or none */
};

#define VEC_AVX2_BINARY(type, name, intrinsic)                                                                         \
    static inline struct type name(struct type a, struct type b)                                                       \
    {                                                                                                                  \
        return (struct type){intrinsic(a.low, b.low), intrinsic(a.high, b.high)};                                      \
    }
VEC_AVX2_BINARY(f32x16, vec_add, _mm256_add_ps)
VEC_AVX2_BINARY(f32x16, vec_sub, _mm256_sub_ps)
VEC_AVX2_BINARY(f32x16, vec_mul, _mm256_mul_ps)
VEC_AVX2_BINARY(f32x16, vec_div, _mm256_div_ps)
VEC_AVX2_BINARY(f32x16, vec_min, _mm256_min_ps)
VEC_AVX2_BINARY(f32x16, vec_max, _mm256_max_ps)
VEC_AVX2_BINARY(i32x16, vec_int_add, _mm256_add_epi32)
VEC_AVX2_BINARY(i32x16, vec_int_sub, _mm256_sub_epi32)
VEC_AVX2_BINARY(i32x16, vec_int_and, _mm256_and_si256)
VEC_AVX2_BINARY(i32x16, vec_int_or, _mm256_or_si256)
VEC_AVX2_BINARY(i32x16, vec_int_xor, _mm256_xor_si256)
VEC_AVX2_BINARY(mask16, vec_mask_and, _mm256_and_ps)
VEC_AVX2_BINARY(mask16, vec_mask_or, _mm256_or_ps)
#undef VEC_AVX2_BINARY

#define VEC_AVX2_COMPARE(name, predicate)                                                                              \
    static inline struct mask16 name(struct f32x16 a, struct f32x16 b)                                                 \
    {                                                                                                                  \
        return (struct mask16){_mm256_cmp_ps(a.low, b.low, predicate), _mm256_cmp_ps(a.high, b.high, predicate)};      \
    }
VEC_AVX2_COMPARE(vec_lt, _CMP_LT_OQ)
VEC_AVX2_COMPARE(vec_le, _CMP_LE_OQ)
VEC_AVX2_COMPARE(vec_eq, _CMP_EQ_OQ)
#undef VEC_AVX2_COMPARE

#define VEC_AVX2_SHIFT(name, intrinsic)                                                                                \
    static inline struct i32x16 name(struct i32x16 a, int bits)                                                        \
    {                                                                                                                  \
        return (struct i32x16){intrinsic(a.low, bits), intrinsic(a.high, bits)};                                       \
    }
VEC_AVX2_SHIFT(vec_int_shl, _mm256_slli_epi32)
VEC_AVX2_SHIFT(vec_int_shr, _mm256_srli_epi32)
VEC_AVX2_SHIFT(vec_int_sar, _mm256_srai_epi32)
#undef VEC_AVX2_SHIFT

static inline struct f32x16 vec_set(float x)
{
    return (struct f32x16){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}

static inline struct i32x16 vec_int_set(uint32_t x)
{
    return (struct i32x16){_mm256_set1_epi32((int)x), _mm256_set1_epi32((int)x)};
}

static inline struct f32x16 vec_load(const float *p)
{
    return (struct f32x16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

static inline void vec_store(float *p, struct f32x16 v)
{
    _mm256_storeu_ps(p, v.low);
    _mm256_storeu_ps(p + 8, v.high);
}

static inline __m256i vec_tail_mask(int count)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline struct f32x16 vec_load_tail(const float *p, int count, float other)
{
    __m256i low = vec_tail_mask(count), high = vec_tail_mask(count - 8);
    __m256 rest = _mm256_set1_ps(other);

    return (struct f32x16){_mm256_blendv_ps(rest, _mm256_maskload_ps(p, low), _mm256_castsi256_ps(low)),
                           _mm256_blendv_ps(rest, _mm256_maskload_ps(p + 8, high), _mm256_castsi256_ps(high))};
}

static inline void vec_store_tail(float *p, struct f32x16 v, int count)
{
    _mm256_maskstore_ps(p, vec_tail_mask(count), v.low);
    _mm256_maskstore_ps(p + 8, vec_tail_mask(count - 8), v.high);
}

static inline struct i32x16 vec_int_load(const void *p)
{
    const __m256i *half = p;

    return (struct i32x16){_mm256_loadu_si256(half), _mm256_loadu_si256(half + 1)};
}

static inline void vec_int_store(void *p, struct i32x16 v)
{
    __m256i *half = p;

    _mm256_storeu_si256(half, v.low);
    _mm256_storeu_si256(half + 1, v.high);
}

static inline struct f32x16 vec_from_bits(struct i32x16 v)
{
    return (struct f32x16){_mm256_castsi256_ps(v.low), _mm256_castsi256_ps(v.high)};
}

static inline struct i32x16 vec_to_bits(struct f32x16 v)
{
    return (struct i32x16){_mm256_castps_si256(v.low), _mm256_castps_si256(v.high)};
}

static inline __m256 vec_bf16_widen(__m128i v)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16));
}

/* Eight lanes to bf16 in the low halves of eight 32-bit lanes. */
static inline __m256i vec_bf16_round(__m256 v)
{
    __m256i bits = _mm256_castps_si256(v);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));

    return _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, is_nan), 16);
}

static inline struct f32x16 vec_load_bf16(const uint16_t *p)
{
    const __m128i *half = (const __m128i *)p;

    return (struct f32x16){vec_bf16_widen(_mm_loadu_si128(half)), vec_bf16_widen(_mm_loadu_si128(half + 1))};
}

static inline void vec_store_bf16(uint16_t *p, struct f32x16 v)
{
    __m256i packed = _mm256_packus_epi32(vec_bf16_round(v.low), vec_bf16_round(v.high));

    _mm256_storeu_si256((__m256i *)p, _mm256_permute4x64_epi64(packed, 0xd8));
}

static inline struct f32x16 vec_load_bf16_tail(const uint16_t *p, int count, float other)
{
    __m256i low = vec_tail_mask(count), high = vec_tail_mask(count - 8);
    uint16_t lanes[16] = {0};
    struct f32x16 v;

    memcpy(lanes, p, (size_t)count * sizeof lanes[0]);
    v = vec_load_bf16(lanes);
    v.low = _mm256_blendv_ps(_mm256_set1_ps(other), v.low, _mm256_castsi256_ps(low));
    v.high = _mm256_blendv_ps(_mm256_set1_ps(other), v.high, _mm256_castsi256_ps(high));
    return v;
}

static inline void vec_store_bf16_tail(uint16_t *p, struct f32x16 v, int count)
{
    uint16_t lanes[16];

    vec_store_bf16(lanes, v);
    memcpy(p, lanes, (size_t)count * sizeof lanes[0]);
}

static inline struct f32x16 vec_fma(struct f32x16 a, struct f32x16 b, struct f32x16 c)
{
    return (struct f32x16){_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}

static inline struct f32x16 vec_fnma(struct f32x16 a, struct f32x16 b, struct f32x16 c)
{
    return (struct f32x16){_mm256_fnmadd_ps(a.low, b.low, c.low), _mm256_fnmadd_ps(a.high, b.high, c.high)};
}

static inline struct f32x16 vec_sqrt(struct f32x16 a)
{
    return (struct f32x16){_mm256_sqrt_ps(a.low), _mm256_sqrt_ps(a.high)};
}

static inline struct f32x16 vec_neg(struct f32x16 a)
{
    __m256 sign = _mm256_set1_ps(-0.0f);

    return (struct f32x16){_mm256_xor_ps(a.low, sign), _mm256_xor_ps(a.high, sign)};
}

static inline struct f32x16 vec_abs(struct f32x16 a)
{
    __m256 sign = _mm256_set1_ps(-0.0f);

    return (struct f32x16){_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}

/* x 2^n, rounded once: x in [0.5, 2], n a whole number from -250 to 250. A NaN in x gives a NaN. */
static inline struct f32x16 vec_scale(struct f32x16 x, struct f32x16 n)
{
    struct i32x16 whole = {_mm256_cvtps_epi32(n.low), _mm256_cvtps_epi32(n.high)};
    struct i32x16 first = vec_int_sar(whole, 1);
    struct i32x16 second = vec_int_sub(whole, first);

    first = vec_int_shl(vec_int_add(first, vec_int_set(127)), 23);
    second = vec_int_shl(vec_int_add(second, vec_int_set(127)), 23);
    return vec_mul(vec_mul(x, vec_from_bits(first)), vec_from_bits(second)); /* the first product is exact */
}

/* m ? a : b */
static inline struct f32x16 vec_select(struct mask16 m, struct f32x16 a, struct f32x16 b)
{
    return (struct f32x16){_mm256_blendv_ps(b.low, a.low, m.low), _mm256_blendv_ps(b.high, a.high, m.high)};
}

static inline struct mask16 vec_mask_not(struct mask16 a)
{
    __m256 ones = _mm256_castsi256_ps(_mm256_set1_epi32(-1));

    return (struct mask16){_mm256_xor_ps(a.low, ones), _mm256_xor_ps(a.high, ones)};
}

static inline int vec_mask_any(struct mask16 a)
{
    return _mm256_movemask_ps(_mm256_or_ps(a.low, a.high)) != 0;
}

/* a < b as unsigned numbers */
static inline struct mask16 vec_int_below(struct i32x16 a, struct i32x16 b)
{
    __m256i top = _mm256_set1_epi32(INT32_MIN);

    return (struct mask16){
        _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_xor_si256(b.low, top), _mm256_xor_si256(a.low, top))),
        _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_xor_si256(b.high, top), _mm256_xor_si256(a.high, top)))};
}

/* The signed number, rounded to nearest even. */
static inline struct f32x16 vec_int_to_float(struct i32x16 a)
{
    return (struct f32x16){_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)};
}

static inline void vec_wide_half(__m256i a, __m256i b, __m256i *low, __m256i *high)
{
    __m256i even = _mm256_mul_epu32(a, b);
    __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));

    *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
    *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
}

/* The 64-bit product of unsigned numbers, as its low and its high half. */
static inline void vec_int_wide(struct i32x16 a, struct i32x16 b, struct i32x16 *low, struct i32x16 *high)
{
    struct i32x16 l, h;

    vec_wide_half(a.low, b.low, &l.low, &h.low);
    vec_wide_half(a.high, b.high, &l.high, &h.high);
    *low = l;
    *high = h;
}

static inline void vec_transpose_half(__m256i v[4])
{
    __m256i a = _mm256_unpacklo_epi32(v[0], v[1]), b = _mm256_unpacklo_epi32(v[2], v[3]);
    __m256i c = _mm256_unpackhi_epi32(v[0], v[1]), d = _mm256_unpackhi_epi32(v[2], v[3]);

    v[0] = _mm256_unpacklo_epi64(a, b);
    v[1] = _mm256_unpackhi_epi64(a, b);
    v[2] = _mm256_unpacklo_epi64(c, d);
    v[3] = _mm256_unpackhi_epi64(c, d);
}

/* In each group of four lanes, the 4 x 4 matrix of v[row], lane is transposed. */
static inline void vec_int_transpose4(struct i32x16 v[4])
{
    __m256i low[4] = {v[0].low, v[1].low, v[2].low, v[3].low};
    __m256i high[4] = {v[0].high, v[1].high, v[2].high, v[3].high};

    vec_transpose_half(low);
    vec_transpose_half(high);
    for (int row = 0; row < 4; row++)
        v[row] = (struct i32x16){low[row], high[row]};
}

static inline float vec_sum(struct f32x16 v)
{
    __m256 a = _mm256_add_ps(v.low, v.high);
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

/* The largest lane; with a NaN among them the result is some lane or a NaN, the same on every instruction set. */
static inline float vec_maximum(struct f32x16 v)
{
    __m256 a = _mm256_max_ps(v.low, v.high);
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

static inline struct f64x16 vec_double_zero(void)
{
    __m256d zero = _mm256_setzero_pd();

    return (struct f64x16){{zero, zero, zero, zero}};
}

/* a + x x: the square of an fp32 number is exact in fp64, so only the addition rounds. */
static inline struct f64x16 vec_double_add_square(struct f64x16 a, struct f32x16 x)
{
    __m256d part[4] = {_mm256_cvtps_pd(_mm256_castps256_ps128(x.low)), _mm256_cvtps_pd(_mm256_extractf128_ps(x.low, 1)),
                       _mm256_cvtps_pd(_mm256_castps256_ps128(x.high)),
                       _mm256_cvtps_pd(_mm256_extractf128_ps(x.high, 1))};

    for (int i = 0; i < 4; i++)
        a.quarter[i] = _mm256_fmadd_pd(part[i], part[i], a.quarter[i]);
    return a;
}

static inline double vec_double_sum(struct f64x16 v)
{
    __m256d b = _mm256_add_pd(_mm256_add_pd(v.quarter[0], v.quarter[2]), _mm256_add_pd(v.quarter[1], v.quarter[3]));
    __m128d c = _mm_add_pd(_mm256_castpd256_pd128(b), _mm256_extractf128_pd(b, 1));

    return _mm_cvtsd_f64(_mm_add_sd(c, _mm_unpackhi_pd(c, c)));
}

#endif
