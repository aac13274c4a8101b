/* Packing of panels (gemm_kernel.h), written on sixteen lanes; compiled by each tiles_*.c for its instruction set. */
#ifndef LLMRUN_CPU_PACK_H
#define LLMRUN_CPU_PACK_H

#include <string.h>

#include "kernels/vec.h"
#include "matmul/gemm_kernel.h"

/* Sixteen lanes of one operand along k. Lanes that do not exist read the zeros over and over. */
struct pack_lanes {
    const char *at[VEC_LANES];
    int64_t advance[VEC_LANES]; /* bytes for 16 bytes of k: 16, or 0 */
};

#define PACK_AHEAD 8 /* elements of k */

static const uint32_t pack_zeros[4];

/* Sixteen bytes of four lanes, one after the other. */
static inline struct i32x16 pack_four(const char *lane0, const char *lane1, const char *lane2, const char *lane3)
{
    const __m128i *q0 = (const __m128i *)lane0, *q1 = (const __m128i *)lane1;
    const __m128i *q2 = (const __m128i *)lane2, *q3 = (const __m128i *)lane3;
#if defined(__AVX512F__)
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128(q0));

    v = _mm512_inserti32x4(v, _mm_loadu_si128(q1), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128(q2), 2);
    v = _mm512_inserti32x4(v, _mm_loadu_si128(q3), 3);
    return (struct i32x16){{(vec_u32)v}};
#else
    __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(q0)), _mm_loadu_si128(q1), 1);
    __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(q2)), _mm_loadu_si128(q3), 1);

    return (struct i32x16){{(vec_u32)low, (vec_u32)high}};
#endif
}

/* Four words of k of each lane, as v[j] = word j of all lanes. */
static inline void pack_quad(struct pack_lanes *lanes, struct i32x16 v[4])
{
    for (int r = 0; r < 4; r++)
        v[r] = pack_four(lanes->at[r], lanes->at[4 + r], lanes->at[8 + r], lanes->at[12 + r]);
    for (int lane = 0; lane < VEC_LANES; lane++)
        lanes->at[lane] += lanes->advance[lane];
    vec_int_transpose4(v);
}

/* The same where all `count` lanes (14 or 16) exist, `stride` bytes apart. */
static inline void pack_quad_regular(const char *at, int64_t stride, const int count, struct i32x16 v[4])
{
    const char *at4 = at + 4 * stride, *at8 = at + 8 * stride, *at12 = at + 12 * stride;
    for (int r = 0; r < 4; r++) {
        const int last = 12 + r < count ? r : r - 2;
        v[r] = pack_four(at + r * stride, at4 + r * stride, at8 + r * stride, at12 + last * stride);
    }
    vec_int_transpose4(v);
}

static inline void pack_store(uint32_t *to, struct i32x16 v, int lanes)
{
    struct f32x16 bits = vec_from_bits(v);
    vec_store_part((float *)to, bits, lanes);
}

/* Stores the words of one unit of k. Returns where the next unit goes. */
static inline uint32_t *pack_emit(enum gemm_unit unit, uint32_t *to, struct i32x16 v, int lanes, int width)
{
    if (unit != GEMM_UNIT_WIDE) {
        pack_store(to, v, lanes);
        return to + width;
    }
    pack_store(to, vec_int_and(v, vec_int_set(0xffff0000u)), lanes);
    pack_store(to + width, vec_int_shl(v, 16), lanes);
    return to + 2 * width;
}

static inline uint32_t pack_word(enum gemm_unit unit, const struct gemm_panels *panels, int64_t lane, int64_t k)
{
    int64_t at = lane * panels->lane_stride + k * panels->k_stride;
    if (unit == GEMM_UNIT_F32)
        return ((const uint32_t *)panels->source)[at];
    const uint16_t *pair = (const uint16_t *)panels->source + at;
    return (k + 1 < panels->k ? (uint32_t)pair[panels->k_stride] << 16 : 0) | pair[0];
}

/* The panel that starts at `first`, any strides, one number at a time, from element k on. */
static inline void pack_slow(enum gemm_unit unit, const struct gemm_panels *panels, int64_t first, int64_t k,
                             uint32_t *to)
{
    int width = panels->width;
    for (; k < panels->k; k += unit == GEMM_UNIT_F32 ? 1 : 2) {
        for (int lane = 0; lane < width; lane++) {
            uint32_t word = first + lane < panels->lanes ? pack_word(unit, panels, first + lane, k) : 0;
            to[lane] = unit == GEMM_UNIT_WIDE ? word & 0xffff0000u : word;
            if (unit == GEMM_UNIT_WIDE)
                to[width + lane] = word << 16;
        }
        to += unit == GEMM_UNIT_WIDE ? 2 * width : width;
    }
}

/* `quads` quads of some lanes that all exist; `count` is a constant in each caller. */
static inline __attribute__((always_inline)) void pack_regular(enum gemm_unit unit, const char *from, int64_t stride,
                                                               const int count, int64_t quads, uint32_t *at, int width)
{
    for (int64_t quad = 0; quad < quads; quad++, from += 16) {
        struct i32x16 v[4];
        pack_quad_regular(from, stride, count, v);
        for (int j = 0; j < 4; j++)
            at = pack_emit(unit, at, v[j], count, width);
    }
}

