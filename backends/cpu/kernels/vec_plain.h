/* vec.h in plain C: what each operation means, a lane at a time. Included by vec.h only, which holds the contract. */
#ifndef LLMRUN_CPU_VEC_PLAIN_H
#define LLMRUN_CPU_VEC_PLAIN_H

#include <math.h>
#include <stdint.h>
#include <string.h>

struct f32x16 {
    float lane[16];
};

struct i32x16 {
    uint32_t lane[16];
};

struct f64x16 {
    double lane[16];
};

struct mask16 {
    uint32_t lane[16]; /* all ones or 0 */
};

#define VEC_EACH_LANE(j) for (int j = 0; j < 16; j++)

#define VEC_PLAIN_BINARY(name, expression)                                                                             \
    static inline struct f32x16 name(struct f32x16 x, struct f32x16 y)                                                 \
    {                                                                                                                  \
        VEC_EACH_LANE(j)                                                                                               \
        {                                                                                                              \
            float a = x.lane[j], b = y.lane[j];                                                                        \
            x.lane[j] = (expression);                                                                                  \
        }                                                                                                              \
        return x;                                                                                                      \
    }
VEC_PLAIN_BINARY(vec_add, a + b)
VEC_PLAIN_BINARY(vec_sub, a - b)
VEC_PLAIN_BINARY(vec_mul, a *b)
VEC_PLAIN_BINARY(vec_div, a / b)
VEC_PLAIN_BINARY(vec_min, a < b ? a : b)
VEC_PLAIN_BINARY(vec_max, a > b ? a : b)
#undef VEC_PLAIN_BINARY

#define VEC_PLAIN_COMPARE(name, operator)                                                                              \
    static inline struct mask16 name(struct f32x16 a, struct f32x16 b)                                                 \
    {                                                                                                                  \
        struct mask16 m;                                                                                               \
                                                                                                                       \
        VEC_EACH_LANE(j) m.lane[j] = a.lane[j] operator b.lane[j] ? 0xffffffffu : 0u;                                  \
        return m;                                                                                                      \
    }
VEC_PLAIN_COMPARE(vec_lt, <)
VEC_PLAIN_COMPARE(vec_le, <=)
VEC_PLAIN_COMPARE(vec_eq, ==)
#undef VEC_PLAIN_COMPARE

#define VEC_PLAIN_INTEGER(name, type, parameter, expression)                                                           \
    static inline struct i32x16 name(struct i32x16 x, type y)                                                          \
    {                                                                                                                  \
        VEC_EACH_LANE(j)                                                                                               \
        {                                                                                                              \
            uint32_t a = x.lane[j], b = (uint32_t)(parameter);                                                         \
                                                                                                                       \
            x.lane[j] = (uint32_t)(expression);                                                                        \
        }                                                                                                              \
        return x;                                                                                                      \
    }
VEC_PLAIN_INTEGER(vec_int_add, struct i32x16, y.lane[j], a + b)
VEC_PLAIN_INTEGER(vec_int_sub, struct i32x16, y.lane[j], a - b)
VEC_PLAIN_INTEGER(vec_int_and, struct i32x16, y.lane[j], a &b)
VEC_PLAIN_INTEGER(vec_int_or, struct i32x16, y.lane[j], a | b)
VEC_PLAIN_INTEGER(vec_int_xor, struct i32x16, y.lane[j], a ^ b)
VEC_PLAIN_INTEGER(vec_int_shl, int, y, a << b)
VEC_PLAIN_INTEGER(vec_int_shr, int, y, a >> b)
VEC_PLAIN_INTEGER(vec_int_sar, int, y, (int32_t)a >> b)
#undef VEC_PLAIN_INTEGER

static inline struct f32x16 vec_set(float x)
{
    struct f32x16 v;

    VEC_EACH_LANE(j) v.lane[j] = x;
    return v;
}

static inline struct i32x16 vec_int_set(uint32_t x)
{
    struct i32x16 v;

    VEC_EACH_LANE(j) v.lane[j] = x;
    return v;
}

