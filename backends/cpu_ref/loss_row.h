/* One token's row of logits (docs/numerics.md, "Loss", steps 2 to 5), for linear_cross_entropy and for its two halves
 * where the vocabulary is split. */
#ifndef LLMRUN_CPU_REF_LOSS_ROW_H
#define LLMRUN_CPU_REF_LOSS_ROW_H

#include <float.h>

#include "cpu_ref/chain.h"
#include "cpu_ref/exact.h"

#define LOSS_PARTS 256 /* at most */

struct loss_part {
    float maximum;
    float sum;   /* of exp(x - maximum), in sixteen lanes from the first element on */
    float scale; /* exp(maximum - the largest maximum) */
};

struct loss_parts {
    int64_t count;
    float maximum, sum; /* of all: set by loss_join */
    struct loss_part part[LOSS_PARTS];
};

/* Elements begin to begin + size - 1 of a row of which the first `vocabulary` are tokens. */
static inline struct loss_part loss_part_of(const float *row, int64_t begin, int64_t size, int64_t vocabulary)
{
    struct loss_part part = {.maximum = -FLT_MAX};
    float lanes[EXACT_LANES] = {0};

    for (int64_t v = begin; v < begin + size && v < vocabulary; v++)
        part.maximum = fmaxf(part.maximum, row[v]);
    part.maximum += 0.0f; /* a zero is +0 */
    for (int64_t v = begin; v < begin + size && v < vocabulary; v++)
        lanes[(v - begin) % EXACT_LANES] += exact_exp(row[v] - part.maximum);
    part.sum = exact_tree(lanes);
    return part;
}

static inline float loss_scaled_sum(const void *context, int64_t index)
{
    const struct loss_part *part = (const struct loss_part *)context + index;

    return part->sum * part->scale;
}

static inline void loss_join(struct loss_parts *parts)
{
    parts->maximum = -FLT_MAX;
    for (int64_t i = 0; i < parts->count; i++)
        parts->maximum = fmaxf(parts->maximum, parts->part[i].maximum);
    for (int64_t i = 0; i < parts->count; i++)
        parts->part[i].scale = exact_exp(parts->part[i].maximum - parts->maximum);
    parts->sum = chain_tree(loss_scaled_sum, parts->part, 0, parts->count);
}

static inline double loss_of_token(const struct loss_parts *parts, float weight, float target_logit)
{
    return (double)weight * ((double)exact_log(parts->sum) + (double)parts->maximum - (double)target_logit);
}

/* By a logit of the part; `gradient` is that of the token's loss. */
static inline float loss_logit_gradient(const struct loss_parts *parts, int64_t part, float logit, float gradient,
                                        int is_target)
{
    float e = exact_exp(logit - parts->part[part].maximum);
    float scale = parts->part[part].scale * (1.0f / parts->sum * gradient);

    return is_target ? fmaf(e, scale, -gradient) : e * scale;
}

#endif
