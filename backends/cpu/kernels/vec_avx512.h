/* vec.h with AVX-512 F, BW, DQ and VL. Included by vec.h only, which holds the contract. */
#ifndef LLMRUN_CPU_VEC_AVX512_H
#define LLMRUN_CPU_VEC_AVX512_H

#include <immintrin.h>
#include <stdint.h>

struct f32x16 {
    __m512 v;
};

struct i32x16 {
    __m512i v;
};

struct f64x16 {
    __m512d low, high; /* lanes 0 to 7, lanes 8 to 15 */
};

struct mask16 {
    __mmask16 v;
};

#define VEC_F32(value)       ((struct f32x16){value})
#define VEC_I32(value)       ((struct i32x16){value})
#define VEC_MASK(value)      ((struct mask16){value})
#define VEC_TAIL_MASK(count) ((__mmask16)((1u << (count)) - 1u))

static inline struct f32x16 vec_set(float x)
{
    return VEC_F32(_mm512_set1_ps(x));
}

static inline struct i32x16 vec_int_set(uint32_t x)
{
    return VEC_I32(_mm512_set1_epi32((int)x));
}

static inline struct f32x16 vec_load(const float *p)
{
    return VEC_F32(_mm512_loadu_ps(p));
}

static inline void vec_store(float *p, struct f32x16 v)
{
    _mm512_storeu_ps(p, v.v);
}

static inline struct f32x16 vec_load_tail(const float *p, int count, float other)
{
    return VEC_F32(_mm512_mask_loadu_ps(_mm512_set1_ps(other), VEC_TAIL_MASK(count), p));
}

static inline void vec_store_tail(float *p, struct f32x16 v, int count)
{
    _mm512_mask_storeu_ps(p, VEC_TAIL_MASK(count), v.v);
}

static inline struct i32x16 vec_int_load(const void *p)
{
    return VEC_I32(_mm512_loadu_si512(p));
}

static inline void vec_int_store(void *p, struct i32x16 v)
{
    _mm512_storeu_si512(p, v.v);
}

static inline struct f32x16 vec_from_bits(struct i32x16 v)
{
    return VEC_F32(_mm512_castsi512_ps(v.v));
}

static inline struct i32x16 vec_to_bits(struct f32x16 v)
{
    return VEC_I32(_mm512_castps_si512(v.v));
}

static inline __m512 vec_bf16_widen(__m256i v)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
}

/* Not vcvtneps2bf16, which takes numbers below the normal range as zero. */
static inline __m256i vec_bf16_narrow(__m512 v)
{
    __m512i bits = _mm512_castps_si512(v);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 is_nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);

    rounded = _mm512_mask_or_epi32(rounded, is_nan, bits, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
}

static inline struct f32x16 vec_load_bf16(const uint16_t *p)
{
    return VEC_F32(vec_bf16_widen(_mm256_loadu_si256((const __m256i *)p)));
}

static inline void vec_store_bf16(uint16_t *p, struct f32x16 v)
{
    _mm256_storeu_si256((__m256i *)p, vec_bf16_narrow(v.v));
}

static inline struct f32x16 vec_load_bf16_tail(const uint16_t *p, int count, float other)
{
    __m512 v = vec_bf16_widen(_mm256_maskz_loadu_epi16(VEC_TAIL_MASK(count), p));

    return VEC_F32(_mm512_mask_blend_ps(VEC_TAIL_MASK(count), _mm512_set1_ps(other), v));
}

static inline void vec_store_bf16_tail(uint16_t *p, struct f32x16 v, int count)
{
    _mm256_mask_storeu_epi16(p, VEC_TAIL_MASK(count), vec_bf16_narrow(v.v));
}

static inline struct f32x16 vec_add(struct f32x16 a, struct f32x16 b)
{
    return VEC_F32(_mm512_add_ps(a.v, b.v));
}

static inline struct f32x16 vec_sub(struct f32x16 a, struct f32x16 b)
{
    return VEC_F32(_mm512_sub_ps(a.v, b.v));
}

static inline struct f32x16 vec_mul(struct f32x16 a, struct f32x16 b)
{
    return VEC_F32(_mm512_mul_ps(a.v, b.v));
}

static inline struct f32x16 vec_div(struct f32x16 a, struct f32x16 b)
{
    return VEC_F32(_mm512_div_ps(a.v, b.v));
}

static inline struct f32x16 vec_min(struct f32x16 a, struct f32x16 b)
{
    return VEC_F32(_mm512_min_ps(a.v, b.v));
}

static inline struct f32x16 vec_max(struct f32x16 a, struct f32x16 b)
{
    return VEC_F32(_mm512_max_ps(a.v, b.v));
}

static inline struct f32x16 vec_fma(struct f32x16 a, struct f32x16 b, struct f32x16 c)
{
    return VEC_F32(_mm512_fmadd_ps(a.v, b.v, c.v));
}

static inline struct f32x16 vec_fnma(struct f32x16 a, struct f32x16 b, struct f32x16 c)
{
    return VEC_F32(_mm512_fnmadd_ps(a.v, b.v, c.v));
}

static inline struct f32x16 vec_sqrt(struct f32x16 a)
{
    return VEC_F32(_mm512_sqrt_ps(a.v));
}

static inline struct f32x16 vec_neg(struct f32x16 a)
{
    return VEC_F32(_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f)));
}

static inline struct f32x16 vec_abs(struct f32x16 a)
{
    return VEC_F32(_mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.v));
}

static inline struct mask16 vec_lt(struct f32x16 a, struct f32x16 b)
{
    return VEC_MASK(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ));
}

