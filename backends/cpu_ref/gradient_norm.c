/* sum_squares and clip: the norm of all gradients, and what follows from it. Both are fp64 in the defined order
 * already, so the f64 reference differs in the sum of squares alone, which it takes in ascending order. */
#include <math.h>

#include "cpu_ref/exact.h"
#include "cpu_ref/reference.h"

#define BLOCK 4096

static double block_exact(const float *x, int64_t count)
{
    double lanes[EXACT_LANES] = {0};

    for (int64_t i = 0; i < count; i++)
        lanes[i % EXACT_LANES] += (double)x[i] * (double)x[i];
    return exact_tree_double(lanes);
}

static void sum_squares_exact(const struct kernel_call *call)
{
    const struct llmrun_sum_squares_attributes *attributes = call->op->attributes;
    int64_t part = reference_elements(call, LLMRUN_SUM_SQUARES_X) / attributes->leaves;
    double *sums = call->operands[LLMRUN_SUM_SQUARES_SUMS];

    for (int64_t leaf = 0; leaf < attributes->leaves; leaf++) {
        const float *x = (const float *)call->operands[LLMRUN_SUM_SQUARES_X] + leaf * part;
        double sum = 0;

        for (int64_t start = 0; start < part; start += BLOCK)
            sum += block_exact(x + start, part - start < BLOCK ? part - start : BLOCK);
        sums[attributes->slot + leaf] = sum;
    }
}

static void sum_squares_double(const struct kernel_call *call)
{
    const struct llmrun_sum_squares_attributes *attributes = call->op->attributes;
    int64_t part = reference_elements(call, LLMRUN_SUM_SQUARES_X) / attributes->leaves;
    const float *x = call->operands[LLMRUN_SUM_SQUARES_X];
    double *sums = call->operands[LLMRUN_SUM_SQUARES_SUMS];

    for (int64_t leaf = 0; leaf < attributes->leaves; leaf++) {
        double sum = 0;

        for (int64_t i = 0; i < part; i++)
            sum += (double)x[leaf * part + i] * (double)x[leaf * part + i];
        sums[attributes->slot + leaf] = sum;
    }
}

static void clip(const struct kernel_call *call)
{
    const struct llmrun_clip_attributes *attributes = call->op->attributes;
    const double *sums = call->operands[LLMRUN_CLIP_SUMS];
    const double *losses = call->operands[LLMRUN_CLIP_LOSSES];
    double total = 0, norm, scale = 1;
    uint32_t finite;

    for (int64_t i = 0; i < reference_elements(call, LLMRUN_CLIP_SUMS); i++)
        total += sums[i];
    norm = sqrt(total);
    if (attributes->max_norm > 0 && attributes->max_norm / (norm + 1e-6) < 1)
        scale = attributes->max_norm / (norm + 1e-6);
    /* Once 0 it stays 0: no later step is taken on top of one that was not. */
    finite = *(const uint32_t *)call->operands[LLMRUN_CLIP_FINITE] != 0 && isfinite((float)norm) ? 1 : 0;
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_CLIP_LOSSES); i++)
        if (!isfinite(losses[i]))
            finite = 0;
    *(float *)call->operands[LLMRUN_CLIP_SCALE] = (float)scale;
    *(float *)call->operands[LLMRUN_CLIP_NORM] = (float)norm;
    *(uint32_t *)call->operands[LLMRUN_CLIP_FINITE] = finite;
}

REFERENCE_KERNELS(sum_squares, "fd", 0, sum_squares_exact, sum_squares_double)
REFERENCE_KERNELS(clip, "dduff", 0, clip, clip)
