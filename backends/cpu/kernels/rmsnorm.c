/* rmsnorm with the residual that comes before it (Zhang, Sennrich 2019). */
#include <math.h>

#include "kernels/norms.h"

/* Mean of the squares. */
LANES_INLINE float row_mean_square(const struct norm_row *row, int bf16)
{
    struct f32x16 total = vec_zero();

    for (int64_t c = 0; c < row->channels; c += VEC_LANES) {
        int count = vec_lanes_left(row->channels, c);
        struct f32x16 v = norm_first_value(row, c, count, bf16);

        total = vec_fma(v, v, total);
    }
    return vec_sum(total) / (float)row->channels;
}

LANES_INLINE void rmsnorm_rows(const struct kernel_call *call, struct lanes_range tokens, int bf16)
{
    const struct llmrun_rmsnorm_attributes *attributes = call->op->attributes;
    const float *weight = call->operands[LLMRUN_RMSNORM_WEIGHT];
    float *rstds = call->operands[LLMRUN_RMSNORM_RSTD];
    int64_t channels = call->op->operands[LLMRUN_RMSNORM_WEIGHT].shape[0];
    int64_t heads = call->op->operands[LLMRUN_RMSNORM_RSTD].shape[1];

    for (int64_t at = tokens.begin * heads; at < tokens.end * heads; at++) {
        struct norm_row row = {call->operands[LLMRUN_RMSNORM_X], call->operands[LLMRUN_RMSNORM_RESIDUAL],
                               call->operands[LLMRUN_RMSNORM_RESIDUAL_OUT], at * channels, channels};
        float rstd = 1.0f / sqrtf(row_mean_square(&row, bf16) + attributes->epsilon);

        norm_passed(&row);
        for (int64_t c = 0; c < channels; c += VEC_LANES) {
            int count = vec_lanes_left(channels, c);
            struct f32x16 v = vec_mul(norm_value(&row, c, count, bf16), vec_set(rstd));

            v = vec_mul(v, vec_load_part(weight + c, count, 0.0f));
            lanes_store(call->operands[LLMRUN_RMSNORM_Y], bf16, row.at + c, v, count);
        }
        rstds[at] = rstd;
    }
}

LANES_RUN(rmsnorm, LLMRUN_RMSNORM_X, lanes_rows, rmsnorm_rows)
LANES_KERNEL(rmsnorm, 0, rmsnorm_run)
