/* Truth values as lanes with all bits or none, and what instruction sets without mask registers need besides. Included
 * by vec_plain.h and vec_avx2.h, which define before it
 *
 *   PART_TRUTH(comparison)      the result of an operator on two parts as vec_i32
 *   PART_SELECT(mask, a, b)     lanes of a where the mask's are set, else of b
 *   PART_TO_INT(x)              numbers from -250 to 250 that are whole, as vec_i32
 *   vec_first(count)            set in the lanes below `count` */
#ifndef LLMRUN_CPU_VEC_MASKS_H
#define LLMRUN_CPU_VEC_MASKS_H

#define VEC_COMPARE(name, type, operator)                                                                              \
    VEC_INLINE struct mask16 name(struct type a, struct type b)                                                        \
    {                                                                                                                  \
        struct mask16 m;                                                                                               \
                                                                                                                       \
        VEC_EACH_PART(i) m.part[i] = PART_TRUTH(a.part[i] operator b.part[i]);                                         \
        return m;                                                                                                      \
    }
VEC_COMPARE(vec_lt, f32x16, <)
VEC_COMPARE(vec_le, f32x16, <=)
VEC_COMPARE(vec_eq, f32x16, ==)
VEC_COMPARE(vec_int_below, i32x16, <) /* as unsigned numbers */
#undef VEC_COMPARE

VEC_INLINE struct mask16 vec_mask_and(struct mask16 a, struct mask16 b)
{
    VEC_EACH_PART(i) a.part[i] &= b.part[i];
    return a;
}

/* m ? a : b */
VEC_INLINE struct f32x16 vec_select(struct mask16 m, struct f32x16 a, struct f32x16 b)
{
    VEC_EACH_PART(i) a.part[i] = PART_SELECT(m.part[i], a.part[i], b.part[i]);
    return a;
}

VEC_INLINE struct f32x16 vec_scale(struct f32x16 x, struct f32x16 n)
{
    struct i32x16 whole, first, second;

    VEC_EACH_PART(i) whole.part[i] = (vec_u32)PART_TO_INT(n.part[i]);
    first = vec_int_sar(whole, 1);
    second = vec_int_sub(whole, first);
    first = vec_int_shl(vec_int_add(first, vec_int_set(127)), 23);
    second = vec_int_shl(vec_int_add(second, vec_int_set(127)), 23);
    return vec_mul(vec_mul(x, vec_from_bits(first)), vec_from_bits(second)); /* the first product is exact */
}

VEC_INLINE struct f32x16 vec_load_bf16_tail(const uint16_t *p, int count, float other)
{
    uint16_t lanes[16] = {0};

    memcpy(lanes, p, (size_t)count * sizeof lanes[0]);
    return vec_select(vec_first(count), vec_load_bf16(lanes), vec_set(other));
}

VEC_INLINE void vec_int_store_high(uint16_t *p, struct i32x16 v);

VEC_INLINE void vec_int_store_high_tail(uint16_t *p, struct i32x16 v, int count)
{
    uint16_t lanes[16];

    vec_int_store_high(lanes, v);
    memcpy(p, lanes, (size_t)count * sizeof lanes[0]);
}

#endif
