#include "matmul/gemm_plan.h"

/* Sizes that keep what is gathered where it is read again: b of a block in the L2 cache, a of a band in the L3 cache.
 * Sums that go on in c itself can afford short slabs, of which a panel of b stays in the L1 cache; other sums are best
 * kept in one slab. */
#define C_SLAB_STEPS    384
#define C_BLOCK_COLUMNS 512
#define SLAB_STEPS      768
#define BLOCK_COLUMNS   192
#define BAND_COLUMNS    3072
#define PARTIAL_COLUMNS 1536
#define BAND_WORDS      (2560 * 1024)
/* Where rows are side by side in memory, one task gathers this many panels of them, over no fewer units of k than this.
 */
#define GROUP_PANELS 37
#define GROUP_UNITS  64

static int64_t slab_limit(const struct gemm_plan *plan)
{
    return plan->rest == GEMM_REST_C ? C_SLAB_STEPS : SLAB_STEPS;
}

static int64_t block_limit(const struct gemm_plan *plan)
{
    return (plan->rest == GEMM_REST_C ? C_BLOCK_COLUMNS : BLOCK_COLUMNS) / plan->kernel->columns;
}

static void plan_partial(struct gemm_plan *plan, int64_t band_rows, int64_t band_columns, int64_t block_columns)
{
    if (plan->rest == GEMM_REST_PANEL) {
        plan->partial_row = block_columns;
        plan->partial_floats = block_columns * plan->kernel->rows;
        plan->partial_buffers = plan->threads;
    } else if (plan->rest == GEMM_REST_PARTIAL) {
        plan->partial_row = band_columns;
        plan->partial_floats = gemm_parts(band_columns * band_rows, 16) * 16;
        plan->partial_buffers = plan->leaves == 1 ? 1 : __builtin_ctz((unsigned)plan->leaves) + 1;
    }
}

struct gemm_plan gemm_plan_make(const struct gemm_problem *problem, const struct gemm_kernel *kernel, int threads)
{
    struct gemm_plan plan = {.problem = problem, .kernel = kernel, .threads = threads};
    plan.leaves = problem->leaves > 1 ? problem->leaves : 1;
    plan.unit_k = kernel->unit == GEMM_UNIT_F32 ? 1 : 2;
    plan.unit_steps = kernel->unit == GEMM_UNIT_WIDE ? 2 : 1;
    for (int s = 0; s < problem->segments; s++)
        plan.leaf_units += gemm_parts(problem->segment[s].k / plan.leaves, plan.unit_k);
    plan.rest = plan.leaves == 1 && problem->c_dtype == LLMRUN_F32 ? GEMM_REST_C : GEMM_REST_PARTIAL;
    plan.slabs = gemm_parts(plan.leaf_units, slab_limit(&plan) / plan.unit_steps);
    if (plan.rest == GEMM_REST_PARTIAL && plan.leaves == 1 && plan.slabs == 1)
        plan.rest = GEMM_REST_PANEL;

    int64_t slab_steps = gemm_parts(plan.leaf_units, plan.slabs) * plan.unit_steps;
    int64_t panel_words = gemm_panel_distance(slab_steps, kernel->rows);
    int64_t band_columns = plan.rest == GEMM_REST_PARTIAL ? PARTIAL_COLUMNS : BAND_COLUMNS;
    plan.row_panels = gemm_parts(problem->m, kernel->rows);
    plan.column_panels = gemm_parts(problem->n, kernel->columns);
    plan.row_bands = gemm_parts(plan.row_panels, gemm_larger(BAND_WORDS / panel_words, 1));
    plan.column_bands = gemm_parts(plan.column_panels, band_columns / kernel->columns);

    int64_t row_panels = gemm_parts(plan.row_panels, plan.row_bands);
    int64_t column_panels = gemm_parts(plan.column_panels, plan.column_bands);
    int64_t block_panels = gemm_smaller(column_panels, block_limit(&plan));
    plan.left_words = row_panels * panel_words;
    plan.right_words = block_panels * gemm_panel_distance(slab_steps, kernel->columns);
    plan_partial(&plan, row_panels * kernel->rows, column_panels * kernel->columns, block_panels * kernel->columns);
    return plan;
}

int64_t gemm_blocked_workspace(const struct gemm_problem *problem, const struct gemm_kernel *kernel, int threads)
{
    struct gemm_plan plan = gemm_plan_make(problem, kernel, threads);
    return 4 * (plan.left_words + threads * plan.right_words + plan.partial_buffers * plan.partial_floats);
}

/* Blocks within the limit, and a multiple of the threads where there are columns enough; else rows are cut too.
 */
void gemm_plan_blocks(struct gemm_phase *phase)
{
    const struct gemm_plan *plan = phase->plan;
    int64_t columns = phase->columns.end - phase->columns.begin, rows = phase->rows.end - phase->rows.begin;
    int64_t blocks = gemm_parts(columns, block_limit(plan));
    int64_t shared = gemm_parts(blocks, plan->threads) * plan->threads;
    phase->column_blocks = gemm_smaller(shared, columns);
    phase->row_blocks = gemm_smaller(gemm_parts(plan->threads, phase->column_blocks), rows);
}

/* Rows side by side in memory are read in long stretches; k side by side in whole panels. */
void gemm_plan_slab(struct gemm_phase *phase)
{
    const struct gemm_plan *plan = phase->plan;
    phase->units = gemm_part_of(plan->leaf_units, plan->slabs, phase->slab);
    int64_t rows = phase->rows.end - phase->rows.begin, units = phase->units.end - phase->units.begin;
    int64_t most = plan->problem->segment[0].a_k == 1 ? gemm_parts(rows, 4 * plan->threads) : GROUP_PANELS;
    phase->row_groups = gemm_parts(rows, gemm_smaller(most, GROUP_PANELS));
    int64_t wanted = gemm_parts(4 * plan->threads, phase->row_groups);
    phase->unit_groups = gemm_smaller(wanted, gemm_parts(units, GROUP_UNITS));
}