static inline struct mask16 vec_le(struct f32x16 a, struct f32x16 b)
{
    return VEC_MASK(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ));
}

static inline struct mask16 vec_eq(struct f32x16 a, struct f32x16 b)
{
    return VEC_MASK(_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ));
}

/* x 2^n, rounded once: x in [0.5, 2], n a whole number from -250 to 250. A NaN in x gives a NaN. */
static inline struct f32x16 vec_scale(struct f32x16 x, struct f32x16 n)
{
    return VEC_F32(_mm512_scalef_ps(x.v, n.v));
}

/* m ? a : b */
static inline struct f32x16 vec_select(struct mask16 m, struct f32x16 a, struct f32x16 b)
{
    return VEC_F32(_mm512_mask_blend_ps(m.v, b.v, a.v));
}

static inline struct mask16 vec_mask_and(struct mask16 a, struct mask16 b)
{
    return VEC_MASK((__mmask16)(a.v & b.v));
}

static inline struct mask16 vec_mask_or(struct mask16 a, struct mask16 b)
{
    return VEC_MASK((__mmask16)(a.v | b.v));
}

static inline struct mask16 vec_mask_not(struct mask16 a)
{
    return VEC_MASK((__mmask16)~a.v);
}

static inline int vec_mask_any(struct mask16 a)
{
    return a.v != 0;
}

static inline struct i32x16 vec_int_add(struct i32x16 a, struct i32x16 b)
{
    return VEC_I32(_mm512_add_epi32(a.v, b.v));
}

static inline struct i32x16 vec_int_sub(struct i32x16 a, struct i32x16 b)
{
    return VEC_I32(_mm512_sub_epi32(a.v, b.v));
}

static inline struct i32x16 vec_int_and(struct i32x16 a, struct i32x16 b)
{
    return VEC_I32(_mm512_and_si512(a.v, b.v));
}

static inline struct i32x16 vec_int_or(struct i32x16 a, struct i32x16 b)
{
    return VEC_I32(_mm512_or_si512(a.v, b.v));
}

static inline struct i32x16 vec_int_xor(struct i32x16 a, struct i32x16 b)
{
    return VEC_I32(_mm512_xor_si512(a.v, b.v));
}

static inline struct i32x16 vec_int_shl(struct i32x16 a, int bits)
{
    return VEC_I32(_mm512_slli_epi32(a.v, (unsigned)bits));
}

static inline struct i32x16 vec_int_shr(struct i32x16 a, int bits)
{
    return VEC_I32(_mm512_srli_epi32(a.v, (unsigned)bits));
}

static inline struct i32x16 vec_int_sar(struct i32x16 a, int bits)
{
    return VEC_I32(_mm512_srai_epi32(a.v, (unsigned)bits));
}

/* a < b as unsigned numbers */
static inline struct mask16 vec_int_below(struct i32x16 a, struct i32x16 b)
{
    return VEC_MASK(_mm512_cmplt_epu32_mask(a.v, b.v));
}

/* The signed number, rounded to nearest even. */
static inline struct f32x16 vec_int_to_float(struct i32x16 a)
{
    return VEC_F32(_mm512_cvtepi32_ps(a.v));
}

/* The 64-bit product of unsigned numbers, as its low and its high half. */
static inline void vec_int_wide(struct i32x16 a, struct i32x16 b, struct i32x16 *low, struct i32x16 *high)
{
    __m512i even = _mm512_mul_epu32(a.v, b.v);
    __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a.v, 32), _mm512_srli_epi64(b.v, 32));

    low->v = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
    high->v = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
}

/* In each group of four lanes, the 4 x 4 matrix of v[row], lane is transposed. */
static inline void vec_int_transpose4(struct i32x16 v[4])
{
    __m512i a = _mm512_unpacklo_epi32(v[0].v, v[1].v), b = _mm512_unpacklo_epi32(v[2].v, v[3].v);
    __m512i c = _mm512_unpackhi_epi32(v[0].v, v[1].v), d = _mm512_unpackhi_epi32(v[2].v, v[3].v);

    v[0].v = _mm512_unpacklo_epi64(a, b);
    v[1].v = _mm512_unpackhi_epi64(a, b);
    v[2].v = _mm512_unpacklo_epi64(c, d);
    v[3].v = _mm512_unpackhi_epi64(c, d);
}

static inline float vec_sum(struct f32x16 v)
{
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v.v), _mm512_extractf32x8_ps(v.v, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

/* The largest lane; with a NaN among them the result is some lane or a NaN, the same on every instruction set. */
static inline float vec_maximum(struct f32x16 v)
{
    __m256 a = _mm256_max_ps(_mm512_castps512_ps256(v.v), _mm512_extractf32x8_ps(v.v, 1));
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

static inline struct f64x16 vec_double_zero(void)
{
    return (struct f64x16){_mm512_setzero_pd(), _mm512_setzero_pd()};
}

/* a + x x: the square of an fp32 number is exact in fp64, so only the addition rounds. */
static inline struct f64x16 vec_double_add_square(struct f64x16 a, struct f32x16 x)
{
    __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(x.v));
    __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x.v, 1));

    a.low = _mm512_fmadd_pd(low, low, a.low);
    a.high = _mm512_fmadd_pd(high, high, a.high);
    return a;
}

static inline double vec_double_sum(struct f64x16 v)
{
    __m512d a = _mm512_add_pd(v.low, v.high);
    __m256d b = _mm256_add_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
    __m128d c = _mm_add_pd(_mm256_castpd256_pd128(b), _mm256_extractf128_pd(b, 1));

    return _mm_cvtsd_f64(_mm_add_sd(c, _mm_unpackhi_pd(c, c)));
}

#endif
