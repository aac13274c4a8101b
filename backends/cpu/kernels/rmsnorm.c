/* rmsnorm with the residual that comes before it (Zhang, Sennrich 2019). */
#include <math.h>

#include "kernels/lanes.h"

struct row {
    const void *x;
    const void *residual; /* or NULL */
    void *sum;            /* or NULL */
    int64_t at;           /* element of the row's first channel */
    int64_t channels;
};

/* x (+ residual) of the row, rounded to the compute type: it is what `sum` holds, whether that is wanted or not. */
LANES_INLINE struct f32x16 row_value(const struct row *row, int64_t c, int count, int bf16)
{
    struct f32x16 v = lanes_load(row->x, bf16, row->at + c, count);

    if (row->residual == NULL)
        return v;
    v = vec_add(v, lanes_load(row->residual, bf16, row->at + c, count));
    return bf16 ? vec_round_bf16(v) : v;
}

/* Mean of the squares. */
LANES_INLINE float row_mean_square(const struct row *row, int bf16)
{
    struct f32x16 total = vec_zero();

    for (int64_t c = 0; c < row->channels; c += VEC_LANES) {
        int count = vec_lanes_left(row->channels, c);
        struct f32x16 v = row_value(row, c, count, bf16);

        total = vec_fma(v, v, total);
        if (row->sum != NULL)
            lanes_store(row->sum, bf16, row->at + c, v, count);
    }
    return vec_sum(total) / (float)row->channels;
}

LANES_INLINE void rmsnorm_rows(const struct kernel_call *call, struct lanes_range tokens, int bf16)
{
    const struct llmrun_rmsnorm_attributes *attributes = call->op->attributes;
    const float *gain = call->operands[LLMRUN_RMSNORM_GAIN];
    float *rstds = call->operands[LLMRUN_RMSNORM_RSTD];
    int64_t channels = call->op->operands[LLMRUN_RMSNORM_X].shape[1];

    for (int64_t token = tokens.begin; token < tokens.end; token++) {
        struct row row = {call->operands[LLMRUN_RMSNORM_X], call->operands[LLMRUN_RMSNORM_RESIDUAL],
                          call->operands[LLMRUN_RMSNORM_SUM], token * channels, channels};
        float rstd = 1.0f / sqrtf(row_mean_square(&row, bf16) + attributes->epsilon);

        if (row.sum != NULL) { /* which may lie where x or the residual did */
            row.x = row.sum;
            row.residual = NULL;
        }
        for (int64_t c = 0; c < channels; c += VEC_LANES) {
            int count = vec_lanes_left(channels, c);
            struct f32x16 v = vec_mul(row_value(&row, c, count, bf16), vec_set(rstd));

            v = vec_mul(v, vec_load_part(gain + c, count, 0.0f));
            lanes_store(call->operands[LLMRUN_RMSNORM_Y], bf16, row.at + c, v, count);
        }
        rstds[token] = rstd;
    }
}

static void rmsnorm_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const struct llmrun_tensor *x = &call->op->operands[LLMRUN_RMSNORM_X];
    struct lanes_range tokens = lanes_part(x->shape[0], lanes_part_rows(x->shape[1]), task);

    (void)thread;
    if (operand_is_bf16(call->op, LLMRUN_RMSNORM_X))
        rmsnorm_rows(call, tokens, 1);
    else
        rmsnorm_rows(call, tokens, 0);
}

static void rmsnorm_run(const struct kernel_call *call)
{
    const struct llmrun_tensor *x = &call->op->operands[LLMRUN_RMSNORM_X];

    pool_run(call->pool, lanes_parts(x->shape[0], lanes_part_rows(x->shape[1])), rmsnorm_task, (void *)call);
}

LANES_KERNEL(rmsnorm, "ccfccf", 0, rmsnorm_run)
