/* swiglu, swiglu_grad (Shazeer 2020, "GLU Variants Improve Transformer") */
#include "kernels/lanes.h"
#include "kernels/math.h"

LANES_INLINE void swiglu_range(const struct kernel_call *call, struct lanes_range range, int bf16)
{
    struct f32x16 one = vec_set(1.0f);

    for (int64_t i = range.begin; i < range.end; i += VEC_LANES) {
        int count = vec_lanes_left(range.end, i);
        struct f32x16 x = lanes_load(call->operands[LLMRUN_SWIGLU_GATE], bf16, i, count);
        struct f32x16 up = lanes_load(call->operands[LLMRUN_SWIGLU_UP], bf16, i, count);
        struct f32x16 e = math_exp(vec_neg(vec_abs(x)));
        struct f32x16 s = vec_div(vec_select(vec_lt(x, vec_zero()), e, one), vec_add(one, e));

        lanes_store(call->operands[LLMRUN_SWIGLU_Y], bf16, i, vec_mul(vec_mul(x, s), up), count);
    }
}

/* With s the logistic function of x, k = 1 - s for x >= 0 and s below, the derivative of x s is s + x s (1 - s). */
LANES_INLINE void swiglu_grad_range(const struct kernel_call *call, struct lanes_range range, int bf16)
{
    struct f32x16 one = vec_set(1.0f);

    for (int64_t i = range.begin; i < range.end; i += VEC_LANES) {
        int count = vec_lanes_left(range.end, i);
        struct f32x16 dy = lanes_load(call->operands[LLMRUN_SWIGLU_GRAD_DY], bf16, i, count);
        struct f32x16 x = lanes_load(call->operands[LLMRUN_SWIGLU_GRAD_GATE], bf16, i, count);
        struct f32x16 dsilu = vec_mul(dy, lanes_load(call->operands[LLMRUN_SWIGLU_GRAD_UP], bf16, i, count));
        struct f32x16 e = math_exp(vec_neg(vec_abs(x)));
        struct f32x16 r = vec_div(one, vec_add(one, e)), k = vec_mul(e, r);
        struct f32x16 s = vec_select(vec_lt(x, vec_zero()), k, r);
        struct f32x16 slope = vec_fma(x, vec_mul(k, r), s);

        lanes_store(call->operands[LLMRUN_SWIGLU_GRAD_DGATE], bf16, i, vec_mul(dsilu, slope), count);
        lanes_store(call->operands[LLMRUN_SWIGLU_GRAD_DUP], bf16, i, vec_mul(dy, vec_mul(x, s)), count);
    }
}

LANES_RUN(swiglu, LLMRUN_SWIGLU_Y, lanes_elements, swiglu_range)
LANES_RUN(swiglu_grad, LLMRUN_SWIGLU_GRAD_DY, lanes_elements, swiglu_grad_range)
LANES_KERNEL(swiglu, 0, swiglu_run)
LANES_KERNEL(swiglu_grad, 0, swiglu_grad_run)
