/* What the norms share: the value that a row starts from. */
#ifndef LLMRUN_CPU_NORMS_H
#define LLMRUN_CPU_NORMS_H

#include "kernels/lanes.h"

struct norm_row {
    const void *x;
    const void *residual; /* or NULL */
    void *sum;            /* or NULL */
    int64_t at;           /* element of the row's first channel */
    int64_t channels;
};

/* x (+ residual) of the row, rounded to the compute type: it is what `sum` holds, whether that is wanted or not. */
LANES_INLINE struct f32x16 norm_value(const struct norm_row *row, int64_t c, int count, int bf16)
{
    struct f32x16 v = lanes_load(row->x, bf16, row->at + c, count);

    if (row->residual == NULL)
        return v;
    v = vec_add(v, lanes_load(row->residual, bf16, row->at + c, count));
    return bf16 ? vec_round_bf16(v) : v;
}

/* The same in the first pass over a row, which stores it where that is wanted. */
LANES_INLINE struct f32x16 norm_first_value(const struct norm_row *row, int64_t c, int count, int bf16)
{
    struct f32x16 v = norm_value(row, c, count, bf16);

    if (row->sum != NULL)
        lanes_store(row->sum, bf16, row->at + c, v, count);
    return v;
}

/* After that pass: the sum may lie where x or the residual did. */
LANES_INLINE void norm_passed(struct norm_row *row)
{
    if (row->sum == NULL)
        return;
    row->x = row->sum;
    row->residual = NULL;
}

#endif
