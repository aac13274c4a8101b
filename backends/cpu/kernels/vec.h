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
 *   vec_mask_   mask16: and
 *   vec_double_ f64x16: zero, add_square, sum
 *
 * min(a, b) is a < b ? a : b and max(a, b) is a > b ? a : b: with a NaN among them, or with zeros of both signs, the
 * result is b. fma(a, b, c) = a b + c, fnma(a, b, c) = c - a b, both rounded once. Comparisons with a NaN are false.
 * Memory needs no alignment. `count` of a tail is 0 to 16: lanes from `count` on are not read or written.
 * scale(x, n) = x 2^n, rounded once, for x in [0.5, 2] and n a whole number from -250 to 250; a NaN in x gives a NaN.
 * int_wide: the 64-bit products of unsigned numbers, as their low and their high halves. int_transpose4: in each group
 * of four lanes, the 4 x 4 matrix of v[row], lane. int_to_float takes signed numbers, int_below unsigned ones.
 * double_add_square(a, x) = a + x x: the square of an fp32 is exact in fp64, so only the addition rounds.
 * bf16 is the upper half of an fp32; a store rounds to nearest even, quiets a NaN and keeps numbers below the normal
 * range.
 *
 * Sum over lanes: a balanced tree, halves first: lane j + lane j+8, then j + j+4, j + j+2, j + j+1. A row of n elements
 * that is summed in lanes has element i in lane i % 16, and lanes beyond the last element hold what changes nothing.
 * maximum: the largest lane; with a NaN among them some lane or a NaN, the same on every instruction set. */
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

/* For what works on a few vectors: the compiler counts the loops over registers before it knows that they vanish, so it
 * would take it for larger than it is. */
#define VEC_INLINE static inline __attribute__((always_inline))

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

VEC_INLINE struct f32x16 vec_zero(void)
{
    return vec_set(0.0f);
}

VEC_INLINE struct f64x16 vec_double_zero(void)
{
    return (struct f64x16){0};
}

/* v rounded to the nearest bf16, which is the upper half of each lane; the lower half has no meaning. */
VEC_INLINE struct i32x16 vec_bf16_bits(struct f32x16 v)
{
    struct i32x16 bits = vec_to_bits(v);
    struct i32x16 odd = vec_int_and(vec_int_shr(bits, 16), vec_int_set(1));
    struct i32x16 rounded = vec_int_add(bits, vec_int_add(odd, vec_int_set(0x7fff)));
    struct i32x16 quiet = vec_int_or(bits, vec_int_set(0x400000));

    return vec_to_bits(vec_select(vec_eq(v, v), vec_from_bits(rounded), vec_from_bits(quiet)));
}

/* v rounded to the nearest bf16, as a store and a load of it would do. */
VEC_INLINE struct f32x16 vec_round_bf16(struct f32x16 v)
{
    return vec_from_bits(vec_int_and(vec_bf16_bits(v), vec_int_set(0xffff0000u)));
}

VEC_INLINE void vec_store_bf16(uint16_t *p, struct f32x16 v)
{
    vec_int_store_high(p, vec_bf16_bits(v));
}

VEC_INLINE void vec_store_bf16_tail(uint16_t *p, struct f32x16 v, int count)
{
    vec_int_store_high_tail(p, vec_bf16_bits(v), count);
}

/* 1.5 * 2^23: added to |x| < 2^22 it rounds x to the nearest integer, ties to even, which then stands in the low bits.
 */
#define VEC_ROUND_MAGIC 12582912.0f

/* The elements of one row, in steps of 16: how many of the lanes that start at `i` lie below n. */
VEC_INLINE int vec_lanes_left(int64_t n, int64_t i)
{
    return n - i < VEC_LANES ? (int)(n - i) : VEC_LANES;
}

/* Loads that take the tail or the body by `count`; lanes beyond it are `other`. */
VEC_INLINE struct f32x16 vec_load_part(const float *p, int count, float other)
{
    return count == VEC_LANES ? vec_load(p) : vec_load_tail(p, count, other);
}

VEC_INLINE void vec_store_part(float *p, struct f32x16 v, int count)
{
    if (count == VEC_LANES)
        vec_store(p, v);
    else
        vec_store_tail(p, v, count);
}

VEC_INLINE struct f32x16 vec_load_bf16_part(const uint16_t *p, int count, float other)
{
    return count == VEC_LANES ? vec_load_bf16(p) : vec_load_bf16_tail(p, count, other);
}

VEC_INLINE void vec_store_bf16_part(uint16_t *p, struct f32x16 v, int count)
{
    if (count == VEC_LANES)
        vec_store_bf16(p, v);
    else
        vec_store_bf16_tail(p, v, count);
}

/* v with 0 in the lanes from `count` on. */
VEC_INLINE struct f32x16 vec_keep(struct f32x16 v, int count)
{
    return vec_select(vec_first(count), v, vec_zero());
}

#endif
