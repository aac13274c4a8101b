#include "matmul/unordered.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "matmul/gemm_kernel.h"
#include "matmul/problems.h"

#define SLICE_UNIT 16 /* slices begin at multiples of this */

struct free_run {
    const struct gemm_problem *problem;
    const struct unordered *library;
    const struct gemm_kernel *kernel; /* its finish() is used */
    float *sums;                      /* [m, n], where c cannot hold them; else NULL */
    int64_t slices;
};

static int needs_finish(const struct gemm_problem *problem)
{
    return problem->bias != NULL || problem->activation != NULL || problem->aux != NULL;
}

static int needs_sums(const struct gemm_problem *problem)
{
    return problem->c_dtype != LLMRUN_F32 && (needs_finish(problem) || problem->segments > 1);
}

int unordered_always(void)
{
    const char *wish = getenv("CPU_UNORDERED");
    return wish != NULL && strcmp(wish, "always") == 0;
}

int64_t unordered_workspace(const struct gemm_problem *problem)
{
    return needs_sums(problem) ? problem->m * problem->n * (int64_t)sizeof(float) : 0;
}

static int64_t edge(int64_t total, int64_t slices, int64_t i)
{
    return i == slices ? total : total * i / slices / SLICE_UNIT * SLICE_UNIT;
}

static const void *element(const void *array, uint32_t dtype, int64_t at)
{
    return (const char *)array + at * (dtype == LLMRUN_F32 ? 4 : 2);
}

static void finish_slice(const struct free_run *run, int64_t row, int64_t rows, int64_t column, int64_t columns)
{
    const struct gemm_problem *problem = run->problem;
    for (int64_t i = row; i < row + rows; i++) {
        struct gemm_row result = {.n = columns, .dtype = problem->c_dtype, .activation = problem->activation};
        result.c = (void *)element(problem->c, problem->c_dtype, i * problem->c_row + column);
        result.sum = run->sums == NULL ? result.c : run->sums + i * problem->n + column;
        result.bias = problem->bias == NULL ? NULL : problem->bias + column;
        if (problem->aux != NULL)
            result.aux = (void *)element(problem->aux, problem->c_dtype, i * problem->aux_row + column);
        run->kernel->finish(&result);
    }
}

/* Slices of the longer side. */
static void multiply_slice(void *context, int64_t task, int thread)
{
    const struct free_run *run = context;
    const struct gemm_problem *problem = run->problem;
    int of_rows = problem->m > problem->n;
    int64_t total = of_rows ? problem->m : problem->n;
    int64_t begin = edge(total, run->slices, task), count = edge(total, run->slices, task + 1) - begin;
    int64_t row = of_rows ? begin : 0, column = of_rows ? 0 : begin;
    (void)thread;
    if (count == 0)
        return;
    struct gemm_problem slice =
        gemm_part(problem, row, of_rows ? count : problem->m, column, of_rows ? problem->n : count);
    slice.parts = 1;
    slice.bias = NULL;
    slice.activation = NULL;
    slice.aux = NULL;
    if (run->sums != NULL) {
        slice.c = run->sums + row * problem->n + column;
        slice.c_row = problem->n;
        slice.c_dtype = LLMRUN_F32;
    }
    run->library->set_threads(1);
    run->library->multiply(&slice);
    if (needs_finish(problem) || run->sums != NULL)
        finish_slice(run, row, slice.m, column, slice.n);
}

void unordered_run(const struct gemm_problem *problem, const struct unordered *library, struct pool *pool,
                   void *workspace)
{
    struct free_run run = {.problem = problem, .library = library};
    run.kernel = gemm_kernel_choose(LLMRUN_F32, cpu_isa_best());
    run.sums = needs_sums(problem) ? workspace : NULL;
    run.slices = pool_threads(pool);
    library->set_threads(1);
    pool_run(pool, run.slices, multiply_slice, &run);
}

int unordered_query(const struct llmrun_op *op, const struct unordered *library, int64_t *workspace_bytes, char *reason,
                    size_t reason_bytes)
{
    struct gemm_problem problem;
    if (!problem_fit(op, &problem, reason, reason_bytes))
        return 0;
    if (gemm_kernel_choose(LLMRUN_F32, cpu_isa_best()) == NULL) {
        snprintf(reason, reason_bytes, "this processor has no AVX2");
        return 0;
    }
    *workspace_bytes = unordered_workspace(&problem);
    return library->fit(&problem, reason, reason_bytes);
}

void unordered_call(const struct kernel_call *call, const struct unordered *library)
{
    struct gemm_problem problem = problem_of(call->op, call->operands);
#if defined(__x86_64__)
    if (problem_wants_gelu(call->op))
        problem.activation = cpu_isa_best() == CPU_ISA_AVX512 ? gemm_gelu_avx512 : gemm_gelu_avx2;
#endif
    unordered_run(&problem, library, call->pool, call->workspace);
}
