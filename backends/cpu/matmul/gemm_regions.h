/* A product on several threads. Where it is cheap to pack an operand more than once, c is cut into one region a
 * thread, each a product of its own: no thread waits for another, and none reads lines that another one has just
 * written (which made the tiles of two cores 6 % slower). Else all threads share what is packed (gemm_blocked.c). */
#ifndef LLMRUN_CPU_GEMM_REGIONS_H
#define LLMRUN_CPU_GEMM_REGIONS_H

#include "matmul/gemm_kernel.h"

/* Rows and columns of a grid of regions; 1 x 1: c is not cut. */
struct gemm_grid {
    int rows;
    int columns;
};

struct gemm_grid gemm_grid_choose(const struct gemm_problem *problem, const struct gemm_kernel *kernel, int threads);

/* gemm_run and gemm_workspace_bytes with a kernel at hand. */
int64_t gemm_regions_workspace(const struct gemm_problem *problem, const struct gemm_kernel *kernel, int threads);
void gemm_regions(const struct gemm_problem *problem, const struct gemm_kernel *kernel, struct pool *pool,
                  void *workspace);

#endif
