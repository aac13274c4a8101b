/* layernorm with the residual that comes before it (Ba, Kiros, Hinton 2016). */
#include <math.h>

#include "kernels/norms.h"

LANES_INLINE float row_mean(const struct norm_row *row, int bf16)
{
    struct f32x16 total = vec_zero();

    for (int64_t c = 0; c < row->channels; c += VEC_LANES) {
        int count = vec_lanes_left(row->channels, c);
        struct f32x16 v = norm_first_value(row, c, count, bf16);

        total = vec_add(total, v);
    }
    return vec_sum(total) / (float)row->channels;
}

LANES_INLINE float row_variance(const struct norm_row *row, float mean, int bf16)
{
    struct f32x16 total = vec_zero();

    for (int64_t c = 0; c < row->channels; c += VEC_LANES) {
        int count = vec_lanes_left(row->channels, c);
        struct f32x16 d = vec_sub(norm_value(row, c, count, bf16), vec_set(mean));

        if (count < VEC_LANES)
            d = vec_keep(d, count);
        total = vec_fma(d, d, total);
    }
    return vec_sum(total) / (float)row->channels;
}

LANES_INLINE void layernorm_rows(const struct kernel_call *call, struct lanes_range tokens, int bf16)
{
    const struct llmrun_layernorm_attributes *attributes = call->op->attributes;
    const float *weight = call->operands[LLMRUN_LAYERNORM_WEIGHT], *bias = call->operands[LLMRUN_LAYERNORM_BIAS];
    float *means = call->operands[LLMRUN_LAYERNORM_MEAN], *rstds = call->operands[LLMRUN_LAYERNORM_RSTD];
    const void *x = call->operands[LLMRUN_LAYERNORM_X], *residual = call->operands[LLMRUN_LAYERNORM_RESIDUAL];
    void *sum = call->operands[LLMRUN_LAYERNORM_RESIDUAL_OUT];
    int64_t channels = call->op->operands[LLMRUN_LAYERNORM_X].shape[1];

    for (int64_t token = tokens.begin; token < tokens.end; token++) {
        struct norm_row row = {x, residual, sum, token * channels, channels};
        float mean, rstd;

        mean = row_mean(&row, bf16);
        norm_passed(&row);
        rstd = 1.0f / sqrtf(row_variance(&row, mean, bf16) + attributes->epsilon);
        for (int64_t c = 0; c < channels; c += VEC_LANES) {
            int count = vec_lanes_left(channels, c);
            struct f32x16 v = vec_sub(norm_value(&row, c, count, bf16), vec_set(mean));
            struct f32x16 g = vec_load_part(weight + c, count, 0.0f);

            v = vec_mul(v, vec_set(rstd));
            v = bias != NULL ? vec_fma(v, g, vec_load_part(bias + c, count, 0.0f)) : vec_mul(v, g);
            lanes_store(call->operands[LLMRUN_LAYERNORM_Y], bf16, row.at + c, v, count);
        }
        means[token] = mean;
        rstds[token] = rstd;
    }
}

LANES_RUN(layernorm, LLMRUN_LAYERNORM_X, lanes_rows, layernorm_rows)
LANES_KERNEL(layernorm, 0, layernorm_run)
