/* The gradient of layernorm. */
#include "kernels/norms.h"

static const struct norm_grad_operands operands = {.sums = {.dy = LLMRUN_LAYERNORM_GRAD_DY,
                                                            .value = LLMRUN_LAYERNORM_GRAD_SUM,
                                                            .mean = LLMRUN_LAYERNORM_GRAD_MEAN,
                                                            .rstd = LLMRUN_LAYERNORM_GRAD_RSTD,
                                                            .dgain = LLMRUN_LAYERNORM_GRAD_DGAIN,
                                                            .dbias = LLMRUN_LAYERNORM_GRAD_DBIAS},
                                                   .gain = LLMRUN_LAYERNORM_GRAD_GAIN,
                                                   .dsum = LLMRUN_LAYERNORM_GRAD_DSUM,
                                                   .dx = LLMRUN_LAYERNORM_GRAD_DX};

LANES_INLINE struct f32x16 normalized(const struct norm_grad_row *row, int64_t c, int count, int bf16)
{
    struct f32x16 v = vec_sub(lanes_load(row->value, bf16, row->at + c, count), vec_set(row->mean));

    v = vec_mul(v, vec_set(row->rstd));
    return count < VEC_LANES ? vec_keep(v, count) : v;
}

/* With g = dy gain and n the normalized value: dx = rstd (g - mean(g) - n mean(g n)) (+ dsum). */
LANES_INLINE void grad_row(const struct norm_grad_row *row, int bf16)
{
    struct f32x16 total = vec_zero(), products = vec_zero(), mean, mean_product;

    for (int64_t c = 0; c < row->channels; c += VEC_LANES) {
        int count = vec_lanes_left(row->channels, c);
        struct f32x16 g = norm_scaled_gradient(row, c, count, bf16);

        total = vec_add(total, g);
        products = vec_fma(g, normalized(row, c, count, bf16), products);
    }
    mean = vec_set(vec_sum(total) / (float)row->channels);
    mean_product = vec_set(vec_sum(products) / (float)row->channels);
    for (int64_t c = 0; c < row->channels; c += VEC_LANES) {
        int count = vec_lanes_left(row->channels, c);
        struct f32x16 t = vec_sub(norm_scaled_gradient(row, c, count, bf16), mean);

        t = vec_fnma(normalized(row, c, count, bf16), mean_product, t);
        norm_store_gradient(row, c, t, count, bf16);
    }
}

NORM_GRAD_KERNEL(layernorm_grad, "ccfffccff", operands, grad_row)
