/* add and cast */
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

REFERENCE_KERNELS(add, "ccc", 0, add_exact, add_double)
REFERENCE_KERNELS(cast, "ee", 0, cast, cast)
