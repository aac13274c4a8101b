/* add, cast, fold and reduce */
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

struct column {
    const struct kernel_call *call;
    int64_t index;
};

static float row_of_column(const void *context, int64_t row)
{
    const struct column *column = context;

    return reference_read(column->call, LLMRUN_FOLD_X,
                          row * reference_extent(column->call, LLMRUN_FOLD_X, 1) + column->index);
}

static void fold_exact(const struct kernel_call *call)
{
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_FOLD_Y); i++) {
        struct column column = {call, i};

        reference_write(call, LLMRUN_FOLD_Y, i,
                        chain_tree(row_of_column, &column, 0, reference_extent(call, LLMRUN_FOLD_X, 0)));
    }
}

static void fold_double(const struct kernel_call *call)
{
    int64_t columns = reference_elements(call, LLMRUN_FOLD_Y);

    for (int64_t i = 0; i < columns; i++) {
        double sum = 0;

        for (int64_t row = 0; row < reference_extent(call, LLMRUN_FOLD_X, 0); row++)
            sum += reference_read_double(call, LLMRUN_FOLD_X, row * columns + i);
        reference_write(call, LLMRUN_FOLD_Y, i, sum);
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

REFERENCE_KERNELS(add, "ccc", 0, add_exact, add_double)
REFERENCE_KERNELS(cast, "ee", 0, cast, cast)
REFERENCE_KERNELS(fold, "ff", 0, fold_exact, fold_double)
REFERENCE_KERNELS(reduce, "fff", 0, reduce, reduce)
