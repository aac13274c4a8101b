/* What the vectors of every instruction set do alike: one register after the other, each a "part" of the sixteen lanes.
 * Included by vec_plain.h, vec_avx2.h and vec_avx512.h, which define before it
 *
 *   VEC_PARTS, VEC_WIDTH                  how many parts, and the lanes of each
 *   vec_f32, vec_u32, vec_i32, vec_u16    a part: a vector of the compiler, or one number in plain C
 *   PART_SET, PART_SQRT, PART_MIN, PART_MAX, PART_FMA, PART_FNMA, PART_TO_FLOAT    of parts
 *   PART_BITS, PART_FLOAT                 a vec_f32 as the bits of its lanes, and back
 *   PART_WIDEN                            a vec_u16 as a vec_u32
 *
 * An operator on vectors of the compiler is that operator on each lane. */
#ifndef LLMRUN_CPU_VEC_PARTS_H
#define LLMRUN_CPU_VEC_PARTS_H

struct f32x16 {
    vec_f32 part[VEC_PARTS];
};

struct i32x16 {
    vec_u32 part[VEC_PARTS];
};

/* A part in memory, at any address and of any type. */
typedef vec_f32 vec_f32_memory __attribute__((aligned(1), may_alias));
typedef vec_u32 vec_u32_memory __attribute__((aligned(1), may_alias));
typedef vec_u16 vec_u16_memory __attribute__((aligned(1), may_alias));

#define VEC_EACH_PART(i) for (int i = 0; i < VEC_PARTS; i++)

#define VEC_OPERATOR(type, name, operator)                                                                             \
    VEC_INLINE struct type name(struct type a, struct type b)                                                          \
    {                                                                                                                  \
        VEC_EACH_PART(i) a.part[i] = a.part[i] operator b.part[i];                                                     \
        return a;                                                                                                      \
    }
VEC_OPERATOR(f32x16, vec_add, +)
VEC_OPERATOR(f32x16, vec_sub, -)
VEC_OPERATOR(f32x16, vec_mul, *)
VEC_OPERATOR(f32x16, vec_div, /)
VEC_OPERATOR(i32x16, vec_int_add, +)
VEC_OPERATOR(i32x16, vec_int_sub, -)
VEC_OPERATOR(i32x16, vec_int_and, &)
VEC_OPERATOR(i32x16, vec_int_or, |)
VEC_OPERATOR(i32x16, vec_int_xor, ^)
#undef VEC_OPERATOR

VEC_INLINE struct i32x16 vec_int_shl(struct i32x16 a, int bits)
{
    VEC_EACH_PART(i) a.part[i] = a.part[i] << bits;
    return a;
}

VEC_INLINE struct i32x16 vec_int_shr(struct i32x16 a, int bits)
{
    VEC_EACH_PART(i) a.part[i] = a.part[i] >> bits;
    return a;
}

VEC_INLINE struct i32x16 vec_int_sar(struct i32x16 a, int bits)
{
    VEC_EACH_PART(i) a.part[i] = (vec_u32)((vec_i32)a.part[i] >> bits);
    return a;
}

VEC_INLINE struct f32x16 vec_set(float x)
{
    struct f32x16 v;

    VEC_EACH_PART(i) v.part[i] = PART_SET(x);
    return v;
}

VEC_INLINE struct i32x16 vec_int_set(uint32_t x)
{
    struct i32x16 v;

    VEC_EACH_PART(i) v.part[i] = (vec_u32){0} + x;
    return v;
}

VEC_INLINE struct f32x16 vec_load(const float *p)
{
    struct f32x16 v;

    VEC_EACH_PART(i) v.part[i] = ((const vec_f32_memory *)p)[i];
    return v;
}

VEC_INLINE void vec_store(float *p, struct f32x16 v)
{
    VEC_EACH_PART(i)((vec_f32_memory *)p)[i] = v.part[i];
}

VEC_INLINE struct i32x16 vec_int_load(const void *p)
{
    struct i32x16 v;

    VEC_EACH_PART(i) v.part[i] = ((const vec_u32_memory *)p)[i];
    return v;
}

VEC_INLINE void vec_int_store(void *p, struct i32x16 v)
{
    VEC_EACH_PART(i)((vec_u32_memory *)p)[i] = v.part[i];
}

VEC_INLINE struct f32x16 vec_from_bits(struct i32x16 v)
{
    struct f32x16 x;

    VEC_EACH_PART(i) x.part[i] = PART_FLOAT(v.part[i]);
    return x;
}

VEC_INLINE struct i32x16 vec_to_bits(struct f32x16 v)
{
    struct i32x16 x;

    VEC_EACH_PART(i) x.part[i] = PART_BITS(v.part[i]);
    return x;
}

VEC_INLINE struct f32x16 vec_load_bf16(const uint16_t *p)
{
    struct i32x16 v;

    VEC_EACH_PART(i) v.part[i] = PART_WIDEN(((const vec_u16_memory *)p)[i]) << 16;
    return vec_from_bits(v);
}

VEC_INLINE struct f32x16 vec_neg(struct f32x16 a)
{
    return vec_from_bits(vec_int_xor(vec_to_bits(a), vec_int_set(0x80000000u)));
}

VEC_INLINE struct f32x16 vec_abs(struct f32x16 a)
{
    return vec_from_bits(vec_int_and(vec_to_bits(a), vec_int_set(0x7fffffffu)));
}

VEC_INLINE struct f32x16 vec_sqrt(struct f32x16 a)
{
    VEC_EACH_PART(i) a.part[i] = PART_SQRT(a.part[i]);
    return a;
}

VEC_INLINE struct f32x16 vec_min(struct f32x16 a, struct f32x16 b)
{
    VEC_EACH_PART(i) a.part[i] = PART_MIN(a.part[i], b.part[i]);
    return a;
}

VEC_INLINE struct f32x16 vec_max(struct f32x16 a, struct f32x16 b)
{
    VEC_EACH_PART(i) a.part[i] = PART_MAX(a.part[i], b.part[i]);
    return a;
}

VEC_INLINE struct f32x16 vec_fma(struct f32x16 a, struct f32x16 b, struct f32x16 c)
{
    VEC_EACH_PART(i) a.part[i] = PART_FMA(a.part[i], b.part[i], c.part[i]);
    return a;
}

VEC_INLINE struct f32x16 vec_fnma(struct f32x16 a, struct f32x16 b, struct f32x16 c)
{
    VEC_EACH_PART(i) a.part[i] = PART_FNMA(a.part[i], b.part[i], c.part[i]);
    return a;
}

/* The signed number, rounded to nearest even. */
VEC_INLINE struct f32x16 vec_int_to_float(struct i32x16 a)
{
    struct f32x16 v;

    VEC_EACH_PART(i) v.part[i] = PART_TO_FLOAT((vec_i32)a.part[i]);
    return v;
}

#endif
