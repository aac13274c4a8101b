#include "kernels/token_sums.h"

static void bias_grad_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const struct llmrun_tensor *dy = &call->op->operands[LLMRUN_BIAS_GRAD_DY];
    const struct token_sums sums = {.dy = call->operands[LLMRUN_BIAS_GRAD_DY],
                                    .dbias = call->operands[LLMRUN_BIAS_GRAD_DBIAS],
                                    .tokens = dy->shape[0],
                                    .channels = dy->shape[1]};
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

LANES_KERNEL(bias_grad, "cf", 1u << LLMRUN_BIAS_GRAD_DBIAS, bias_grad_run)
