/* fp32 products unordered by OpenBLAS, single-threaded on each slice. */
#include <cblas.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "matmul/unordered.h"

#define SEQUENTIAL_BUILD 0 /* openblas_get_parallel(): 1 has its own threads, 2 OpenMP's */

/* An OpenBLAS older than the processor falls back to kernels for its ancestors, several times slower than ours. */
static int runs_fast_kernels(void)
{
    static const char *const fast[] = {"Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids"};
    for (size_t i = 0; i < sizeof(fast) / sizeof(fast[0]); i++) {
        if (strcmp(openblas_get_corename(), fast[i]) == 0)
            return 1;
    }
    return 0;
}

static int strides_fit(const struct gemm_segment *segment)
{
    return (segment->a_k == 1 || segment->a_row == 1) && (segment->b_k == 1 || segment->b_column == 1) &&
           segment->k <= INT_MAX && segment->a_row <= INT_MAX && segment->a_k <= INT_MAX && segment->b_k <= INT_MAX &&
           segment->b_column <= INT_MAX;
}

static int openblas_fit(const struct gemm_problem *problem, char *reason, size_t reason_bytes)
{
    if (problem->dtype != LLMRUN_F32) {
        snprintf(reason, reason_bytes, "OpenBLAS multiplies fp32 only");
        return 0;
    }
    if (openblas_get_parallel() == SEQUENTIAL_BUILD) {
        snprintf(reason, reason_bytes, "this OpenBLAS is built for programs with one thread");
        return 0;
    }
    if (!runs_fast_kernels() && !unordered_always()) {
        snprintf(reason, reason_bytes, "OpenBLAS does not know this processor and would run its %s kernels",
                 openblas_get_corename());
        return 0;
    }
    for (int s = 0; s < problem->segments; s++) {
        if (!strides_fit(&problem->segment[s]) || problem->m > INT_MAX || problem->n > INT_MAX) {
            snprintf(reason, reason_bytes, "the strides or sizes are not ones that cblas_sgemm takes");
            return 0;
        }
    }
    return 1;
}

/* OpenBLAS keeps one number for the process, and OpenMP below it one for each thread, which OpenBLAS follows: so every
 * thread sets it once. */
static void openblas_set_threads(int threads)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static _Thread_local int current;
    if (current == threads)
        return;
    pthread_mutex_lock(&lock);
    openblas_set_num_threads(threads);
    pthread_mutex_unlock(&lock);
    current = threads;
}

static void openblas_multiply(const struct gemm_problem *problem)
{
    for (int s = 0; s < problem->segments; s++) {
        const struct gemm_segment *segment = &problem->segment[s];
        int a_along_k = segment->a_k == 1, b_along_k = segment->b_k == 1;
        cblas_sgemm(CblasRowMajor, a_along_k ? CblasNoTrans : CblasTrans, b_along_k ? CblasTrans : CblasNoTrans,
                    (int)problem->m, (int)problem->n, (int)segment->k, 1.0f, segment->a,
                    (int)(a_along_k ? segment->a_row : segment->a_k), segment->b,
                    (int)(b_along_k ? segment->b_column : segment->b_k), s > 0 || problem->accumulate ? 1.0f : 0.0f,
                    problem->c, (int)problem->c_row);
    }
}

const struct unordered unordered_openblas = {
    .fit = openblas_fit, .set_threads = openblas_set_threads, .multiply = openblas_multiply};

UNORDERED_KERNEL(matmul, openblas, unordered_openblas)
UNORDERED_KERNEL(matmul_input_grad, openblas, unordered_openblas)
UNORDERED_KERNEL(matmul_weight_grad, openblas, unordered_openblas)
