/* What the norms share: the value that a row starts from, and the frame of their gradients. */
#ifndef LLMRUN_CPU_NORMS_H
#define LLMRUN_CPU_NORMS_H

#include "kernels/token_sums.h"

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

/* Operands of a norm's gradient. */
struct norm_grad_operands {
    struct token_sums_operands sums; /* dy, and what the channels need */
    int gain;
    int dsum;
    int dx;
};

struct norm_grad_row {
    const void *dy;
    const void *value; /* the norm's sum */
    const float *gain;
    const float *means; /* of all rows; NULL where the norm has none */
    const float *rstds;
    const void *dsum; /* or NULL */
    void *dx;
    int64_t channels;
    int64_t at; /* element of the row's first channel */
    float mean;
    float rstd;
};

/* What all rows of a call have in common. */
LANES_INLINE struct norm_grad_row norm_grad_rows(const struct kernel_call *call,
                                                 const struct norm_grad_operands *operands)
{
    return (struct norm_grad_row){.dy = call->operands[operands->sums.dy],
                                  .value = call->operands[operands->sums.value],
                                  .gain = call->operands[operands->gain],
                                  .means = token_sums_operand(call, operands->sums.mean),
                                  .rstds = call->operands[operands->sums.rstd],
                                  .dsum = call->operands[operands->dsum],
                                  .dx = call->operands[operands->dx],
                                  .channels = call->op->operands[operands->sums.dy].shape[1]};
}

LANES_INLINE void norm_grad_take(struct norm_grad_row *row, int64_t token)
{
    row->at = token * row->channels;
    row->mean = row->means != NULL ? row->means[token] : 0.0f;
    row->rstd = row->rstds[token];
}

/* dy gain */
LANES_INLINE struct f32x16 norm_scaled_gradient(const struct norm_grad_row *row, int64_t c, int count, int bf16)
{
    return vec_mul(lanes_load(row->dy, bf16, row->at + c, count), vec_load_part(row->gain + c, count, 0.0f));
}

/* dx = rstd t (+ dsum) */
LANES_INLINE void norm_store_gradient(const struct norm_grad_row *row, int64_t c, struct f32x16 t, int count, int bf16)
{
    struct f32x16 rstd = vec_set(row->rstd);

    t = row->dsum != NULL ? vec_fma(rstd, t, lanes_load(row->dsum, bf16, row->at + c, count)) : vec_mul(rstd, t);
    lanes_store(row->dx, bf16, row->at + c, t, count);
}

/* Defines the kernel KERNEL_NAME(op_name). `where` is its struct norm_grad_operands, grad_row(row, bf16) makes dx of a
 * row. dx is made row by row, dgain and dbias channel by channel: no sum is split over threads. The channels come
 * first, as dx may lie where dy or dsum does. */
#define NORM_GRAD_KERNEL(op_name, classes, where, grad_row)                                                            \
    LANES_INLINE void op_name##_rows(const struct kernel_call *call, struct lanes_range tokens, int bf16)              \
    {                                                                                                                  \
        struct norm_grad_row row = norm_grad_rows(call, &where);                                                       \
                                                                                                                       \
        for (int64_t token = tokens.begin; token < tokens.end; token++) {                                              \
            norm_grad_take(&row, token);                                                                               \
            grad_row(&row, bf16);                                                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    LANES_RUN(op_name##_rows, where.sums.dy, lanes_rows, op_name##_rows)                                               \
    TOKEN_SUMS_RUN(op_name##_sums, op_name, where.sums)                                                                \
    static void op_name##_run(const struct kernel_call *call)                                                          \
    {                                                                                                                  \
        op_name##_sums_run(call);                                                                                      \
        op_name##_rows_run(call);                                                                                      \
    }                                                                                                                  \
    TOKEN_SUMS_KERNEL(op_name, classes, where.sums, op_name##_run)

#endif
