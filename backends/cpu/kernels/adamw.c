/* AdamW: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2. */
#include "kernels/lanes.h"

/* The step's numbers, the same for every element. */
struct adamw {
    const struct kernel_call *call;
    float beta1, rest1; /* 1 - beta1 */
    float beta2, rest2;
    float epsilon;
    float clip_scale;
    float decay; /* learning rate times weight decay */
    float step;  /* learning rate over the first bias correction */
    float root;  /* 1 over the second bias correction, which is of the root of the second moment */
};

LANES_INLINE void adamw_range(const struct adamw *adamw, struct lanes_range range, void *copy, int copy_bf16)
{
    const float *gradient = adamw->call->operands[LLMRUN_ADAMW_GRADIENT];
    float *parameter = adamw->call->operands[LLMRUN_ADAMW_PARAMETER];
    float *first = adamw->call->operands[LLMRUN_ADAMW_FIRST_MOMENT];
    float *second = adamw->call->operands[LLMRUN_ADAMW_SECOND_MOMENT];

    for (int64_t i = range.begin; i < range.end; i += VEC_LANES) {
        int count = vec_lanes_left(range.end, i);
        struct f32x16 p = vec_load_part(parameter + i, count, 0.0f);
        struct f32x16 g = vec_mul(vec_load_part(gradient + i, count, 0.0f), vec_set(adamw->clip_scale));
        struct f32x16 m = vec_mul(vec_set(adamw->rest1), g);
        struct f32x16 v = vec_mul(vec_mul(vec_set(adamw->rest2), g), g);
        struct f32x16 denominator;

        m = vec_fma(vec_set(adamw->beta1), vec_load_part(first + i, count, 0.0f), m);
        v = vec_fma(vec_set(adamw->beta2), vec_load_part(second + i, count, 0.0f), v);
        denominator = vec_fma(vec_sqrt(v), vec_set(adamw->root), vec_set(adamw->epsilon));
        p = vec_fnma(vec_set(adamw->decay), p, p);
        p = vec_fnma(vec_set(adamw->step), vec_div(m, denominator), p);
        vec_store_part(parameter + i, p, count);
        vec_store_part(first + i, m, count);
        vec_store_part(second + i, v, count);
        if (copy != NULL)
            lanes_store(copy, copy_bf16, i, p, count);
    }
}

static void adamw_task(void *context, int64_t task, int thread)
{
    const struct adamw *adamw = context;
    const struct llmrun_op *op = adamw->call->op;
    void *copy = adamw->call->operands[LLMRUN_ADAMW_COPY];
    struct lanes_range range = lanes_part(operand_elements(&op->operands[LLMRUN_ADAMW_PARAMETER]), LANES_PART, task);

    (void)thread;
    if (operand_is_bf16(op, LLMRUN_ADAMW_COPY))
        adamw_range(adamw, range, copy, 1);
    else
        adamw_range(adamw, range, copy, 0);
}

static void adamw_run(const struct kernel_call *call)
{
    const struct llmrun_adamw_attributes *attributes = call->op->attributes;
    const float rate = *(const float *)call->operands[LLMRUN_ADAMW_LEARNING_RATE];
    const float *bias_correction = call->operands[LLMRUN_ADAMW_BIAS_CORRECTION];
    struct adamw adamw = {.call = call,
                          .beta1 = attributes->beta1,
                          .rest1 = 1.0f - attributes->beta1,
                          .beta2 = attributes->beta2,
                          .rest2 = 1.0f - attributes->beta2,
                          .epsilon = attributes->epsilon,
                          .clip_scale = *(const float *)call->operands[LLMRUN_ADAMW_CLIP_SCALE],
                          .decay = rate * attributes->weight_decay,
                          .step = rate / bias_correction[0],
                          .root = 1.0f / bias_correction[1]};
    int64_t elements = operand_elements(&call->op->operands[LLMRUN_ADAMW_PARAMETER]);

    if (*(const uint32_t *)call->operands[LLMRUN_ADAMW_FOUND_INF] == 0)
        pool_run(call->pool, lanes_parts(elements, LANES_PART), adamw_task, &adamw);
}

LANES_KERNEL(adamw, 0, adamw_run)
