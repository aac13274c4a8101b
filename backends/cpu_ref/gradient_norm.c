/* sum_squares, slot_tree and clip: the norm of all gradients, and what follows from it. All are fp64 in the defined
 * order already, so the f64 reference differs in the sum of squares alone, which it takes in ascending order. */
#include <math.h>

#include "cpu_ref/exact.h"
#include "cpu_ref/reference.h"

#define BLOCK 512

/* Part r, c of x as a matrix. */
struct part {
    const float *x;
    int64_t stride; /* from row to row */
    int64_t rows, columns;
};

static double element(const struct part *part, int64_t row, int64_t column)
{
    return part->x[row * part->stride + column];
}

static double block_exact(const struct part *part, int64_t first, int64_t end)
{
    double lanes[EXACT_LANES] = {0};

    for (int64_t row = first; row < end; row++)
        for (int64_t i = 0; i < part->columns; i++)
            lanes[i % EXACT_LANES] += element(part, row, i) * element(part, row, i);
    return exact_tree_double(lanes);
}

static double part_exact(const struct part *part)
{
    int64_t block = part->columns < BLOCK ? BLOCK / part->columns : 1;
    double sum = 0;

    for (int64_t row = 0; row < part->rows; row += block)
        sum += block_exact(part, row, row + block < part->rows ? row + block : part->rows);
    return sum;
}

static double part_double(const struct part *part)
{
    double sum = 0;

    for (int64_t row = 0; row < part->rows; row++)
        for (int64_t i = 0; i < part->columns; i++)
            sum += element(part, row, i) * element(part, row, i);
    return sum;
}

static void sum_squares(const struct kernel_call *call, double (*part_sum)(const struct part *))
{
    const struct llmrun_sum_squares_attributes *attributes = call->op->attributes;
    const struct llmrun_tensor *x = &call->op->operands[LLMRUN_SUM_SQUARES_X];
    int64_t stride = attributes->slot_stride > 0 ? attributes->slot_stride : attributes->column_parts;
    struct part part = {.stride = x->shape[x->rank - 1]};

    part.rows = reference_elements(call, LLMRUN_SUM_SQUARES_X) / part.stride / attributes->row_parts;
    part.columns = part.stride / attributes->column_parts;
    for (int64_t r = 0; r < attributes->row_parts; r++)
        for (int64_t c = 0; c < attributes->column_parts; c++) {
            part.x =
                (const float *)call->operands[LLMRUN_SUM_SQUARES_X] + r * part.rows * part.stride + c * part.columns;
            reference_write(call, LLMRUN_SUM_SQUARES_SUMS, attributes->slot + r * stride + c,
                            attributes->replica ? 0 : part_sum(&part));
        }
}

static void sum_squares_exact(const struct kernel_call *call)
{
    sum_squares(call, part_exact);
}

static void sum_squares_double(const struct kernel_call *call)
{
    sum_squares(call, part_double);
}

/* Adds numbers as a balanced tree, in place: neighbours, then neighbours of these; the last one of an odd count waits.
 */
static double tree_of(double *numbers, int64_t count)
{
    for (; count > 1; count = (count + 1) / 2)
        for (int64_t i = 0; i < (count + 1) / 2; i++)
            numbers[i] = 2 * i + 1 < count ? numbers[2 * i] + numbers[2 * i + 1] : numbers[2 * i];
    return numbers[0];
}

static void slot_tree(const struct kernel_call *call)
{
    double *work = call->workspace;
    int64_t slots = reference_elements(call, LLMRUN_SLOT_TREE_SUMS);

    for (int64_t i = 0; i < reference_elements(call, LLMRUN_SLOT_TREE_ROOTS); i++) {
        const int32_t *line = (const int32_t *)call->operands[LLMRUN_SLOT_TREE_TABLE] + 3 * i;
        int64_t rows = line[1], columns = line[2];
        double *column = work + slots;

        if (line[0] < 0 || rows < 1 || columns < 1 || line[0] + rows * columns > slots) {
            reference_write(call, LLMRUN_SLOT_TREE_ROOTS, i, NAN);
            continue;
        }
        for (int64_t c = 0; c < columns; c++) {
            for (int64_t r = 0; r < rows; r++)
                work[r] = reference_read_double(call, LLMRUN_SLOT_TREE_SUMS, line[0] + r * columns + c);
            column[c] = tree_of(work, rows);
        }
        reference_write(call, LLMRUN_SLOT_TREE_ROOTS, i, tree_of(column, columns));
    }
}

static int slot_tree_query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason,
                           size_t reason_bytes)
{
    (void)threads;
    *workspace_bytes = 2 * op->operands[LLMRUN_SLOT_TREE_SUMS].shape[0] * (int64_t)sizeof(double);
    return operand_fit(op, 0, reason, reason_bytes);
}

extern const struct kernel reference_slot_tree_exact, reference_slot_tree_double;
const struct kernel reference_slot_tree_exact = {"slot_tree reference exact", slot_tree_query, slot_tree};
const struct kernel reference_slot_tree_double = {"slot_tree reference f64", slot_tree_query, slot_tree};

static void clip(const struct kernel_call *call)
{
    const struct llmrun_clip_attributes *attributes = call->op->attributes;
    double total = 0, norm, scale = 1;
    uint32_t found_inf;

    for (int64_t i = 0; i < reference_elements(call, LLMRUN_CLIP_ROOTS); i++)
        total += reference_read_double(call, LLMRUN_CLIP_ROOTS, i);
    norm = sqrt(total);
    if (attributes->max_norm > 0 && attributes->max_norm / (norm + 1e-6) < 1)
        scale = attributes->max_norm / (norm + 1e-6);
    /* Once 0 it stays 0: no later step is taken on top of one that was not. */
    found_inf = *(const uint32_t *)call->operands[LLMRUN_CLIP_FOUND_INF] != 0 || !isfinite((float)norm) ? 1 : 0;
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_CLIP_LOSSES); i++)
        if (!isfinite(reference_read_double(call, LLMRUN_CLIP_LOSSES, i)))
            found_inf = 1;
    *(float *)call->operands[LLMRUN_CLIP_SCALE] = (float)scale;
    *(float *)call->operands[LLMRUN_CLIP_NORM] = (float)norm;
    *(uint32_t *)call->operands[LLMRUN_CLIP_FOUND_INF] = found_inf;
}

REFERENCE_KERNELS(sum_squares, 0, sum_squares_exact, sum_squares_double)
REFERENCE_KERNELS(clip, 0, clip, clip)
