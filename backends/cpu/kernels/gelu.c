/* gelu, gelu_grad */
#include "kernels/lanes.h"
#include "kernels/math.h"

LANES_INLINE void gelu_range(const struct kernel_call *call, struct lanes_range range, int bf16)
{
    const void *x = call->operands[LLMRUN_GELU_X];
    void *y = call->operands[LLMRUN_GELU_Y];

    for (int64_t i = range.begin; i < range.end; i += VEC_LANES) {
        int count = vec_lanes_left(range.end, i);

        lanes_store(y, bf16, i, math_gelu(lanes_load(x, bf16, i, count)), count);
    }
}

LANES_INLINE void gelu_grad_range(const struct kernel_call *call, struct lanes_range range, int bf16)
{
    const void *dy = call->operands[LLMRUN_GELU_GRAD_DY], *x = call->operands[LLMRUN_GELU_GRAD_X];
    void *dx = call->operands[LLMRUN_GELU_GRAD_DX];

    for (int64_t i = range.begin; i < range.end; i += VEC_LANES) {
        int count = vec_lanes_left(range.end, i);
        struct f32x16 slope = math_gelu_slope(lanes_load(x, bf16, i, count));

        lanes_store(dx, bf16, i, vec_mul(lanes_load(dy, bf16, i, count), slope), count);
    }
}

LANES_RUN(gelu, LLMRUN_GELU_X, lanes_elements, gelu_range)
LANES_RUN(gelu_grad, LLMRUN_GELU_GRAD_X, lanes_elements, gelu_grad_range)
LANES_KERNEL(gelu, 0, gelu_run)
LANES_KERNEL(gelu_grad, 0, gelu_grad_run)
