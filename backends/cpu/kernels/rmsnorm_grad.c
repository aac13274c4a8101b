/* The gradient of rmsnorm. dx is made row by row, dgain channel by channel: no sum is split over threads. */
#include "kernels/token_sums.h"

struct grad_row {
    const void *dy;
    const void *value; /* the norm's sum */
    const float *gain;
    const void *dsum; /* or NULL */
    void *dx;
    int64_t at; /* element of the row's first channel */
    int64_t channels;
    float rstd;
};

LANES_INLINE struct f32x16 normalized(const struct grad_row *row, int64_t c, int count, int bf16)
{
    return vec_mul(lanes_load(row->value, bf16, row->at + c, count), vec_set(row->rstd));
}

LANES_INLINE struct f32x16 scaled_gradient(const struct grad_row *row, int64_t c, int count, int bf16)
{
    return vec_mul(lanes_load(row->dy, bf16, row->at + c, count), vec_load_part(row->gain + c, count, 0.0f));
}

/* With g = dy gain and n the normalized value: dx = rstd (g - n mean(g n)) (+ dsum). */
LANES_INLINE void grad_row(const struct grad_row *row, int bf16)
{
    struct f32x16 products = vec_zero(), mean_product;

    for (int64_t c = 0; c < row->channels; c += VEC_LANES) {
        int count = vec_lanes_left(row->channels, c);
        struct f32x16 n = normalized(row, c, count, bf16);

        if (count < VEC_LANES) /* a row whose rstd is not finite makes NaNs beyond its end */
            n = vec_keep(n, count);
        products = vec_fma(scaled_gradient(row, c, count, bf16), n, products);
    }
    mean_product = vec_set(vec_sum(products) / (float)row->channels);
    for (int64_t c = 0; c < row->channels; c += VEC_LANES) {
        int count = vec_lanes_left(row->channels, c);
        struct f32x16 t = scaled_gradient(row, c, count, bf16), rstd = vec_set(row->rstd);

        t = vec_fnma(normalized(row, c, count, bf16), mean_product, t);
        t = row->dsum != NULL ? vec_fma(rstd, t, lanes_load(row->dsum, bf16, row->at + c, count)) : vec_mul(rstd, t);
        lanes_store(row->dx, bf16, row->at + c, t, count);
    }
}

static void rows_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const struct llmrun_tensor *dy = &call->op->operands[LLMRUN_RMSNORM_GRAD_DY];
    struct lanes_range tokens = lanes_part(dy->shape[0], lanes_part_rows(dy->shape[1]), task);
    struct grad_row row = {.dy = call->operands[LLMRUN_RMSNORM_GRAD_DY],
                           .value = call->operands[LLMRUN_RMSNORM_GRAD_SUM],
                           .gain = call->operands[LLMRUN_RMSNORM_GRAD_GAIN],
                           .dsum = call->operands[LLMRUN_RMSNORM_GRAD_DSUM],
                           .dx = call->operands[LLMRUN_RMSNORM_GRAD_DX],
                           .channels = dy->shape[1]};

    (void)thread;
    for (int64_t token = tokens.begin; token < tokens.end; token++) {
        row.at = token * row.channels;
        row.rstd = ((const float *)call->operands[LLMRUN_RMSNORM_GRAD_RSTD])[token];
        if (operand_is_bf16(call->op, LLMRUN_RMSNORM_GRAD_DY))
            grad_row(&row, 1);
        else
            grad_row(&row, 0);
    }
}

static void channels_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const struct llmrun_tensor *dy = &call->op->operands[LLMRUN_RMSNORM_GRAD_DY];
    const struct llmrun_rmsnorm_grad_attributes *attributes = call->op->attributes;
    const struct token_sums sums = {.dy = call->operands[LLMRUN_RMSNORM_GRAD_DY],
                                    .value = call->operands[LLMRUN_RMSNORM_GRAD_SUM],
                                    .rstd = call->operands[LLMRUN_RMSNORM_GRAD_RSTD],
                                    .dgain = call->operands[LLMRUN_RMSNORM_GRAD_DGAIN],
                                    .tokens = dy->shape[0],
                                    .channels = dy->shape[1],
                                    .sequence = attributes->sequence,
                                    .lanes = attributes->lanes,
                                    .chunks = attributes->chunks};
    int64_t part = lanes_part_channels(sums.channels, pool_threads(call->pool));
    struct lanes_range channels = lanes_part(sums.channels, part, task);

    (void)thread;
    if (operand_is_bf16(call->op, LLMRUN_RMSNORM_GRAD_DY))
        token_sums_range(&sums, channels, 1, 1);
    else
        token_sums_range(&sums, channels, 0, 1);
}

/* The channels first: dx may lie where dy or dsum does. */
static void rmsnorm_grad_run(const struct kernel_call *call)
{
    const struct llmrun_tensor *dy = &call->op->operands[LLMRUN_RMSNORM_GRAD_DY];
    int64_t channels = dy->shape[1];

    token_sums_clear(call, LLMRUN_RMSNORM_GRAD_DGAIN);
    if (call->operands[LLMRUN_RMSNORM_GRAD_DGAIN] != NULL)
        pool_run(call->pool, lanes_parts(channels, lanes_part_channels(channels, pool_threads(call->pool))),
                 channels_task, (void *)call);
    pool_run(call->pool, lanes_parts(dy->shape[0], lanes_part_rows(channels)), rows_task, (void *)call);
}

static int query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason, size_t reason_bytes)
{
    const struct llmrun_rmsnorm_grad_attributes *attributes = op->attributes;
    const struct llmrun_tensor *dgain = &op->operands[LLMRUN_RMSNORM_GRAD_DGAIN];

    (void)threads;
    (void)workspace_bytes;
    if (!operand_fit(op, "ccffccf", 1u << LLMRUN_RMSNORM_GRAD_DGAIN, reason, reason_bytes))
        return 0;
    return dgain->dtype == LLMRUN_NONE ||
           token_sums_fit(op->operands[LLMRUN_RMSNORM_GRAD_DY].shape[0], attributes->sequence, attributes->lanes,
                          attributes->chunks, dgain->shape[0], reason, reason_bytes);
}

extern const struct kernel KERNEL_NAME(rmsnorm_grad);
const struct kernel KERNEL_NAME(rmsnorm_grad) = {
    .name = "rmsnorm_grad " KERNEL_ISA_TEXT, .query = query, .run = rmsnorm_grad_run};