/* The panel that starts at `first`, k side by side in memory: sixteen lanes and four words at a time are turned over.
 */
static inline void pack_along_k(enum gemm_unit unit, const struct gemm_panels *panels, int64_t first, uint32_t *to)
{
    int64_t bytes = unit == GEMM_UNIT_F32 ? 4 : 2, unit_k = unit == GEMM_UNIT_F32 ? 1 : 2;
    int64_t unit_words = (int64_t)panels->width * (unit == GEMM_UNIT_WIDE ? 2 : 1);
    int64_t quads = panels->k / (4 * unit_k);
    for (int part = 0; part < panels->width; part += VEC_LANES) {
        int here = vec_lanes_left(panels->width, part);
        const char *from = (const char *)panels->source + (first + part) * panels->lane_stride * bytes;
        if (first + part + here <= panels->lanes && (here == 14 || here == VEC_LANES)) {
            if (here == 14)
                pack_regular(unit, from, panels->lane_stride * bytes, 14, quads, to + part, panels->width);
            else
                pack_regular(unit, from, panels->lane_stride * bytes, VEC_LANES, quads, to + part, panels->width);
            continue;
        }
        struct pack_lanes lanes;
        for (int lane = 0; lane < VEC_LANES; lane++) {
            int64_t at = first + part + lane;
            int exists = lane < here && at < panels->lanes;
            lanes.at[lane] =
                exists ? (const char *)panels->source + at * panels->lane_stride * bytes : (const char *)pack_zeros;
            lanes.advance[lane] = exists ? 16 : 0;
        }
        uint32_t *at = to + part;
        for (int64_t quad = 0; quad < quads; quad++) {
            struct i32x16 v[4];
            pack_quad(&lanes, v);
            for (int j = 0; j < 4; j++)
                at = pack_emit(unit, at, v[j], here, panels->width);
        }
    }
    pack_slow(unit, panels, first, quads * 4 * unit_k, to + quads * 4 * unit_words);
}

static inline struct i32x16 pack_pair(const uint16_t *even, const uint16_t *odd, int lanes)
{
    struct i32x16 low = vec_to_bits(vec_load_bf16_part(even, lanes, 0.0f));
    struct i32x16 high = odd == NULL ? vec_int_set(0) : vec_to_bits(vec_load_bf16_part(odd, lanes, 0.0f));
    return vec_int_or(vec_int_shr(low, 16), high);
}

/* The stretches lie too far apart for the processor to foresee them. */
static inline void pack_fetch(enum gemm_unit unit, const struct gemm_panels *panels, int64_t k)
{
    int64_t bytes = unit == GEMM_UNIT_F32 ? 4 : 2;
    for (int row = 0; row < (unit == GEMM_UNIT_F32 ? 1 : 2); row++) {
        const char *from = (const char *)panels->source + (k + row) * panels->k_stride * bytes;
        for (int64_t at = 0; at < panels->lanes * bytes; at += 64)
            __builtin_prefetch(from + at, 0, 2);
    }
}

/* Lanes side by side in memory: each stretch of them is read once, for all panels. */
VEC_INLINE void pack_along_lanes(enum gemm_unit unit, const struct gemm_panels *panels, uint32_t *to)
{
    int64_t unit_k = unit == GEMM_UNIT_F32 ? 1 : 2;
    int64_t unit_words = (int64_t)panels->width * (unit == GEMM_UNIT_WIDE ? 2 : 1);
    for (int64_t k = 0; k < panels->k; k += unit_k, to += unit_words) {
        uint32_t *panel = to;
        pack_fetch(unit, panels, k + PACK_AHEAD);
        for (int64_t first = 0; first < panels->lanes; first += panels->width, panel += panels->distance) {
            for (int part = 0; part < panels->width; part += VEC_LANES) {
                int64_t left = panels->lanes - first - part;
                int here = vec_lanes_left(panels->width, part), lanes = left >= here ? here : left > 0 ? (int)left : 0;
                struct i32x16 v;
                if (unit == GEMM_UNIT_F32) {
                    const float *from = (const float *)panels->source + k * panels->k_stride + first + part;
                    v = vec_to_bits(vec_load_part(from, lanes, 0.0f));
                } else {
                    const uint16_t *even = (const uint16_t *)panels->source + k * panels->k_stride + first + part;
                    v = pack_pair(even, k + 1 < panels->k ? even + panels->k_stride : NULL, lanes);
                }
                pack_emit(unit, panel + part, v, here, panels->width);
            }
        }
    }
}

static inline void pack(enum gemm_unit unit, const struct gemm_panels *panels, uint32_t *to)
{
    if (panels->k_stride != 1 && panels->lane_stride == 1) {
        pack_along_lanes(unit, panels, to);
        return;
    }
    for (int64_t first = 0; first < panels->lanes; first += panels->width, to += panels->distance) {
        if (panels->k_stride == 1)
            pack_along_k(unit, panels, first, to);
        else
            pack_slow(unit, panels, first, 0, to);
    }
}

#endif
