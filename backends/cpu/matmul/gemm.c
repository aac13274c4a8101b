#include "matmul/gemm_regions.h"
#include "matmul/gemm_rows.h"

int64_t gemm_workspace_bytes(const struct gemm_problem *problem, enum cpu_isa isa, int threads)
{
    const struct gemm_kernel *kernel = gemm_kernel_choose(problem->dtype, isa);
    if (kernel == NULL)
        return 0;
    return gemm_rows_fit(problem) ? gemm_rows_workspace(problem, kernel)
                                  : gemm_regions_workspace(problem, kernel, threads);
}

void gemm_run(const struct gemm_problem *problem, enum cpu_isa isa, struct pool *pool, void *workspace)
{
    const struct gemm_kernel *kernel = gemm_kernel_choose(problem->dtype, isa);
    if (kernel == NULL)
        gemm_plain(problem, pool);
    else if (gemm_rows_fit(problem))
        gemm_rows(problem, kernel, pool, workspace);
    else
        gemm_regions(problem, kernel, pool, workspace);
}
