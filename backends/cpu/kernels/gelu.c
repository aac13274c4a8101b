/* gelu, gelu_grad */
#include "kernels/lanes.h"
#include "kernels/math.h"

LANES_INLINE void gelu_range(const void *x, void *y, struct lanes_range range, int bf16)
{
    for (int64_t i = range.begin; i < range.end; i += VEC_LANES) {
        int count = vec_lanes_left(range.end, i);

        lanes_store(y, bf16, i, math_gelu(lanes_load(x, bf16, i, count)), count);
    }
}

static void gelu_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const void *x = call->operands[LLMRUN_GELU_X];
    void *y = call->operands[LLMRUN_GELU_Y];
    struct lanes_range range = lanes_part(operand_elements(&call->op->operands[LLMRUN_GELU_X]), LANES_PART, task);

    (void)thread;
    if (operand_is_bf16(call->op, LLMRUN_GELU_X))
        gelu_range(x, y, range, 1);
    else
        gelu_range(x, y, range, 0);
}

static void gelu_run(const struct kernel_call *call)
{
    pool_run(call->pool, lanes_parts(operand_elements(&call->op->operands[LLMRUN_GELU_X]), LANES_PART), gelu_task,
             (void *)call);
}

LANES_INLINE void gelu_grad_range(const void *dy, const void *x, void *dx, struct lanes_range range, int bf16)
{
    for (int64_t i = range.begin; i < range.end; i += VEC_LANES) {
        int count = vec_lanes_left(range.end, i);
        struct f32x16 slope = math_gelu_slope(lanes_load(x, bf16, i, count));

        lanes_store(dx, bf16, i, vec_mul(lanes_load(dy, bf16, i, count), slope), count);
    }
}

static void gelu_grad_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const void *dy = call->operands[LLMRUN_GELU_GRAD_DY];
    const void *x = call->operands[LLMRUN_GELU_GRAD_X];
    void *dx = call->operands[LLMRUN_GELU_GRAD_DX];
    struct lanes_range range = lanes_part(operand_elements(&call->op->operands[LLMRUN_GELU_GRAD_X]), LANES_PART, task);

    (void)thread;
    if (operand_is_bf16(call->op, LLMRUN_GELU_GRAD_X))
        gelu_grad_range(dy, x, dx, range, 1);
    else
        gelu_grad_range(dy, x, dx, range, 0);
}

static void gelu_grad_run(const struct kernel_call *call)
{
    pool_run(call->pool, lanes_parts(operand_elements(&call->op->operands[LLMRUN_GELU_GRAD_X]), LANES_PART),
             gelu_grad_task, (void *)call);
}

LANES_KERNEL(gelu, "cc", 0, gelu_run)
LANES_KERNEL(gelu_grad, "ccc", 0, gelu_grad_run)
