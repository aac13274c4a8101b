/* The gradient of rmsnorm. */
#include "kernels/norms.h"

static const struct norm_grad_operands operands = {.sums = {.dy = LLMRUN_RMSNORM_GRAD_DY,
                                                            .value = LLMRUN_RMSNORM_GRAD_SUM,
                                                            .mean = TOKEN_SUMS_NONE,
                                                            .rstd = LLMRUN_RMSNORM_GRAD_RSTD,
                                                            .dgain = LLMRUN_RMSNORM_GRAD_DGAIN,
                                                            .dbias = TOKEN_SUMS_NONE},
                                                   .gain = LLMRUN_RMSNORM_GRAD_GAIN,
                                                   .dsum = LLMRUN_RMSNORM_GRAD_DSUM,
                                                   .dx = LLMRUN_RMSNORM_GRAD_DX};

LANES_INLINE struct f32x16 normalized(const struct norm_grad_row *row, int64_t c, int count, int bf16)
{
    return vec_mul(lanes_load(row->value, bf16, row->at + c, count), vec_set(row->rstd));
}

/* With g = dy gain and n the normalized value: dx = rstd (g - n mean(g n)) (+ dsum). */
LANES_INLINE void grad_row(const struct norm_grad_row *row, int bf16)
{
    struct f32x16 products = vec_zero(), mean_product;

    for (int64_t c = 0; c < row->channels; c += VEC_LANES) {
        int count = vec_lanes_left(row->channels, c);
        struct f32x16 n = normalized(row, c, count, bf16);

        if (count < VEC_LANES) /* a row whose rstd is not finite makes NaNs beyond its end */
            n = vec_keep(n, count);
        products = vec_fma(norm_scaled_gradient(row, c, count, bf16), n, products);
    }
    mean_product = vec_set(vec_sum(products) / (float)row->channels);
    for (int64_t c = 0; c < row->channels; c += VEC_LANES) {
        int count = vec_lanes_left(row->channels, c);
        struct f32x16 t = norm_scaled_gradient(row, c, count, bf16);

        t = vec_fnma(normalized(row, c, count, bf16), mean_product, t);
        norm_store_gradient(row, c, t, count, bf16);
    }
}

NORM_GRAD_KERNEL(rmsnorm_grad, "ccffccf", operands, grad_row)
