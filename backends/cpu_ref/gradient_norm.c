/* sum_squares and clip: the norm of all gradients, and what follows from it. Both are fp64 in the defined order
 * already, so the f64 reference differs in the sum of squares alone, which it takes in ascending order. */
#include <math.h>

#include "cpu_ref/exact.h"
#include "cpu_ref/reference.h"

#define BLOCK 512

/* Leaf r, c of x as a matrix. */
struct leaf {
    const float *x;
    int64_t stride; /* from row to row */
    int64_t rows, columns;
};

static double element(const struct leaf *leaf, int64_t row, int64_t column)
{
    return leaf->x[row * leaf->stride + column];
}

static double block_exact(const struct leaf *leaf, int64_t first, int64_t end)
{
    double lanes[EXACT_LANES] = {0};

    for (int64_t row = first; row < end; row++)
        for (int64_t i = 0; i < leaf->columns; i++)
            lanes[i % EXACT_LANES] += element(leaf, row, i) * element(leaf, row, i);
    return exact_tree_double(lanes);
}

static double leaf_exact(const struct leaf *leaf)
{
    int64_t block = leaf->columns < BLOCK ? BLOCK / leaf->columns : 1;
    double sum = 0;

    for (int64_t row = 0; row < leaf->rows; row += block)
        sum += block_exact(leaf, row, row + block < leaf->rows ? row + block : leaf->rows);
    return sum;
}

static double leaf_double(const struct leaf *leaf)
{
    double sum = 0;

    for (int64_t row = 0; row < leaf->rows; row++)
        for (int64_t i = 0; i < leaf->columns; i++)
            sum += element(leaf, row, i) * element(leaf, row, i);
    return sum;
}

static void sum_squares(const struct kernel_call *call, double (*leaf_sum)(const struct leaf *))
{
    const struct llmrun_sum_squares_attributes *attributes = call->op->attributes;
    const struct llmrun_tensor *x = &call->op->operands[LLMRUN_SUM_SQUARES_X];
    double *sums = (double *)call->operands[LLMRUN_SUM_SQUARES_SUMS] + attributes->slot;
    struct leaf leaf = {.stride = x->shape[x->rank - 1]};

    leaf.rows = reference_elements(call, LLMRUN_SUM_SQUARES_X) / leaf.stride / attributes->row_parts;
    leaf.columns = leaf.stride / attributes->column_parts;
    for (int64_t r = 0; r < attributes->row_parts; r++)
        for (int64_t c = 0; c < attributes->column_parts; c++) {
            leaf.x =
                (const float *)call->operands[LLMRUN_SUM_SQUARES_X] + r * leaf.rows * leaf.stride + c * leaf.columns;
            *sums++ = leaf_sum(&leaf);
        }
}

static void sum_squares_exact(const struct kernel_call *call)
{
    sum_squares(call, leaf_exact);
}

static void sum_squares_double(const struct kernel_call *call)
{
    sum_squares(call, leaf_double);
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
