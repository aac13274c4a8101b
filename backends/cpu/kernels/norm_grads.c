/* The gradients of layernorm and rmsnorm. */
#include "kernels/token_sums.h"

struct norm_grad_operands {
    struct token_sums_operands sums; /* dy, and what the channels need */
    int weight;
    int dsum;
    int dx;
};

static const struct norm_grad_operands layernorm = {.sums = {.dy = LLMRUN_LAYERNORM_GRAD_DY,
                                                             .value = LLMRUN_LAYERNORM_GRAD_RESIDUAL_OUT,
                                                             .mean = LLMRUN_LAYERNORM_GRAD_MEAN,
                                                             .rstd = LLMRUN_LAYERNORM_GRAD_RSTD,
                                                             .dweight = LLMRUN_LAYERNORM_GRAD_DWEIGHT,
                                                             .dbias = LLMRUN_LAYERNORM_GRAD_DBIAS},
                                                    .weight = LLMRUN_LAYERNORM_GRAD_WEIGHT,
                                                    .dsum = LLMRUN_LAYERNORM_GRAD_DRESIDUAL_OUT,
                                                    .dx = LLMRUN_LAYERNORM_GRAD_DX};

static const struct norm_grad_operands rmsnorm = {.sums = {.dy = LLMRUN_RMSNORM_GRAD_DY,
                                                           .value = LLMRUN_RMSNORM_GRAD_RESIDUAL_OUT,
                                                           .mean = TOKEN_SUMS_NONE,
                                                           .rstd = LLMRUN_RMSNORM_GRAD_RSTD,
                                                           .dweight = LLMRUN_RMSNORM_GRAD_DWEIGHT,
                                                           .dbias = TOKEN_SUMS_NONE},
                                                  .weight = LLMRUN_RMSNORM_GRAD_WEIGHT,
                                                  .dsum = LLMRUN_RMSNORM_GRAD_DRESIDUAL_OUT,
                                                  .dx = LLMRUN_RMSNORM_GRAD_DX};

struct norm_grad_row {
    const void *dy;
    const void *value; /* the norm's sum */
    const float *weight;
    const void *dsum; /* or NULL */
    void *dx;
    int64_t channels;
    int64_t at; /* element of the row's first channel */
    float mean; /* where the norm has one */
    float rstd;
};

/* dy weight */
LANES_INLINE struct f32x16 scaled_gradient(const struct norm_grad_row *row, int64_t c, int count, int bf16)
{
    return vec_mul(lanes_load(row->dy, bf16, row->at + c, count), vec_load_part(row->weight + c, count, 0.0f));
}

/* Lanes from `count` on are not 0. */
LANES_INLINE struct f32x16 normalized(const struct norm_grad_row *row, int64_t c, int count, int bf16, int centered)
{
    struct f32x16 v = lanes_load(row->value, bf16, row->at + c, count);

    if (centered)
        v = vec_sub(v, vec_set(row->mean));
    return vec_mul(v, vec_set(row->rstd));
}

/* With g = dy weight and n the normalized value: dx = rstd (g - mean(g) - n mean(g n)) (+ dsum), for rmsnorm, which is
 * not centered, without mean(g). */
LANES_INLINE void grad_row(const struct norm_grad_row *row, int bf16, int centered)
{
    struct f32x16 total = vec_zero(), products = vec_zero(), rstd = vec_set(row->rstd), mean, mean_product;

    for (int64_t c = 0; c < row->channels; c += VEC_LANES) {
        int count = vec_lanes_left(row->channels, c);
        struct f32x16 g = scaled_gradient(row, c, count, bf16);
        struct f32x16 n = normalized(row, c, count, bf16, centered);

        if (count < VEC_LANES)
            n = vec_keep(n, count);
        if (centered)
            total = vec_add(total, g);
        products = vec_fma(g, n, products);
    }
    mean = vec_set(vec_sum(total) / (float)row->channels);
    mean_product = vec_set(vec_sum(products) / (float)row->channels);
    for (int64_t c = 0; c < row->channels; c += VEC_LANES) {
        int count = vec_lanes_left(row->channels, c);
        struct f32x16 t = scaled_gradient(row, c, count, bf16);

        if (centered)
            t = vec_sub(t, mean);
        t = vec_fnma(normalized(row, c, count, bf16, centered), mean_product, t);
        t = row->dsum != NULL ? vec_fma(rstd, t, lanes_load(row->dsum, bf16, row->at + c, count)) : vec_mul(rstd, t);
        lanes_store(row->dx, bf16, row->at + c, t, count);
    }
}

LANES_INLINE void grad_rows(const struct kernel_call *call, const struct norm_grad_operands *operands,
                            struct lanes_range tokens, int bf16, int centered)
{
    const float *means = token_sums_operand(call, operands->sums.mean), *rstds = call->operands[operands->sums.rstd];
    const int64_t channels = call->op->operands[operands->weight].shape[0];
    const int64_t heads = call->op->operands[operands->sums.dy].shape[1] / channels;
    struct norm_grad_row row = {.dy = call->operands[operands->sums.dy],
                                .value = call->operands[operands->sums.value],
                                .weight = call->operands[operands->weight],
                                .dsum = call->operands[operands->dsum],
                                .dx = call->operands[operands->dx],
                                .channels = channels};

    for (int64_t at = tokens.begin * heads; at < tokens.end * heads; at++) {
        row.at = at * channels;
        row.mean = centered ? means[at] : 0.0f;
        row.rstd = rstds[at];
        grad_row(&row, bf16, centered);
    }
}

/* Defines the kernel of norm##_grad. dx is made row by row, dweight and dbias channel by channel: no sum is split over
 * threads. The channels come first, as dx may lie where dy or dsum does. */
#define NORM_GRAD_KERNEL(norm, centered, heads)                                                                        \
    LANES_INLINE void norm##_grad_rows(const struct kernel_call *call, struct lanes_range tokens, int bf16)            \
    {                                                                                                                  \
        grad_rows(call, &norm, tokens, bf16, centered);                                                                \
    }                                                                                                                  \
    LANES_RUN(norm##_grad_rows, norm.sums.dy, lanes_rows, norm##_grad_rows)                                            \
    TOKEN_SUMS_RUN(norm##_grad_sums, norm##_grad, norm.sums, heads)                                                    \
    static void norm##_grad_run(const struct kernel_call *call)                                                        \
    {                                                                                                                  \
        norm##_grad_sums_run(call);                                                                                    \
        norm##_grad_rows_run(call);                                                                                    \
    }                                                                                                                  \
    TOKEN_SUMS_KERNEL(norm##_grad, norm.sums, norm##_grad_run)
NORM_GRAD_KERNEL(layernorm, 1, 1)
NORM_GRAD_KERNEL(rmsnorm, 0, attributes->head_parts)
