/* How fast the exact matrix products are beside those of OpenBLAS and oneDNN, in one run. */
#ifndef LLMRUN_CPU_MATMUL_BENCH_H
#define LLMRUN_CPU_MATMUL_BENCH_H

#include <stdint.h>
#include <stdio.h>

struct gemm_bench_options {
    int threads;        /* of our pool, and of each library */
    int repeat;         /* samples of each product that are kept */
    int64_t tokens;     /* rows of x */
    int64_t vocabulary; /* rows of the output matrix; 0 leaves it out */
};

/* Prints a line for each matrix product of a GPT-2 124M step and the totals of a step. The ways take turns; a sample in
 * which the process waited for a processor (run-queue delay of its threads) longer than 2 % of the time is taken again.
 * With one thread, processor time is measured instead. Returns 0, or -1 when there is no memory. */
int gemm_bench(FILE *out, const struct gemm_bench_options *options);

#endif
