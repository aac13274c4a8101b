/* Sixteen lanes of fp32 (or of 32-bit integers, or of fp64) that behave alike on every instruction set, to the bit.
 *
 * Each kernel source is compiled once per instruction set: AVX-512 (F, BW, DQ, VL), AVX2 with FMA, plain C. Nothing
 * here leaves the result of an operation to the instruction set: every function is one correctly rounded IEEE 754
 * operation a lane, or integer arithmetic modulo 2^32. The one thing that is not fixed is the sign and payload of a
 * NaN.
 *
 *   types       struct f32x16, i32x16 (signed and unsigned), f64x16, mask16 (a truth value a lane)
 *   vec_        f32x16: set zero load store add sub mul div fma fnma sqrt scale neg abs min max lt le eq select
 *               sum maximum
 *   vec_int_    i32x16: set load store add sub and or xor shl shr sar below from_bits/to_bits to_float wide transpose4
 *   vec_mask_   mask16: and, or, not, any
 *   vec_double_ f64x16: zero, add_square, sum
 *
 * min(a, b) is a < b ? a : b and max(a, b) is a > b ? a : b: with a NaN among them, or with zeros of both signs, the
 * result is b. fma(a, b, c) = a b + c, fnma(a, b, c) = c - a b, both rounded once. Comparisons with a NaN are false.
 * Memory needs no alignment. `count` of a tail is 0 to 16: lanes from `count` on are not read or written.
 * bf16 is the upper half of an fp32; a store rounds to nearest even, quiets a NaN and keeps numbers below the normal
 * range.
 *
 * Sum over lanes: a balanced tree, halves first: lane j + lane j+8, then j + j+4, j + j+2, j + j+1. A row of n elements
 * that is summed in lanes has element i in lane i % 16, and lanes beyond the last element hold what changes nothing. */
#ifndef LLMRUN_CPU_VEC_H
#define LLMRUN_CPU_VEC_H

#include <stdint.h>

#include "runtime/isa.h"

#define VEC_LANES 16

/* The build names the instruction set of each compilation (KERNEL_ISA, see kernels/table.h); without a name the
 * compiler flags decide. */
#define VEC_FORM_plain      1
#define VEC_FORM_avx2       2
#define VEC_FORM_avx512     3
#define VEC_FORM_avx512bf16 3
#define VEC_FORM_JOIN_(isa) VEC_FORM_##isa
#define VEC_FORM_JOIN(isa)  VEC_FORM_JOIN_(isa)
#if defined(KERNEL_ISA)
#define VEC_FORM VEC_FORM_JOIN(KERNEL_ISA)
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define VEC_FORM 3
#elif defined(__AVX2__) && defined(__FMA__)
#define VEC_FORM 2
#else
#define VEC_FORM 1
#endif

/* VEC_ISA: that instruction set as an enum cpu_isa. */
#if VEC_FORM == 3
#define VEC_ISA CPU_ISA_AVX512
#include "kernels/vec_avx512.h"
#elif VEC_FORM == 2
#define VEC_ISA CPU_ISA_AVX2
#include "kernels/vec_avx2.h"
#else
#define VEC_ISA CPU_ISA_PLAIN
#include "kernels/vec_plain.h"
#endif

static inline struct f32x16 vec_zero(void)
{
    return vec_set(0.0f);
}

/* 1.5 * 2^23: added to |x| < 2^22 it rounds x to the nearest integer, ties to even, which then stands in the low bits.
 */
#define VEC_ROUND_MAGIC 12582912.0f

/* The elements of one row, in steps of 16: how many of the lanes that start at `i` lie below n. */
static inline int vec_lanes_left(int64_t n, int64_t i)
{
    return n - i < VEC_LANES ? (int)(n - i) : VEC_LANES;
}

/* Loads that take the tail or the body by `count`; lanes beyond it are `other`. */
static inline struct f32x16 vec_load_part(const float *p, int count, float other)
{
    return count == VEC_LANES ? vec_load(p) : vec_load_tail(p, count, other);
}

static inline void vec_store_part(float *p, struct f32x16 v, int count)
{
    if (count == VEC_LANES)
        vec_store(p, v);
    else
        vec_store_tail(p, v, count);
}

static inline struct f32x16 vec_load_bf16_part(const uint16_t *p, int count, float other)
{
    return count == VEC_LANES ? vec_load_bf16(p) : vec_load_bf16_tail(p, count, other);
}

static inline void vec_store_bf16_part(uint16_t *p, struct f32x16 v, int count)
{
    if (count == VEC_LANES)
        vec_store_bf16(p, v);
    else
        vec_store_bf16_tail(p, v, count);
}

/* v with 0 in the lanes from `count` on. */
static inline struct f32x16 vec_keep(struct f32x16 v, int count)
{
    static const uint32_t lane[VEC_LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

    return vec_select(vec_int_below(vec_int_load(lane), vec_int_set((uint32_t)count)), v, vec_zero());
}

/* v rounded to the nearest bf16, as a store and a load of it would do. */
static inline struct f32x16 vec_round_bf16(struct f32x16 v)
{
    struct i32x16 bits = vec_to_bits(v);
    struct i32x16 odd = vec_int_and(vec_int_shr(bits, 16), vec_int_set(1));
    struct i32x16 rounded = vec_int_add(bits, vec_int_add(odd, vec_int_set(0x7fff)));
    struct i32x16 quiet = vec_int_or(bits, vec_int_set(0x400000));
    struct f32x16 either = vec_select(vec_eq(v, v), vec_from_bits(rounded), vec_from_bits(quiet));

    return vec_from_bits(vec_int_and(vec_to_bits(either), vec_int_set(0xffff0000u)));
}

#endif
