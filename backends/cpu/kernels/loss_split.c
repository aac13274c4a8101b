/* loss_statistics and loss_gradient: linear_cross_entropy between its products, for ranks that have parts of the
 * vocabulary. What they exchange in between are the statistics, [parts, 3, tokens]. */
#include "kernels/loss_row.h"

enum { STATISTIC_MAXIMUM, STATISTIC_SUM, STATISTIC_TARGET, STATISTICS };

static void statistics_task(void *context, int64_t token, int thread)
{
    const struct kernel_call *call = context;
    const struct llmrun_loss_statistics_attributes *attributes = call->op->attributes;
    const int64_t *shape = call->op->operands[LLMRUN_LOSS_STATISTICS_LOGITS].shape;
    const int64_t tokens = shape[0], size = shape[1] / attributes->vocabulary_parts;
    const int64_t target = ((const int32_t *)call->operands[LLMRUN_LOSS_STATISTICS_TARGETS])[token];
    const float *row = (const float *)call->operands[LLMRUN_LOSS_STATISTICS_LOGITS] + token * shape[1];
    const float elsewhere = target >= 0 && target < attributes->full ? -0.0f : NAN;

    (void)thread;
    for (int64_t i = 0; i < attributes->vocabulary_parts; i++) {
        float *to = (float *)call->operands[LLMRUN_LOSS_STATISTICS_STATISTICS] + i * STATISTICS * tokens + token;
        const struct lanes_range range = loss_part(size, attributes->vocabulary, i);
        const int64_t column = target - attributes->first;

        to[STATISTIC_MAXIMUM * tokens] = loss_maximum(row, range);
        to[STATISTIC_SUM * tokens] = loss_exponents(row, range, to[STATISTIC_MAXIMUM * tokens], NULL);
        to[STATISTIC_TARGET * tokens] = column >= range.begin && column < range.end ? row[column] : elsewhere;
    }
}

static void statistics_run(const struct kernel_call *call)
{
    pool_run(call->pool, call->op->operands[LLMRUN_LOSS_STATISTICS_LOGITS].shape[0], statistics_task, (void *)call);
}

/* Those of a token; returns the target's logit, which one part has. */
static float read_statistics(const struct kernel_call *call, int64_t token, struct loss_parts *parts)
{
    const int64_t *shape = call->op->operands[LLMRUN_LOSS_GRADIENT_STATISTICS].shape;
    const float *at = (const float *)call->operands[LLMRUN_LOSS_GRADIENT_STATISTICS] + token;
    const int64_t tokens = shape[2];
    float target_logit = -0.0f; /* changes no number that is added */

    parts->count = shape[0];
    for (int64_t i = 0; i < parts->count; i++, at += STATISTICS * tokens) {
        parts->own[i] = at[STATISTIC_MAXIMUM * tokens];
        parts->sum[i] = at[STATISTIC_SUM * tokens];
        target_logit += at[STATISTIC_TARGET * tokens];
    }
    return target_logit;
}

LANES_INLINE void gradient_part(const float *row, struct lanes_range range, float maximum, float scale, void *to,
                                int bf16)
{
    for (int64_t v = range.begin; v < range.end; v += VEC_LANES) {
        int lanes = vec_lanes_left(range.end, v);
        struct f32x16 e = math_exp(vec_sub(vec_load_part(row + v, lanes, -INFINITY), vec_set(maximum)));

        lanes_store(to, bf16, v, vec_mul(e, vec_set(scale)), lanes);
    }
}

/* `gradient`: of the loss of the token. */
LANES_INLINE void gradient_row(const struct kernel_call *call, const struct loss_parts *parts, int64_t token,
                               float gradient, int bf16)
{
    const struct llmrun_loss_gradient_attributes *attributes = call->op->attributes;
    const int64_t columns = call->op->operands[LLMRUN_LOSS_GRADIENT_LOGITS].shape[1];
    const int64_t size = columns / attributes->vocabulary_parts, first = attributes->first / size;
    const int64_t target = ((const int32_t *)call->operands[LLMRUN_LOSS_GRADIENT_TARGETS])[token] - attributes->first;
    const float *row = (const float *)call->operands[LLMRUN_LOSS_GRADIENT_LOGITS] + token * columns;
    void *to = (char *)call->operands[LLMRUN_LOSS_GRADIENT_DLOGITS] + token * columns * (bf16 ? 2 : 4);
    const float factor = 1.0f / parts->total * gradient;

    for (int64_t i = 0; i < attributes->vocabulary_parts; i++) {
        const struct lanes_range range = loss_part(size, attributes->vocabulary, i);
        const float own = parts->own[first + i], scale = parts->scale[first + i] * factor;

        gradient_part(row, range, own, scale, to, bf16);
        if (target >= range.begin && target < range.end)
            lanes_store(to, bf16, target, vec_set(fmaf(loss_exp(row[target] - own), scale, -gradient)), 1);
    }
    loss_zeros(to, bf16, attributes->vocabulary, columns);
}

/* The workspace has the losses of the tokens. */
static void gradient_task(void *context, int64_t token, int thread)
{
    const struct kernel_call *call = context;
    const float weight = ((const float *)call->operands[LLMRUN_LOSS_GRADIENT_LOSS_WEIGHTS])[token];
    const float gradient = weight * ((const float *)call->operands[LLMRUN_LOSS_GRADIENT_SCALE])[0];
    const int bf16 = operand_is_bf16(call->op, LLMRUN_LOSS_GRADIENT_DLOGITS);
    const int64_t columns = call->op->operands[LLMRUN_LOSS_GRADIENT_LOGITS].shape[1];
    char *dlogits = call->operands[LLMRUN_LOSS_GRADIENT_DLOGITS];
    double *of_token = call->workspace;
    struct loss_parts parts;
    float target_logit;

    (void)thread;
    of_token[token] = 0.0;
    if (weight == 0.0f) {
        if (dlogits != NULL)
            loss_zeros(dlogits + token * columns * (bf16 ? 2 : 4), bf16, 0, columns);
        return;
    }
    target_logit = read_statistics(call, token, &parts);
    loss_join(&parts);
    of_token[token] = loss_of_token(&parts, weight, target_logit);
    if (dlogits == NULL)
        return;
    if (bf16)
        gradient_row(call, &parts, token, gradient, 1);
    else
        gradient_row(call, &parts, token, gradient, 0);
}

static void gradient_run(const struct kernel_call *call)
{
    const struct llmrun_loss_gradient_attributes *attributes = call->op->attributes;
    const int64_t tokens = call->op->operands[LLMRUN_LOSS_GRADIENT_LOGITS].shape[0];

    pool_run(call->pool, tokens, gradient_task, (void *)call);
    if (call->operands[LLMRUN_LOSS_GRADIENT_LOSSES] != NULL)
        loss_add(call, LLMRUN_LOSS_GRADIENT_LOSSES, call->workspace, tokens, attributes->seq_len);
}

static int gradient_query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason,
                          size_t reason_bytes)
{
    (void)threads;
    *workspace_bytes = op->operands[LLMRUN_LOSS_GRADIENT_LOGITS].shape[0] * (int64_t)sizeof(double);
    return operand_fit(op, 1u << LLMRUN_LOSS_GRADIENT_LOSSES, reason, reason_bytes);
}

LANES_KERNEL(loss_statistics, 0, statistics_run)
extern const struct kernel KERNEL_NAME(loss_gradient);
const struct kernel KERNEL_NAME(loss_gradient) = {
    .name = "loss_gradient " KERNEL_ISA_TEXT, .query = gradient_query, .run = gradient_run};
