/* sum_squares, clip */
#include <math.h>

#include "kernels/lanes.h"

/* A leaf is summed in blocks of this many elements, in sixteen lanes each; the sums of the blocks are added in order.
 */
#define BLOCK 4096
/* Blocks of one task, one after the other in memory: what is asked for ahead is then mostly the thread's own. */
#define TASK_BLOCKS 16
/* How far ahead memory is asked for: with one stream to read, the processor's own prefetching leaves half of the
 * memory's rate unused. */
#define PREFETCH_BYTES 4096

static int64_t blocks_of_leaf(const struct llmrun_op *op, int64_t *leaf_elements)
{
    const struct llmrun_sum_squares_attributes *attributes = op->attributes;

    *leaf_elements = operand_elements(&op->operands[LLMRUN_SUM_SQUARES_X]) / attributes->leaves;
    return lanes_parts(*leaf_elements, BLOCK);
}

static double block_sum(const float *x, struct lanes_range range)
{
    struct f64x16 sum = vec_double_zero();

    for (int64_t i = range.begin; i < range.end; i += VEC_LANES) {
        __builtin_prefetch((const void *)((uintptr_t)(x + i) + PREFETCH_BYTES));
        sum = vec_double_add_square(sum, vec_load_part(x + i, vec_lanes_left(range.end, i), 0.0f));
    }
    return vec_double_sum(sum);
}

static void blocks_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const struct llmrun_sum_squares_attributes *attributes = call->op->attributes;
    const float *x = call->operands[LLMRUN_SUM_SQUARES_X];
    int64_t leaf_elements, blocks = blocks_of_leaf(call->op, &leaf_elements);
    struct lanes_range some = lanes_part(attributes->leaves * blocks, TASK_BLOCKS, task);

    (void)thread;
    for (int64_t block = some.begin; block < some.end; block++)
        ((double *)call->workspace)[block] =
            block_sum(x + block / blocks * leaf_elements, lanes_part(leaf_elements, BLOCK, block % blocks));
}

static void sum_squares_run(const struct kernel_call *call)
{
    const struct llmrun_sum_squares_attributes *attributes = call->op->attributes;
    int64_t leaf_elements, blocks = blocks_of_leaf(call->op, &leaf_elements);
    const double *of_block = call->workspace;
    double *sums = (double *)call->operands[LLMRUN_SUM_SQUARES_SUMS] + attributes->slot;

    pool_run(call->pool, lanes_parts(attributes->leaves * blocks, TASK_BLOCKS), blocks_task, (void *)call);
    for (int64_t leaf = 0; leaf < attributes->leaves; leaf++) {
        double sum = 0.0;

        for (int64_t block = 0; block < blocks; block++)
            sum += of_block[leaf * blocks + block];
        sums[leaf] = sum;
    }
}

static int sum_squares_query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason,
                             size_t reason_bytes)
{
    const struct llmrun_sum_squares_attributes *attributes = op->attributes;
    int64_t leaf_elements;

    (void)threads;
    if (!operand_fit(op, "fd", 0, reason, reason_bytes))
        return 0;
    *workspace_bytes = attributes->leaves * blocks_of_leaf(op, &leaf_elements) * (int64_t)sizeof(double);
    return 1;
}

extern const struct kernel KERNEL_NAME(sum_squares);
const struct kernel KERNEL_NAME(sum_squares) = {
    .name = "sum_squares " KERNEL_ISA_TEXT, .query = sum_squares_query, .run = sum_squares_run};

static void clip_run(const struct kernel_call *call)
{
    const struct llmrun_clip_attributes *attributes = call->op->attributes;
    const double *sums = call->operands[LLMRUN_CLIP_SUMS];
    const double *losses = call->operands[LLMRUN_CLIP_LOSSES];
    double total = 0.0, norm, scale = 1.0;
    uint32_t finite;

    for (int64_t i = 0; i < call->op->operands[LLMRUN_CLIP_SUMS].shape[0]; i++)
        total += sums[i];
    norm = sqrt(total);
    if (attributes->max_norm > 0.0f && attributes->max_norm / (norm + 1e-6) < 1.0)
        scale = attributes->max_norm / (norm + 1e-6);
    /* Once 0 it stays 0: no later step is taken on top of one that was not. */
    finite = *(const uint32_t *)call->operands[LLMRUN_CLIP_FINITE] != 0 && isfinite((float)norm) ? 1 : 0;
    for (int64_t i = 0; i < call->op->operands[LLMRUN_CLIP_LOSSES].shape[0]; i++)
        finite &= isfinite(losses[i]) ? 1 : 0;
    *(float *)call->operands[LLMRUN_CLIP_SCALE] = (float)scale;
    *(float *)call->operands[LLMRUN_CLIP_NORM] = (float)norm;
    *(uint32_t *)call->operands[LLMRUN_CLIP_FINITE] = finite;
}

LANES_KERNEL(clip, "dduff", 0, clip_run)
