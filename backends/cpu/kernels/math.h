/* exp, log and GELU on sixteen lanes, built from IEEE operations alone, so that every instruction set gives the same
 * bits. docs/numerics.md holds the definition; backends/cpu_ref/exact_math.h is the same in scalar C. Errors are the
 * largest found over all fp32 arguments. The polynomials are minimax fits by math_fit.py beside this file. */
#ifndef LLMRUN_CPU_MATH_H
#define LLMRUN_CPU_MATH_H

#include <math.h>

#include "kernels/vec.h"

/* e^x, below 1.1 ulp. Overflows to infinity, goes below the normal range gradually, keeps a NaN.
 * n = nearest integer to x / ln 2; r = x - n ln 2 in two steps; e^r = 1 + (r + r^2 P(r)); times 2^n. */
VEC_INLINE struct f32x16 math_exp(struct f32x16 x)
{
    struct f32x16 magic = vec_set(VEC_ROUND_MAGIC);
    struct f32x16 n, r, p;

    x = vec_min(vec_set(89.0f), vec_max(vec_set(-104.0f), x));
    n = vec_sub(vec_fma(x, vec_set(0x1.715476p+0f), magic), magic);
    r = vec_fnma(n, vec_set(0x1.62e4p-1f), x);
    r = vec_fnma(n, vec_set(0x1.7f7d1cp-20f), r);
    p = vec_fma(vec_set(0x1.6db4cap-10f), r, vec_set(0x1.123bdep-7f));
    p = vec_fma(p, r, vec_set(0x1.55545ep-5f));
    p = vec_fma(p, r, vec_set(0x1.55548ep-3f));
    p = vec_fma(p, r, vec_set(0.5f));
    p = vec_fma(vec_mul(r, r), p, r);
    return vec_scale(vec_add(p, vec_set(1.0f)), n);
}

/* ln x, below 0.9 ulp. 0 gives -infinity, negative numbers a NaN.
 * x = 2^e m with m in [sqrt(1/2), sqrt(2)), f = m - 1; ln x = e ln 2 + (f + f^2 (f P(f) - 1/2)). */
VEC_INLINE struct f32x16 math_log(struct f32x16 x)
{
    struct f32x16 zero = vec_zero(), infinity = vec_set(INFINITY);
    struct mask16 tiny = vec_lt(x, vec_set(0x1p-126f));
    struct mask16 usual = vec_mask_and(vec_lt(zero, x), vec_lt(x, infinity));
    struct i32x16 bits = vec_to_bits(vec_select(tiny, vec_mul(x, vec_set(0x1p+23f)), x));
    struct i32x16 exponent = vec_int_sar(vec_int_sub(bits, vec_int_set(0x3f3504f3u)), 23);
    struct f32x16 e = vec_sub(vec_int_to_float(exponent), vec_select(tiny, vec_set(23.0f), zero));
    struct f32x16 f = vec_sub(vec_from_bits(vec_int_sub(bits, vec_int_shl(exponent, 23))), vec_set(1.0f));
    struct f32x16 p, unusual;

    p = vec_fma(vec_set(-0x1.41f00ep-4f), f, vec_set(0x1.07d144p-3f));
    p = vec_fma(p, f, vec_set(-0x1.0ce04cp-3f));
    p = vec_fma(p, f, vec_set(0x1.226e4p-3f));
    p = vec_fma(p, f, vec_set(-0x1.54788ep-3f));
    p = vec_fma(p, f, vec_set(0x1.99a596p-3f));
    p = vec_fma(p, f, vec_set(-0x1.00022p-2f));
    p = vec_fma(p, f, vec_set(0x1.55554ap-2f));
    p = vec_fma(p, f, vec_set(-0.5f));
    p = vec_fma(e, vec_set(0x1.7f7d1cp-20f), vec_mul(vec_mul(f, f), p));
    p = vec_fma(e, vec_set(0x1.62e4p-1f), vec_add(f, p));
    unusual = vec_select(vec_lt(x, zero), vec_set(NAN), x);
    unusual = vec_select(vec_eq(x, zero), vec_set(-INFINITY), unusual);
    return vec_select(usual, p, unusual);
}

/* 2 sqrt(2/pi) (x + 0.044715 x^3): the argument at which the logistic function is GELU's tanh form (1 + tanh(u)) / 2.
 */
VEC_INLINE struct f32x16 math_gelu_argument(struct f32x16 x)
{
    return vec_mul(x, vec_fma(vec_mul(x, x), vec_set(0x1.2444f2p-4f), vec_set(0x1.988454p+0f)));
}

/* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), written as x / (1 + exp(-2u)): nothing cancels, and exp never
 * overflows. */
VEC_INLINE struct f32x16 math_gelu(struct f32x16 x)
{
    struct f32x16 u = math_gelu_argument(x), one = vec_set(1.0f);
    struct f32x16 e = math_exp(vec_neg(vec_abs(u)));

    return vec_mul(x, vec_div(vec_select(vec_lt(u, vec_zero()), e, one), vec_add(one, e)));
}

/* The derivative of math_gelu at x: s + x s (1 - s) u', with s the logistic function of u. Outside of [-12, 12], where
 * s is 0 or 1 to the last bit, the second term is that of the edge, which is 0. */
VEC_INLINE struct f32x16 math_gelu_slope(struct f32x16 x)
{
    struct f32x16 one = vec_set(1.0f), u, e, r, tail, s, du;

    x = vec_min(vec_set(12.0f), vec_max(vec_set(-12.0f), x));
    u = math_gelu_argument(x);
    e = math_exp(vec_neg(vec_abs(u)));
    r = vec_div(one, vec_add(one, e));
    tail = vec_mul(e, r);
    s = vec_select(vec_lt(u, vec_zero()), tail, r);
    du = vec_fma(vec_mul(x, x), vec_set(0x1.b6676cp-3f), vec_set(0x1.988454p+0f));
    return vec_fma(vec_mul(x, vec_mul(tail, r)), du, s);
}

#endif
