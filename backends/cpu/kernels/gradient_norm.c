/* sum_squares, slot_tree, clip */
#include <math.h>

#include "kernels/lanes.h"

/* A row of a part as long as this is a block of its own; of shorter ones, so many rows as have this many elements. */
#define BLOCK 512
/* Elements of one task, one after the other in memory: what is asked for ahead is then mostly the thread's own. */
#define TASK 65536
/* How far ahead memory is asked for: with one stream to read, the processor's own prefetching leaves half of the
 * memory's rate unused. */
#define PREFETCH_BYTES 4096
/* So many are summed side by side. */
#define COLUMN_PARTS 8

/* x as a matrix of parts, and each part as blocks of rows. A block is summed in sixteen lanes, the sums of a part's
 * blocks are added in order. */
struct squares {
    const float *x;
    double *of_block; /* [row parts, blocks, column parts] */
    int64_t columns;
    int64_t row_parts, part_rows;
    int64_t column_parts, part_columns;
    int64_t blocks, block_rows; /* of a part */
    int64_t task_blocks;
};

static struct squares squares_of_op(const struct llmrun_op *op)
{
    const struct llmrun_sum_squares_attributes *attributes = op->attributes;
    const struct llmrun_tensor *x = &op->operands[LLMRUN_SUM_SQUARES_X];
    struct squares squares = {
        .columns = x->shape[x->rank - 1], .row_parts = attributes->row_parts, .column_parts = attributes->column_parts};

    squares.part_rows = operand_elements(x) / squares.columns / squares.row_parts;
    squares.part_columns = squares.columns / squares.column_parts;
    squares.block_rows = squares.part_columns < BLOCK ? BLOCK / squares.part_columns : 1;
    squares.blocks = lanes_parts(squares.part_rows, squares.block_rows);
    squares.task_blocks = lanes_parts(TASK, squares.block_rows * squares.columns);
    return squares;
}

/* The blocks of `count` column parts in the same rows. Memory is read in order. */
static void block_sums(const struct squares *squares, const float *x, int64_t rows, int64_t count, double *of_block)
{
    struct f64x16 sums[COLUMN_PARTS];

    for (int64_t c = 0; c < count; c++)
        sums[c] = vec_double_zero();
    for (int64_t row = 0; row < rows; row++)
        for (int64_t c = 0; c < count; c++) {
            const float *part = x + row * squares->columns + c * squares->part_columns;
            struct f64x16 sum = sums[c];

            for (int64_t i = 0; i < squares->part_columns; i += VEC_LANES) {
                __builtin_prefetch((const void *)((uintptr_t)(part + i) + PREFETCH_BYTES));
                sum =
                    vec_double_add_square(sum, vec_load_part(part + i, vec_lanes_left(squares->part_columns, i), 0.0f));
            }
            sums[c] = sum;
        }
    for (int64_t c = 0; c < count; c++)
        of_block[c] = vec_double_sum(sums[c]);
}

static void blocks_task(void *context, int64_t task, int thread)
{
    const struct squares *squares = context;
    struct lanes_range some = lanes_part(squares->row_parts * squares->blocks, squares->task_blocks, task);

    (void)thread;
    for (int64_t block = some.begin; block < some.end; block++) {
        struct lanes_range rows = lanes_part(squares->part_rows, squares->block_rows, block % squares->blocks);
        int64_t first = block / squares->blocks * squares->part_rows + rows.begin;

        for (int64_t c = 0; c < squares->column_parts; c += COLUMN_PARTS) {
            int64_t left = squares->column_parts - c;

            block_sums(squares, squares->x + first * squares->columns + c * squares->part_columns,
                       rows.end - rows.begin, left < COLUMN_PARTS ? left : COLUMN_PARTS,
                       squares->of_block + block * squares->column_parts + c);
        }
    }
}

static void sum_squares_run(const struct kernel_call *call)
{
    const struct llmrun_sum_squares_attributes *attributes = call->op->attributes;
    struct squares squares = squares_of_op(call->op);
    int64_t stride = attributes->slot_stride > 0 ? attributes->slot_stride : squares.column_parts;

    squares.x = call->operands[LLMRUN_SUM_SQUARES_X];
    squares.of_block = call->workspace;
    if (!attributes->replica)
        pool_run(call->pool, lanes_parts(squares.row_parts * squares.blocks, squares.task_blocks), blocks_task,
                 &squares);
    for (int64_t part = 0; part < squares.row_parts * squares.column_parts; part++) {
        int64_t r = part / squares.column_parts, c = part % squares.column_parts;
        double sum = 0.0;

        for (int64_t block = 0; block < squares.blocks && !attributes->replica; block++)
            sum += squares.of_block[(r * squares.blocks + block) * squares.column_parts + c];
        operand_put_wide(call, LLMRUN_SUM_SQUARES_SUMS, attributes->slot + r * stride + c, sum);
    }
}

