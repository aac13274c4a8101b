#include "matmul/gemm_kernel.h"

int64_t gemm_workspace_bytes(const struct gemm_problem *problem, enum cpu_isa isa, int threads)
{
    const struct gemm_kernel *kernel = gemm_kernel_choose(problem->dtype, isa);
    return kernel == NULL ? 0 : gemm_blocked_workspace(problem, kernel, threads);
}

void gemm_run(const struct gemm_problem *problem, enum cpu_isa isa, struct pool *pool, void *workspace)
{
    const struct gemm_kernel *kernel = gemm_kernel_choose(problem->dtype, isa);
    if (kernel == NULL)
        gemm_plain(problem, pool);
    else
        gemm_blocked(problem, kernel, pool, workspace);
}
