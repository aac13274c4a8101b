/* One token's row of logits, for linear_cross_entropy and for its two halves where the vocabulary is split. The rows of
 * the head, columns here, stand in equal parts, each with a maximum and a sum of its own; padding at their end is left
 * out, and a part of it alone has the maximum -FLT_MAX and the sum 0. */
#ifndef LLMRUN_CPU_LOSS_ROW_H
#define LLMRUN_CPU_LOSS_ROW_H

#include <float.h>
#include <math.h>

#include "kernels/lanes.h"
#include "kernels/math.h"

#define LOSS_PARTS 256 /* at most */

struct loss_parts {
    int64_t count;           /* a power of two */
    float own[LOSS_PARTS];   /* the maximum of each */
    float sum[LOSS_PARTS];   /* of its exp(x - its maximum) */
    float scale[LOSS_PARTS]; /* exp(its maximum - maximum) */
    float maximum;           /* of all */
    float total;             /* of exp(x - maximum) */
};

/* Part `part` of columns of which the first `vocabulary` are tokens. */
static inline struct lanes_range loss_part(int64_t size, int64_t vocabulary, int64_t part)
{
    const int64_t begin = part * size, end = begin + size;

    return (struct lanes_range){begin < vocabulary ? begin : vocabulary, end < vocabulary ? end : vocabulary};
}

/* NaNs are passed over, so that a maximum is one number on each instruction set: vec_max gives its second operand where
 * one is a NaN. For the same reason a maximum of zero is +0. */
static inline float loss_maximum(const float *row, struct lanes_range range)
{
    struct f32x16 lowest = vec_set(-FLT_MAX), maximum[4] = {lowest, lowest, lowest, lowest};
    int64_t v = range.begin;

    for (; v + 4 * VEC_LANES <= range.end; v += 4 * VEC_LANES)
        for (int i = 0; i < 4; i++)
            maximum[i] = vec_max(vec_load(row + v + i * VEC_LANES), maximum[i]);
    for (; v < range.end; v += VEC_LANES)
        maximum[0] = vec_max(vec_load_part(row + v, vec_lanes_left(range.end, v), -FLT_MAX), maximum[0]);
    return vec_maximum(vec_max(vec_max(maximum[0], maximum[1]), vec_max(maximum[2], maximum[3]))) + 0.0f;
}

/* The sum of exp(row[v] - maximum), which go to `to` where it is not NULL. */
LANES_INLINE float loss_exponents(const float *row, struct lanes_range range, float maximum, float *to)
{
    struct f32x16 sum = vec_zero();

    for (int64_t v = range.begin; v < range.end; v += VEC_LANES) {
        int lanes = vec_lanes_left(range.end, v);
        struct f32x16 e = math_exp(vec_sub(vec_load_part(row + v, lanes, -INFINITY), vec_set(maximum)));

        if (to != NULL)
            vec_store_part(to + v, e, lanes);
        sum = vec_add(sum, e);
    }
    return vec_sum(sum);
}

static inline float loss_exp(float x)
{
    float lanes[VEC_LANES];

    vec_store(lanes, math_exp(vec_set(x)));
    return lanes[0];
}

/* Parts first to first + count - 1 as a balanced tree. */
static inline float loss_tree(const struct loss_parts *parts, int64_t first, int64_t count)
{
    if (count == 1)
        return parts->sum[first] * parts->scale[first];
    return loss_tree(parts, first, count / 2) + loss_tree(parts, first + count / 2, count / 2);
}

/* From the maximum and sum of each part. */
static inline void loss_join(struct loss_parts *parts)
{
    parts->maximum = -FLT_MAX;
    for (int64_t i = 0; i < parts->count; i++)
        parts->maximum = fmaxf(parts->maximum, parts->own[i]);
    for (int64_t i = 0; i < parts->count; i++)
        parts->scale[i] = loss_exp(parts->own[i] - parts->maximum);
    parts->total = loss_tree(parts, 0, parts->count);
}

static inline double loss_of_token(const struct loss_parts *parts, float weight, float target_logit)
{
    float lanes[VEC_LANES];

    vec_store(lanes, math_log(vec_set(parts->total)));
    return (double)weight * ((double)lanes[0] + (double)parts->maximum - (double)target_logit);
}

/* Sums of `sequence` tokens each, in order, in or onto losses. */
static inline void loss_add(const struct kernel_call *call, int losses, const double *of_token, int64_t tokens,
                            int64_t sequence)
{
    for (int64_t b = 0; b < tokens / sequence; b++) {
        double sum = operand_accumulates(call->op, losses) ? operand_get_wide(call, losses, b) : 0.0;

        for (int64_t t = 0; t < sequence; t++)
            sum += of_token[b * sequence + t];
        operand_put_wide(call, losses, b, sum);
    }
}

static inline void loss_zeros(void *row, int bf16, int64_t begin, int64_t end)
{
    for (int64_t v = begin; v < end; v += VEC_LANES)
        lanes_store(row, bf16, v, vec_zero(), vec_lanes_left(end, v));
}

#endif