static inline struct f32x16 vec_load(const float *p)
{
    struct f32x16 v;

    memcpy(v.lane, p, sizeof v.lane);
    return v;
}

static inline void vec_store(float *p, struct f32x16 v)
{
    memcpy(p, v.lane, sizeof v.lane);
}

static inline struct f32x16 vec_load_tail(const float *p, int count, float other)
{
    struct f32x16 v = vec_set(other);

    memcpy(v.lane, p, (size_t)count * sizeof v.lane[0]);
    return v;
}

static inline void vec_store_tail(float *p, struct f32x16 v, int count)
{
    memcpy(p, v.lane, (size_t)count * sizeof v.lane[0]);
}

static inline struct i32x16 vec_int_load(const void *p)
{
    struct i32x16 v;

    memcpy(v.lane, p, sizeof v.lane);
    return v;
}

static inline void vec_int_store(void *p, struct i32x16 v)
{
    memcpy(p, v.lane, sizeof v.lane);
}

static inline struct f32x16 vec_from_bits(struct i32x16 v)
{
    struct f32x16 x;

    memcpy(&x, &v, sizeof x);
    return x;
}

static inline struct i32x16 vec_to_bits(struct f32x16 v)
{
    struct i32x16 x;

    memcpy(&x, &v, sizeof x);
    return x;
}

static inline struct f32x16 vec_load_bf16_tail(const uint16_t *p, int count, float other)
{
    struct i32x16 v = vec_to_bits(vec_set(other));

    for (int j = 0; j < count; j++)
        v.lane[j] = (uint32_t)p[j] << 16;
    return vec_from_bits(v);
}

static inline struct f32x16 vec_load_bf16(const uint16_t *p)
{
    return vec_load_bf16_tail(p, 16, 0.0f);
}

static inline void vec_store_bf16_tail(uint16_t *p, struct f32x16 v, int count)
{
    struct i32x16 bits = vec_to_bits(v);

    for (int j = 0; j < count; j++) {
        uint32_t x = bits.lane[j];
        int is_nan = (x & 0x7fffffffu) > 0x7f800000u;

        p[j] = (uint16_t)(is_nan ? x >> 16 | 0x40u : (x + 0x7fffu + (x >> 16 & 1u)) >> 16);
    }
}

static inline void vec_store_bf16(uint16_t *p, struct f32x16 v)
{
    vec_store_bf16_tail(p, v, 16);
}

static inline struct f32x16 vec_fma(struct f32x16 a, struct f32x16 b, struct f32x16 c)
{
    VEC_EACH_LANE(j) a.lane[j] = fmaf(a.lane[j], b.lane[j], c.lane[j]);
    return a;
}

static inline struct f32x16 vec_fnma(struct f32x16 a, struct f32x16 b, struct f32x16 c)
{
    VEC_EACH_LANE(j) a.lane[j] = fmaf(-a.lane[j], b.lane[j], c.lane[j]);
    return a;
}

static inline struct f32x16 vec_sqrt(struct f32x16 a)
{
    VEC_EACH_LANE(j) a.lane[j] = sqrtf(a.lane[j]);
    return a;
}

static inline struct f32x16 vec_neg(struct f32x16 a)
{
    return vec_from_bits(vec_int_xor(vec_to_bits(a), vec_int_set(0x80000000u)));
}

static inline struct f32x16 vec_abs(struct f32x16 a)
{
    return vec_from_bits(vec_int_and(vec_to_bits(a), vec_int_set(0x7fffffffu)));
}

/* x 2^n, rounded once: x in [0.5, 2], n a whole number from -250 to 250. A NaN in x gives a NaN. */
static inline struct f32x16 vec_scale(struct f32x16 x, struct f32x16 n)
{
    VEC_EACH_LANE(j)
    {
        float shifted = n.lane[j] + 12582912.0f; /* 1.5 * 2^23: n now stands in the low bits */
        uint32_t bits, first, second;
        float a, b;

        memcpy(&bits, &shifted, sizeof bits);
        bits -= 0x4b400000u;
        first = (uint32_t)((int32_t)bits >> 1);
        second = bits - first;
        first = (first + 127u) << 23;
        second = (second + 127u) << 23;
        memcpy(&a, &first, sizeof a);
        memcpy(&b, &second, sizeof b);
        x.lane[j] = x.lane[j] * a * b; /* the first product is exact */
    }
    return x;
}

