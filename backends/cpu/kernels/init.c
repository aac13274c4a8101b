#include "kernels/lanes.h"
#include "kernels/normal.h"
#include "kernels/philox.h"

/* From the upper 24 bits of each word: exact, and below 1. What rounds to the upper end becomes the lower one. */
static struct f32x16 uniform(struct i32x16 words, const struct llmrun_init_attributes *attributes)
{
    struct f32x16 unit = vec_mul(vec_int_to_float(vec_int_shr(words, 8)), vec_set(0x1p-24f));
    struct f32x16 low = vec_set(attributes->a);
    struct f32x16 y = vec_fma(unit, vec_set(attributes->b - attributes->a), low);

    return vec_select(vec_lt(y, vec_set(attributes->b)), y, low);
}

static struct f32x16 draw(struct i32x16 words, const struct llmrun_init_attributes *attributes)
{
    switch (attributes->distribution) {
    case LLMRUN_INIT_NORMAL:
        return vec_fma(vec_set(attributes->b), normal_quantile(words), vec_set(attributes->a));
    case LLMRUN_INIT_UNIFORM:
        return uniform(words, attributes);
    default:
        return vec_set(attributes->a);
    }
}

static void init_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const struct llmrun_init_attributes *attributes = call->op->attributes;
    const uint32_t random[4] = {(uint32_t)attributes->key, (uint32_t)(attributes->key >> 32), 0, 0};
    struct lanes_range range = lanes_part(operand_elements(&call->op->operands[LLMRUN_INIT_Y]), LANES_PART, task);
    float *y = call->operands[LLMRUN_INIT_Y];
    uint32_t words[PHILOX_BATCH];

    (void)thread;
    for (int64_t i = range.begin; i < range.end; i += VEC_LANES) {
        if (i % PHILOX_BATCH == 0)
            philox_batch(random, 0, (uint64_t)i, words);
        vec_store_part(y + i, draw(vec_int_load(words + i % PHILOX_BATCH), attributes), vec_lanes_left(range.end, i));
    }
}

static void init_run(const struct kernel_call *call)
{
    pool_run(call->pool, lanes_parts(operand_elements(&call->op->operands[LLMRUN_INIT_Y]), LANES_PART), init_task,
             (void *)call);
}

LANES_KERNEL(init, 0, init_run)
