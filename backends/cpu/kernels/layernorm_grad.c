/* The gradient of layernorm. dx is made row by row, dgain and dbias channel by channel: no sum is split over threads.
 */
#include "kernels/token_sums.h"

struct grad_row {
    const void *dy;
    const void *value; /* the layernorm's sum */
    const float *gain;
    const void *dsum; /* or NULL */
    void *dx;
    int64_t at; /* element of the row's first channel */
    int64_t channels;
    float mean;
    float rstd;
};

LANES_INLINE struct f32x16 normalized(const struct grad_row *row, int64_t c, int count, int bf16)
{
    struct f32x16 v = vec_sub(lanes_load(row->value, bf16, row->at + c, count), vec_set(row->mean));

    v = vec_mul(v, vec_set(row->rstd));
    return count < VEC_LANES ? vec_keep(v, count) : v;
}

LANES_INLINE struct f32x16 scaled_gradient(const struct grad_row *row, int64_t c, int count, int bf16)
{
    return vec_mul(lanes_load(row->dy, bf16, row->at + c, count), vec_load_part(row->gain + c, count, 0.0f));
}

/* With g = dy gain and n the normalized value: dx = rstd (g - mean(g) - n mean(g n)) (+ dsum). */
LANES_INLINE void grad_row(const struct grad_row *row, int bf16)
{
    struct f32x16 total = vec_zero(), products = vec_zero(), mean, mean_product;

    for (int64_t c = 0; c < row->channels; c += VEC_LANES) {
        int count = vec_lanes_left(row->channels, c);
        struct f32x16 g = scaled_gradient(row, c, count, bf16);

        total = vec_add(total, g);
        products = vec_fma(g, normalized(row, c, count, bf16), products);
    }
    mean = vec_set(vec_sum(total) / (float)row->channels);
    mean_product = vec_set(vec_sum(products) / (float)row->channels);
    for (int64_t c = 0; c < row->channels; c += VEC_LANES) {
        int count = vec_lanes_left(row->channels, c);
        struct f32x16 t = vec_sub(scaled_gradient(row, c, count, bf16), mean);
        struct f32x16 rstd = vec_set(row->rstd);

        t = vec_fnma(normalized(row, c, count, bf16), mean_product, t);
        t = row->dsum != NULL ? vec_fma(rstd, t, lanes_load(row->dsum, bf16, row->at + c, count)) : vec_mul(rstd, t);
        lanes_store(row->dx, bf16, row->at + c, t, count);
    }
}

static void rows_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const struct llmrun_tensor *dy = &call->op->operands[LLMRUN_LAYERNORM_GRAD_DY];
    struct lanes_range tokens = lanes_part(dy->shape[0], lanes_part_rows(dy->shape[1]), task);
    struct grad_row row = {.dy = call->operands[LLMRUN_LAYERNORM_GRAD_DY],
                           .value = call->operands[LLMRUN_LAYERNORM_GRAD_SUM],
                           .gain = call->operands[LLMRUN_LAYERNORM_GRAD_GAIN],
                           .dsum = call->operands[LLMRUN_LAYERNORM_GRAD_DSUM],
                           .dx = call->operands[LLMRUN_LAYERNORM_GRAD_DX],
                           .channels = dy->shape[1]};

    (void)thread;
    for (int64_t token = tokens.begin; token < tokens.end; token++) {
        row.at = token * row.channels;
        row.mean = ((const float *)call->operands[LLMRUN_LAYERNORM_GRAD_MEAN])[token];
        row.rstd = ((const float *)call->operands[LLMRUN_LAYERNORM_GRAD_RSTD])[token];
        if (operand_is_bf16(call->op, LLMRUN_LAYERNORM_GRAD_DY))
            grad_row(&row, 1);
        else
            grad_row(&row, 0);
    }
}

static void channels_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const struct llmrun_tensor *dy = &call->op->operands[LLMRUN_LAYERNORM_GRAD_DY];
    const struct llmrun_layernorm_grad_attributes *attributes = call->op->attributes;
    const struct token_sums sums = {.dy = call->operands[LLMRUN_LAYERNORM_GRAD_DY],
                                    .value = call->operands[LLMRUN_LAYERNORM_GRAD_SUM],
                                    .mean = call->operands[LLMRUN_LAYERNORM_GRAD_MEAN],
                                    .rstd = call->operands[LLMRUN_LAYERNORM_GRAD_RSTD],
                                    .dgain = call->operands[LLMRUN_LAYERNORM_GRAD_DGAIN],
                                    .dbias = call->operands[LLMRUN_LAYERNORM_GRAD_DBIAS],
                                    .tokens = dy->shape[0],
                                    .channels = dy->shape[1],
                                    .sequence = attributes->sequence,
                                    .lanes = attributes->lanes,
                                    .chunks = attributes->chunks};
    int64_t part = lanes_part_channels(sums.channels, pool_threads(call->pool));
    struct lanes_range channels = lanes_part(sums.channels, part, task);
    int bf16 = operand_is_bf16(call->op, LLMRUN_LAYERNORM_GRAD_DY);

    (void)thread;
    if (sums.dgain == NULL && bf16)
        token_sums_range(&sums, channels, 1, 0);
    else if (sums.dgain == NULL)
        token_sums_range(&sums, channels, 0, 0);
    else if (bf16)
        token_sums_range(&sums, channels, 1, 1);
    else
        token_sums_range(&sums, channels, 0, 1);
}

/* The channels first: dx may lie where dy or dsum does. */
static void layernorm_grad_run(const struct kernel_call *call)
{
    const struct llmrun_tensor *dy = &call->op->operands[LLMRUN_LAYERNORM_GRAD_DY];
    int64_t channels = dy->shape[1];

    token_sums_clear(call, LLMRUN_LAYERNORM_GRAD_DGAIN);
    token_sums_clear(call, LLMRUN_LAYERNORM_GRAD_DBIAS);
    if (call->operands[LLMRUN_LAYERNORM_GRAD_DGAIN] != NULL || call->operands[LLMRUN_LAYERNORM_GRAD_DBIAS] != NULL)
        pool_run(call->pool, lanes_parts(channels, lanes_part_channels(channels, pool_threads(call->pool))),
                 channels_task, (void *)call);
    pool_run(call->pool, lanes_parts(dy->shape[0], lanes_part_rows(channels)), rows_task, (void *)call);
}

static int query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason, size_t reason_bytes)
{
    const struct llmrun_layernorm_grad_attributes *attributes = op->attributes;
    const struct llmrun_tensor *sums = &op->operands[LLMRUN_LAYERNORM_GRAD_DGAIN];
    uint32_t added = 1u << LLMRUN_LAYERNORM_GRAD_DGAIN | 1u << LLMRUN_LAYERNORM_GRAD_DBIAS;

    (void)threads;
    (void)workspace_bytes;
    if (!operand_fit(op, "ccfffccff", added, reason, reason_bytes))
        return 0;
    if (sums->dtype == LLMRUN_NONE)
        sums = &op->operands[LLMRUN_LAYERNORM_GRAD_DBIAS];
    return sums->dtype == LLMRUN_NONE ||
           token_sums_fit(op->operands[LLMRUN_LAYERNORM_GRAD_DY].shape[0], attributes->sequence, attributes->lanes,
                          attributes->chunks, sums->shape[0], reason, reason_bytes);
}

extern const struct kernel KERNEL_NAME(layernorm_grad);
const struct kernel KERNEL_NAME(layernorm_grad) = {
    .name = "layernorm_grad " KERNEL_ISA_TEXT, .query = query, .run = layernorm_grad_run};
