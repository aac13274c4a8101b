/* embedding, embedding_grad */
#include <string.h>

#include "kernels/lanes.h"

/* One token: y = row (+ addend). row NULL: the id lies outside of the table, and -0 stands for it. */
LANES_INLINE void embed_row(const void *row, const void *addend, void *y, int64_t at, int64_t channels, int bf16)
{
    for (int64_t c = 0; c < channels; c += VEC_LANES) {
        int count = vec_lanes_left(channels, c);
        struct f32x16 v = row != NULL ? lanes_load(row, bf16, c, count) : vec_set(-0.0f);

        if (addend != NULL)
            v = vec_add(v, lanes_load(addend, bf16, at + c, count));
        lanes_store(y, bf16, at + c, v, count);
    }
}

static void embedding_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const struct llmrun_tensor *table = &call->op->operands[LLMRUN_EMBEDDING_TABLE];
    const int32_t *ids = call->operands[LLMRUN_EMBEDDING_IDS];
    const char *rows = call->operands[LLMRUN_EMBEDDING_TABLE];
    const void *addend = call->operands[LLMRUN_EMBEDDING_ADDEND];
    void *y = call->operands[LLMRUN_EMBEDDING_Y];
    int64_t channels = table->shape[1];
    int bf16 = operand_is_bf16(call->op, LLMRUN_EMBEDDING_TABLE);
    struct lanes_range tokens =
        lanes_part(call->op->operands[LLMRUN_EMBEDDING_IDS].shape[0], lanes_part_rows(channels), task);

    (void)thread;
    for (int64_t token = tokens.begin; token < tokens.end; token++) {
        int32_t id = ids[token];
        const char *row = id >= 0 && id < table->shape[0] ? rows + id * channels * (bf16 ? 2 : 4) : NULL;

        if (bf16)
            embed_row(row, addend, y, token * channels, channels, 1);
        else
            embed_row(row, addend, y, token * channels, channels, 0);
    }
}

static void embedding_run(const struct kernel_call *call)
{
    const struct llmrun_tensor *y = &call->op->operands[LLMRUN_EMBEDDING_Y];

    pool_run(call->pool, lanes_parts(y->shape[0], lanes_part_rows(y->shape[1])), embedding_task, (void *)call);
}

static void clear_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    int64_t elements = operand_elements(&call->op->operands[LLMRUN_EMBEDDING_GRAD_DTABLE]);
    struct lanes_range range = lanes_part(elements, LANES_PART, task);
    float *dtable = call->operands[LLMRUN_EMBEDDING_GRAD_DTABLE];

    (void)thread;
    memset(dtable + range.begin, 0, (size_t)(range.end - range.begin) * sizeof(dtable[0]));
}

/* All tokens in order, for some of the channels. */
LANES_INLINE void scatter_add(const struct kernel_call *call, struct lanes_range channels, int bf16)
{
    const struct llmrun_tensor *table = &call->op->operands[LLMRUN_EMBEDDING_GRAD_DTABLE];
    const int32_t *ids = call->operands[LLMRUN_EMBEDDING_GRAD_IDS];
    const void *dy = call->operands[LLMRUN_EMBEDDING_GRAD_DY];
    float *dtable = call->operands[LLMRUN_EMBEDDING_GRAD_DTABLE];
    int64_t width = table->shape[1];

    for (int64_t token = 0; token < call->op->operands[LLMRUN_EMBEDDING_GRAD_IDS].shape[0]; token++) {
        float *row = dtable + ids[token] * width;

        if (ids[token] < 0 || ids[token] >= table->shape[0])
            continue;
        for (int64_t c = channels.begin; c < channels.end; c += VEC_LANES) {
            int count = vec_lanes_left(channels.end, c);
            struct f32x16 sum = vec_load_part(row + c, count, 0.0f);

            sum = vec_add(sum, lanes_load(dy, bf16, token * width + c, count));
            vec_store_part(row + c, sum, count);
        }
    }
}

static void scatter_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    int64_t width = call->op->operands[LLMRUN_EMBEDDING_GRAD_DTABLE].shape[1];
    struct lanes_range channels = lanes_part(width, lanes_part_channels(width, pool_threads(call->pool)), task);

    (void)thread;
    if (operand_is_bf16(call->op, LLMRUN_EMBEDDING_GRAD_DY))
        scatter_add(call, channels, 1);
    else
        scatter_add(call, channels, 0);
}

static void embedding_grad_run(const struct kernel_call *call)
{
    const struct llmrun_tensor *table = &call->op->operands[LLMRUN_EMBEDDING_GRAD_DTABLE];
    int64_t part = lanes_part_channels(table->shape[1], pool_threads(call->pool));

    if (!operand_accumulates(call->op, LLMRUN_EMBEDDING_GRAD_DTABLE))
        pool_run(call->pool, lanes_parts(operand_elements(table), LANES_PART), clear_task, (void *)call);
    pool_run(call->pool, lanes_parts(table->shape[1], part), scatter_task, (void *)call);
}

LANES_KERNEL(embedding, "iccc", 0, embedding_run)
LANES_KERNEL(embedding_grad, "icf", 1u << LLMRUN_EMBEDDING_GRAD_DTABLE, embedding_grad_run)