static int sum_squares_query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason,
                             size_t reason_bytes)
{
    struct squares squares;

    (void)threads;
    if (!operand_fit(op, 0, reason, reason_bytes))
        return 0;
    squares = squares_of_op(op);
    *workspace_bytes = squares.row_parts * squares.blocks * squares.column_parts * (int64_t)sizeof(double);
    return 1;
}

extern const struct kernel KERNEL_NAME(sum_squares);
const struct kernel KERNEL_NAME(sum_squares) = {
    .name = "sum_squares " KERNEL_ISA_TEXT, .query = sum_squares_query, .run = sum_squares_run};

/* Slots first, first + stride, ... of `count` as a balanced tree. */
static double tree_of(const struct kernel_call *call, int64_t first, int64_t stride, int64_t count)
{
    int64_t half = 1;

    if (count == 1)
        return operand_get_wide(call, LLMRUN_SLOT_TREE_SUMS, first);
    while (2 * half < count)
        half *= 2;
    return tree_of(call, first, stride, half) + tree_of(call, first + half * stride, stride, count - half);
}

/* Column parts `first` to first + count - 1 of the slots [rows, columns] from `slot` on: within each its row parts,
 * then these. */
static double column_trees(const struct kernel_call *call, int64_t slot, int64_t rows, int64_t columns, int64_t first,
                           int64_t count)
{
    int64_t half = 1;

    if (count == 1)
        return tree_of(call, slot + first, columns, rows);
    while (2 * half < count)
        half *= 2;
    return column_trees(call, slot, rows, columns, first, half) +
           column_trees(call, slot, rows, columns, first + half, count - half);
}

/* A line that names slots which are not there makes a NaN. */
static void slot_tree_run(const struct kernel_call *call)
{
    const int32_t *line = call->operands[LLMRUN_SLOT_TREE_TABLE];
    int64_t slots = call->op->operands[LLMRUN_SLOT_TREE_SUMS].shape[0];

    for (int64_t i = 0; i < call->op->operands[LLMRUN_SLOT_TREE_ROOTS].shape[0]; i++, line += 3) {
        int64_t first = line[0], rows = line[1], columns = line[2];
        int fits = first >= 0 && rows > 0 && columns > 0 && first + rows * columns <= slots;

        operand_put_wide(call, LLMRUN_SLOT_TREE_ROOTS, i,
                         fits ? column_trees(call, first, rows, columns, 0, columns) : (double)NAN);
    }
}

LANES_KERNEL(slot_tree, 0, slot_tree_run)

static void clip_run(const struct kernel_call *call)
{
    const struct llmrun_clip_attributes *attributes = call->op->attributes;
    double total = 0.0, norm, scale = 1.0;
    uint32_t found_inf;

    for (int64_t i = 0; i < call->op->operands[LLMRUN_CLIP_ROOTS].shape[0]; i++)
        total += operand_get_wide(call, LLMRUN_CLIP_ROOTS, i);
    norm = sqrt(total);
    if (attributes->max_norm > 0.0f && attributes->max_norm / (norm + 1e-6) < 1.0)
        scale = attributes->max_norm / (norm + 1e-6);
    /* Once 0 it stays 0: no later step is taken on top of one that was not. */
    found_inf = *(const uint32_t *)call->operands[LLMRUN_CLIP_FOUND_INF] != 0 || !isfinite((float)norm) ? 1 : 0;
    for (int64_t i = 0; i < call->op->operands[LLMRUN_CLIP_LOSSES].shape[0]; i++)
        found_inf |= isfinite(operand_get_wide(call, LLMRUN_CLIP_LOSSES, i)) ? 0 : 1;
    *(float *)call->operands[LLMRUN_CLIP_SCALE] = (float)scale;
    *(float *)call->operands[LLMRUN_CLIP_NORM] = (float)norm;
    *(uint32_t *)call->operands[LLMRUN_CLIP_FOUND_INF] = found_inf;
}

LANES_KERNEL(clip, 0, clip_run)
