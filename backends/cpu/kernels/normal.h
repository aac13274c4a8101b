/* Normal numbers from random words, by inversion: one word, one number. */
#ifndef LLMRUN_CPU_NORMAL_H
#define LLMRUN_CPU_NORMAL_H

#include "kernels/math.h"

/* 1, t, ... t^8, highest coefficient first. */
VEC_INLINE struct f32x16 normal_polynomial(const float coefficients[9], struct f32x16 t)
{
    struct f32x16 p = vec_set(coefficients[0]);

    for (int i = 1; i < 9; i++)
        p = vec_fma(p, t, vec_set(coefficients[i]));
    return p;
}

/* The normal quantile at (word + 1/2) / 2^32, a number from -6.3 to 6.3, with a relative error below 2e-6.
 *
 * With x = 2 p - 1 and w = -ln(1 - x^2), the quantile is x times a smooth function of w in the middle and of sqrt(w) in
 * the tails (Giles, "Approximating the erfinv function", GPU Computing Gems, 2011; own coefficients, math_fit.py).
 * 1 - |x| is taken from the integer, so the tails keep all of its digits. */
VEC_INLINE struct f32x16 normal_quantile(struct i32x16 words)
{
    static const float middle[9] = {0x1.5aa21cp-25f,  0x1.04f98ep-21f, -0x1.4ee8f6p-18f,
                                    -0x1.a1483ap-18f, 0x1.442adap-12f, -0x1.d0c8b2p-10f,
                                    -0x1.8332a8p-8f,  0x1.652c86p-2f,  0x1.0fc8bep+1f};
    static const float tail[9] = {-0x1.cd85d4p-16f, -0x1.1ee1f8p-12f, 0x1.c2140cp-11f,
                                  -0x1.0be01ep-10f, 0x1.68d496p-10f,  -0x1.7b774cp-9f,
                                  0x1.324adcp-8f,   0x1.6cb4bap+0f,   0x1.2de4c4p+2f};
    struct i32x16 q = vec_int_xor(words, vec_int_set(0x80000000u)); /* signed: word - 2^31 */
    struct i32x16 from_edge = vec_int_xor(vec_int_xor(q, vec_int_sar(q, 31)), vec_int_set(0x7fffffffu));
    struct f32x16 half = vec_set(0.5f), unit = vec_set(0x1p-31f);
    struct f32x16 x = vec_mul(vec_add(vec_int_to_float(q), half), unit);
    struct f32x16 d = vec_mul(vec_add(vec_int_to_float(from_edge), half), unit);
    struct f32x16 w = vec_neg(math_log(vec_mul(d, vec_sub(vec_set(2.0f), d))));
    struct f32x16 in_middle = normal_polynomial(middle, vec_sub(w, vec_set(2.5f)));
    struct f32x16 in_tail = normal_polynomial(tail, vec_sub(vec_sqrt(w), vec_set(3.5f)));

    return vec_mul(vec_select(vec_lt(w, vec_set(5.0f)), in_middle, in_tail), x);
}

#endif
