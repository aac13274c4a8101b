#include "matmul/gemm_regions.h"

#include <stddef.h>

#include "matmul/gemm_plan.h"

/* What it takes to pack an element, in multiply-adds of a tile (measured: 0.4 ns at 75 multiply-adds a ns), and the
 * share of its time that a tile loses on what another core has packed. */
#define PACK_COST   30
#define SHARED_LOSS 0.06

struct regions {
    const struct gemm_problem *problem;
    const struct gemm_kernel *kernel;
    struct gemm_grid grid;
    char *workspace;         /* of all regions */
    int64_t workspace_bytes; /* of one region */
};

/* Share of the multiply-adds that packing takes, where each region packs for itself. */
static double pack_share(const struct gemm_problem *problem, struct gemm_grid grid)
{
    double m = (double)problem->m / grid.rows, n = (double)problem->n / grid.columns;
    return PACK_COST * (m + n) / (m * n);
}

struct gemm_grid gemm_grid_choose(const struct gemm_problem *problem, const struct gemm_kernel *kernel, int threads)
{
    struct gemm_grid whole = {1, 1}, best = {1, 1};
    for (int rows = 1; rows <= threads; rows++) {
        struct gemm_grid grid = {rows, threads / rows};
        int fits = threads % rows == 0 && gemm_parts(problem->m, kernel->rows) >= grid.rows &&
                   gemm_parts(problem->n, kernel->columns) >= grid.columns;
        if (fits && (best.rows * best.columns == 1 || pack_share(problem, grid) < pack_share(problem, best)))
            best = grid;
    }
    if (pack_share(problem, best) - pack_share(problem, whole) > SHARED_LOSS)
        return whole;
    return best;
}

/* Regions end where panels end. */
static struct gemm_problem region(const struct gemm_problem *problem, const struct gemm_kernel *kernel,
                                  struct gemm_grid grid, int64_t index)
{
    int64_t row_panels = gemm_parts(problem->m, kernel->rows), column_panels = gemm_parts(problem->n, kernel->columns);
    struct gemm_range rows = gemm_part_of(row_panels, grid.rows, index % grid.rows);
    struct gemm_range columns = gemm_part_of(column_panels, grid.columns, index / grid.rows);
    int64_t row = rows.begin * kernel->rows, column = columns.begin * kernel->columns;
    int64_t row_end = gemm_smaller(rows.end * kernel->rows, problem->m);
    int64_t column_end = gemm_smaller(columns.end * kernel->columns, problem->n);
    return gemm_part(problem, row, row_end - row, column, column_end - column);
}

static int64_t region_workspace(const struct gemm_problem *problem, const struct gemm_kernel *kernel,
                                struct gemm_grid grid)
{
    int64_t most = 0;
    for (int64_t i = 0; i < (int64_t)grid.rows * grid.columns; i++) {
        struct gemm_problem part = region(problem, kernel, grid, i);
        most = gemm_larger(most, gemm_blocked_workspace(&part, kernel, 1));
    }
    return gemm_parts(most, 64) * 64;
}

int64_t gemm_regions_workspace(const struct gemm_problem *problem, const struct gemm_kernel *kernel, int threads)
{
    struct gemm_grid grid = gemm_grid_choose(problem, kernel, threads);
    int64_t regions = (int64_t)grid.rows * grid.columns;
    return regions == 1 ? gemm_blocked_workspace(problem, kernel, threads)
                        : regions * region_workspace(problem, kernel, grid);
}

static void multiply_region(void *context, int64_t task, int thread)
{
    const struct regions *regions = context;
    struct gemm_problem part = region(regions->problem, regions->kernel, regions->grid, task);
    (void)thread;
    gemm_blocked(&part, regions->kernel, NULL, regions->workspace + task * regions->workspace_bytes);
}

void gemm_regions(const struct gemm_problem *problem, const struct gemm_kernel *kernel, struct pool *pool,
                  void *workspace)
{
    int threads = pool == NULL ? 1 : pool_threads(pool);
    struct regions regions = {.problem = problem, .kernel = kernel, .workspace = workspace};
    regions.grid = gemm_grid_choose(problem, kernel, threads);
    if (regions.grid.rows * regions.grid.columns == 1) {
        gemm_blocked(problem, kernel, pool, workspace);
        return;
    }
    regions.workspace_bytes = region_workspace(problem, kernel, regions.grid);
    pool_run(pool, (int64_t)regions.grid.rows * regions.grid.columns, multiply_region, &regions);
}
