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

/* Elements of y that follow each other in the whole tensor too: all, or a row. */
static int64_t run_of(const struct llmrun_op *op)
{
    const struct llmrun_init_attributes *a = op->attributes;
    const struct llmrun_tensor *y = &op->operands[LLMRUN_INIT_Y];

    return a->full0 == 0 && a->full1 == 0 && a->full2 == 0 ? operand_elements(y) : y->shape[y->rank - 1];
}

/* The logical number of an element. */
static uint64_t number_of(const struct llmrun_op *op, int64_t i)
{
    const struct llmrun_init_attributes *a = op->attributes;
    const struct llmrun_tensor *y = &op->operands[LLMRUN_INIT_Y];
    const int64_t first[LLMRUN_MAX_RANK] = {a->first0, a->first1, a->first2};
    const int64_t full[LLMRUN_MAX_RANK] = {a->full0, a->full1, a->full2};
    int64_t number = 0, elements = 1;

    for (uint32_t d = y->rank; d-- > 0; i /= y->shape[d]) {
        number += (first[d] + i % y->shape[d]) * elements;
        elements *= full[d] > 0 ? full[d] : y->shape[d];
    }
    return (uint64_t)number;
}

static void init_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const struct llmrun_init_attributes *attributes = call->op->attributes;
    const uint32_t random[4] = {(uint32_t)attributes->stream_id, (uint32_t)(attributes->stream_id >> 32), 0, 0};
    struct lanes_range range = lanes_part(operand_elements(&call->op->operands[LLMRUN_INIT_Y]), LANES_PART, task);
    int64_t run = run_of(call->op), next;
    float *y = call->operands[LLMRUN_INIT_Y];
    uint32_t words[PHILOX_BATCH + VEC_LANES] = {0}; /* the last vector may reach beyond the batch */

    (void)thread;
    for (int64_t i = range.begin; i < range.end; i = next) {
        uint64_t number = number_of(call->op, i);
        int64_t skipped = (int64_t)(number % PHILOX_BATCH);

        philox_batch(random, 0, number - (uint64_t)skipped, words);
        next = i + PHILOX_BATCH - skipped;
        if (next > (i / run + 1) * run)
            next = (i / run + 1) * run;
        if (next > range.end)
            next = range.end;
        for (int64_t at = i; at < next; at += VEC_LANES)
            vec_store_part(y + at, draw(vec_int_load(words + skipped + (at - i)), attributes),
                           vec_lanes_left(next, at));
    }
}

static void init_run(const struct kernel_call *call)
{
    pool_run(call->pool, lanes_parts(operand_elements(&call->op->operands[LLMRUN_INIT_Y]), LANES_PART), init_task,
             (void *)call);
}

LANES_KERNEL(init, 0, init_run)
