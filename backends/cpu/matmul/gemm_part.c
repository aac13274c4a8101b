#include "matmul/gemm.h"

static const void *element(const void *array, uint32_t dtype, int64_t at)
{
    return (const char *)array + at * (dtype == LLMRUN_F32 ? 4 : 2);
}

struct gemm_problem gemm_part(const struct gemm_problem *problem, int64_t row, int64_t rows, int64_t column,
                              int64_t columns)
{
    struct gemm_problem part = *problem;
    part.m = rows;
    part.n = columns;
    for (int s = 0; s < part.segments; s++) {
        struct gemm_segment *segment = &part.segment[s];
        segment->a = element(segment->a, problem->dtype, row * segment->a_row);
        segment->b = element(segment->b, problem->dtype, column * segment->b_column);
    }
    if (problem->bias != NULL)
        part.bias = problem->bias + column;
    if (problem->c != NULL)
        part.c = (void *)element(problem->c, problem->c_dtype, row * problem->c_row + column);
    if (problem->aux != NULL)
        part.aux = (void *)element(problem->aux, problem->c_dtype, row * problem->aux_row + column);
    return part;
}
