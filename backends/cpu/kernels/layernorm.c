/* layernorm with the residual that comes before it (Ba, Kiros, Hinton 2016). */
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

LANES_INLINE float row_mean(const struct row *row, int bf16)
{
    struct f32x16 total = vec_zero();

    for (int64_t c = 0; c < row->channels; c += VEC_LANES) {
        int count = vec_lanes_left(row->channels, c);
        struct f32x16 v = row_value(row, c, count, bf16);

        total = vec_add(total, v);
        if (row->sum != NULL)
            lanes_store(row->sum, bf16, row->at + c, v, count);
    }
    return vec_sum(total) / (float)row->channels;
}

LANES_INLINE float row_variance(const struct row *row, float mean, int bf16)
{
    struct f32x16 total = vec_zero();

    for (int64_t c = 0; c < row->channels; c += VEC_LANES) {
        int count = vec_lanes_left(row->channels, c);
        struct f32x16 d = vec_sub(row_value(row, c, count, bf16), vec_set(mean));

        if (count < VEC_LANES)
            d = vec_keep(d, count);
        total = vec_fma(d, d, total);
    }
    return vec_sum(total) / (float)row->channels;
}

LANES_INLINE void layernorm_rows(const struct kernel_call *call, struct lanes_range tokens, int bf16)
{
    const struct llmrun_layernorm_attributes *attributes = call->op->attributes;
    const float *gain = call->operands[LLMRUN_LAYERNORM_GAIN], *bias = call->operands[LLMRUN_LAYERNORM_BIAS];
    float *means = call->operands[LLMRUN_LAYERNORM_MEAN], *rstds = call->operands[LLMRUN_LAYERNORM_RSTD];
    const void *x = call->operands[LLMRUN_LAYERNORM_X], *residual = call->operands[LLMRUN_LAYERNORM_RESIDUAL];
    void *sum = call->operands[LLMRUN_LAYERNORM_SUM];
    int64_t channels = call->op->operands[LLMRUN_LAYERNORM_X].shape[1];

    for (int64_t token = tokens.begin; token < tokens.end; token++) {
        struct row row = {x, residual, sum, token * channels, channels};
        float mean, rstd;

        mean = row_mean(&row, bf16);
        if (sum != NULL) { /* which may lie where x or the residual did */
            row.x = sum;
            row.residual = NULL;
        }
        rstd = 1.0f / sqrtf(row_variance(&row, mean, bf16) + attributes->epsilon);
        for (int64_t c = 0; c < channels; c += VEC_LANES) {
            int count = vec_lanes_left(channels, c);
            struct f32x16 v = vec_sub(row_value(&row, c, count, bf16), vec_set(mean));
            struct f32x16 g = vec_load_part(gain + c, count, 0.0f);

            v = vec_mul(v, vec_set(rstd));
            v = bias != NULL ? vec_fma(v, g, vec_load_part(bias + c, count, 0.0f)) : vec_mul(v, g);
            lanes_store(call->operands[LLMRUN_LAYERNORM_Y], bf16, row.at + c, v, count);
        }
        means[token] = mean;
        rstds[token] = rstd;
    }
}

static void layernorm_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const struct llmrun_tensor *x = &call->op->operands[LLMRUN_LAYERNORM_X];
    struct lanes_range tokens = lanes_part(x->shape[0], lanes_part_rows(x->shape[1]), task);

    (void)thread;
    if (operand_is_bf16(call->op, LLMRUN_LAYERNORM_X))
        layernorm_rows(call, tokens, 1);
    else
        layernorm_rows(call, tokens, 0);
}

static void layernorm_run(const struct kernel_call *call)
{
    const struct llmrun_tensor *x = &call->op->operands[LLMRUN_LAYERNORM_X];

    pool_run(call->pool, lanes_parts(x->shape[0], lanes_part_rows(x->shape[1])), layernorm_task, (void *)call);
}

LANES_KERNEL(layernorm, "ccffccff", 0, layernorm_run)
