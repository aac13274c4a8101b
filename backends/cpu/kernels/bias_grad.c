#include "kernels/token_sums.h"

static void bias_grad_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const struct llmrun_tensor *dy = &call->op->operands[LLMRUN_BIAS_GRAD_DY];
    const struct llmrun_bias_grad_attributes *attributes = call->op->attributes;
    const struct token_sums sums = {.dy = call->operands[LLMRUN_BIAS_GRAD_DY],
                                    .dbias = call->operands[LLMRUN_BIAS_GRAD_DBIAS],
                                    .tokens = dy->shape[0],
                                    .channels = dy->shape[1],
                                    .sequence = attributes->sequence,
                                    .lanes = attributes->lanes,
                                    .chunks = attributes->chunks};
    int64_t part = lanes_part_channels(sums.channels, pool_threads(call->pool));

    (void)thread;
    if (operand_is_bf16(call->op, LLMRUN_BIAS_GRAD_DY))
        token_sums_range(&sums, lanes_part(sums.channels, part, task), 1, 0);
    else
        token_sums_range(&sums, lanes_part(sums.channels, part, task), 0, 0);
}

static void bias_grad_run(const struct kernel_call *call)
{
    int64_t channels = call->op->operands[LLMRUN_BIAS_GRAD_DY].shape[1];

    token_sums_clear(call, LLMRUN_BIAS_GRAD_DBIAS);
    pool_run(call->pool, lanes_parts(channels, lanes_part_channels(channels, pool_threads(call->pool))), bias_grad_task,
             (void *)call);
}

static int query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason, size_t reason_bytes)
{
    const struct llmrun_bias_grad_attributes *attributes = op->attributes;

    (void)threads;
    (void)workspace_bytes;
    return operand_fit(op, "cf", 1u << LLMRUN_BIAS_GRAD_DBIAS, reason, reason_bytes) &&
           token_sums_fit(op->operands[LLMRUN_BIAS_GRAD_DY].shape[0], attributes->sequence, attributes->lanes,
                          attributes->chunks, op->operands[LLMRUN_BIAS_GRAD_DBIAS].shape[0], reason, reason_bytes);
}

extern const struct kernel KERNEL_NAME(bias_grad);
const struct kernel KERNEL_NAME(bias_grad) = {
    .name = "bias_grad " KERNEL_ISA_TEXT, .query = query, .run = bias_grad_run};