/* m ? a : b */
static inline struct f32x16 vec_select(struct mask16 m, struct f32x16 a, struct f32x16 b)
{
    struct i32x16 x = vec_to_bits(a), y = vec_to_bits(b);

    VEC_EACH_LANE(j) x.lane[j] = (x.lane[j] & m.lane[j]) | (y.lane[j] & ~m.lane[j]);
    return vec_from_bits(x);
}

static inline struct mask16 vec_mask_and(struct mask16 a, struct mask16 b)
{
    VEC_EACH_LANE(j) a.lane[j] &= b.lane[j];
    return a;
}

static inline struct mask16 vec_mask_or(struct mask16 a, struct mask16 b)
{
    VEC_EACH_LANE(j) a.lane[j] |= b.lane[j];
    return a;
}

static inline struct mask16 vec_mask_not(struct mask16 a)
{
    VEC_EACH_LANE(j) a.lane[j] = ~a.lane[j];
    return a;
}

static inline int vec_mask_any(struct mask16 a)
{
    uint32_t any = 0;

    VEC_EACH_LANE(j) any |= a.lane[j];
    return any != 0;
}

/* a < b as unsigned numbers */
static inline struct mask16 vec_int_below(struct i32x16 a, struct i32x16 b)
{
    struct mask16 m;

    VEC_EACH_LANE(j) m.lane[j] = a.lane[j] < b.lane[j] ? 0xffffffffu : 0u;
    return m;
}

/* The signed number, rounded to nearest even. */
static inline struct f32x16 vec_int_to_float(struct i32x16 a)
{
    struct f32x16 v;

    VEC_EACH_LANE(j) v.lane[j] = (float)(int32_t)a.lane[j];
    return v;
}

/* The 64-bit product of unsigned numbers, as its low and its high half. */
static inline void vec_int_wide(struct i32x16 a, struct i32x16 b, struct i32x16 *low, struct i32x16 *high)
{
    VEC_EACH_LANE(j)
    {
        uint64_t product = (uint64_t)a.lane[j] * b.lane[j];

        low->lane[j] = (uint32_t)product;
        high->lane[j] = (uint32_t)(product >> 32);
    }
}

/* In each group of four lanes, the 4 x 4 matrix of v[row], lane is transposed. */
static inline void vec_int_transpose4(struct i32x16 v[4])
{
    struct i32x16 t[4];

    for (int row = 0; row < 4; row++)
        VEC_EACH_LANE(j) t[row].lane[j] = v[j % 4].lane[j / 4 * 4 + row];
    memcpy(v, t, sizeof t);
}

static inline float vec_sum(struct f32x16 v)
{
    for (int half = 8; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            v.lane[j] = v.lane[j] + v.lane[j + half];
    return v.lane[0];
}

/* The largest lane; with a NaN among them the result is some lane or a NaN, the same on every instruction set. */
static inline float vec_maximum(struct f32x16 v)
{
    for (int half = 8; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            v.lane[j] = v.lane[j] > v.lane[j + half] ? v.lane[j] : v.lane[j + half];
    return v.lane[0];
}

static inline struct f64x16 vec_double_zero(void)
{
    struct f64x16 v;

    VEC_EACH_LANE(j) v.lane[j] = 0.0;
    return v;
}

/* a + x x: the square of an fp32 number is exact in fp64, so only the addition rounds. */
static inline struct f64x16 vec_double_add_square(struct f64x16 a, struct f32x16 x)
{
    VEC_EACH_LANE(j) a.lane[j] += (double)x.lane[j] * (double)x.lane[j];
    return a;
}

static inline double vec_double_sum(struct f64x16 v)
{
    for (int half = 8; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            v.lane[j] = v.lane[j] + v.lane[j + half];
    return v.lane[0];
}

#endif
