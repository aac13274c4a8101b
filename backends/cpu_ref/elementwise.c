/* add, cast, reduce_rows and reduce */
#include "cpu_ref/chain.h"
#include "cpu_ref/reference.h"

static void add_exact(const struct kernel_call *call)
{
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_ADD_Y); i++) {
        float sum = reference_read(call, LLMRUN_ADD_A, i) + reference_read(call, LLMRUN_ADD_B, i);

        reference_write(call, LLMRUN_ADD_Y, i, sum);
    }
}

static void add_double(const struct kernel_call *call)
{
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_ADD_Y); i++)
        reference_write(call, LLMRUN_ADD_Y, i,
                        reference_read_double(call, LLMRUN_ADD_A, i) + reference_read_double(call, LLMRUN_ADD_B, i));
}

/* Widening is exact and narrowing rounds once, so both definitions are this one. */
static void cast(const struct kernel_call *call)
{
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_CAST_Y); i++)
        reference_write(call, LLMRUN_CAST_Y, i, reference_read(call, LLMRUN_CAST_X, i));
}

/* Element `index` of y, which is the sum of `rows` elements of its column of x. */
struct group {
    const struct kernel_call *call;
    int64_t index, columns, rows;
};

static struct group group_of(const struct kernel_call *call, int64_t index)
{
    int64_t columns = reference_extent(call, LLMRUN_REDUCE_ROWS_X, 1);
    int64_t groups = reference_elements(call, LLMRUN_REDUCE_ROWS_Y) / columns;

    return (struct group){call, index, columns, reference_extent(call, LLMRUN_REDUCE_ROWS_X, 0) / groups};
}

static double element_double(const struct group *group, int64_t row)
{
    return reference_read_double(group->call, LLMRUN_REDUCE_ROWS_X,
                                 (group->index / group->columns * group->rows + row) * group->columns +
                                     group->index % group->columns);
}

static float element(const void *context, int64_t row)
{
    return (float)element_double(context, row);
}

static void reduce_rows_exact(const struct kernel_call *call)
{
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_REDUCE_ROWS_Y); i++) {
        struct group group = group_of(call, i);

        reference_write(call, LLMRUN_REDUCE_ROWS_Y, i, chain_tree(element, &group, 0, group.rows));
    }
}

static void reduce_rows_double(const struct kernel_call *call)
{
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_REDUCE_ROWS_Y); i++) {
        struct group group = group_of(call, i);
        double sum = 0;

        for (int64_t row = 0; row < group.rows; row++)
            sum += element_double(&group, row);
        reference_write(call, LLMRUN_REDUCE_ROWS_Y, i, sum);
    }
}

/* One rounding, so both definitions are this one. */
static void reduce(const struct kernel_call *call)
{
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_REDUCE_Y); i++) {
        float sum = reference_read(call, LLMRUN_REDUCE_A, i);

        if (reference_has(call, LLMRUN_REDUCE_B))
            sum = sum + reference_read(call, LLMRUN_REDUCE_B, i);
        reference_write(call, LLMRUN_REDUCE_Y, i, sum);
    }
}

REFERENCE_KERNELS(add, 0, add_exact, add_double)
REFERENCE_KERNELS(cast, 0, cast, cast)
REFERENCE_KERNELS(reduce_rows, 0, reduce_rows_exact, reduce_rows_double)
REFERENCE_KERNELS(reduce, 0, reduce, reduce)
