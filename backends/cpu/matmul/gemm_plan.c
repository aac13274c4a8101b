#include "matmul/gemm_plan.h"

/* Sizes that keep what is gathered where it is read again: b of a block in the L2 cache, a of a band in the L3 cache.
 * Sums of one chain go on in c itself from slab to slab. */
#define C_SLAB_STEPS    384
#define SLAB_STEPS      768
#define BLOCK_WORDS     (192 * 1024)
#define BAND_COLUMNS    3072
#define PARTIAL_COLUMNS 1536
#define BAND_WORDS      (2560 * 1024)
/* Where rows are side by side in memory, one task gathers this many panels of them, over no fewer units of k than this.
 */
#define GROUP_PANELS 37
#define GROUP_UNITS  64

static int64_t slab_limit(const struct gemm_plan *plan)
{
    int in_c = plan->problem->c_dtype == LLMRUN_F32 && plan->leaves == 1;
    return (in_c ? C_SLAB_STEPS : SLAB_STEPS) / plan->unit_steps;
}

static int64_t block_limit(const struct gemm_plan *plan)
{
    int64_t steps = plan->slab_leaves * gemm_parts(plan->leaf_units, plan->leaf_slabs) * plan->unit_steps;
    return gemm_larger(BLOCK_WORDS / gemm_larger(steps, 1) / plan->kernel->columns, 1);
}

static void plan_slabs(struct gemm_plan *plan)
{
    const struct gemm_problem *problem = plan->problem;
    int64_t limit = slab_limit(plan);
    plan->slab_leaves = 1;
    while (2 * plan->slab_leaves <= plan->leaves && 2 * plan->slab_leaves * plan->leaf_units <= limit)
        plan->slab_leaves *= 2;
    plan->leaf_slabs = gemm_larger(gemm_parts(plan->leaf_units, limit), 1);
    plan->slabs = plan->leaves / plan->slab_leaves * plan->leaf_slabs;
    plan->work_in_c = problem->c_dtype == LLMRUN_F32 && !(problem->accumulate && plan->leaves > 1);
    plan->levels = __builtin_ctz((unsigned)(plan->leaves / plan->slab_leaves));
}

struct gemm_plan gemm_plan_make(const struct gemm_problem *problem, const struct gemm_kernel *kernel, int threads)
{
    struct gemm_plan plan = {.problem = problem, .kernel = kernel, .threads = threads};
    plan.leaves = problem->leaves > 1 ? problem->leaves : 1;
    plan.unit_k = kernel->unit == GEMM_UNIT_F32 ? 1 : 2;
    plan.unit_steps = kernel->unit == GEMM_UNIT_WIDE ? 2 : 1;
    for (int s = 0; s < problem->segments; s++)
        plan.leaf_units += gemm_parts(problem->segment[s].k / plan.leaves, plan.unit_k);
    plan_slabs(&plan);

    int64_t slab_steps = plan.slab_leaves * gemm_parts(plan.leaf_units, plan.leaf_slabs) * plan.unit_steps;
    int64_t panel_words = gemm_panel_distance(slab_steps, kernel->rows);
    int rests = plan.levels > 0 || (plan.leaf_slabs > 1 && !plan.work_in_c);
    int64_t band_columns = rests ? PARTIAL_COLUMNS : BAND_COLUMNS;
    plan.row_panels = gemm_parts(problem->m, kernel->rows);
    plan.column_panels = gemm_parts(problem->n, kernel->columns);
    plan.row_bands = gemm_parts(plan.row_panels, gemm_larger(BAND_WORDS / panel_words, 1));
    plan.column_bands = gemm_parts(plan.column_panels, band_columns / kernel->columns);

    int64_t row_panels = gemm_parts(plan.row_panels, plan.row_bands);
    int64_t column_panels = gemm_parts(plan.column_panels, plan.column_bands);
    int64_t block_panels = gemm_smaller(column_panels, block_limit(&plan));
    plan.left_words = row_panels * panel_words;
    plan.right_words = block_panels * gemm_panel_distance(slab_steps, kernel->columns);
    plan.partial_row = column_panels * kernel->columns;
    plan.partial_floats = rests ? gemm_parts(plan.partial_row * row_panels * kernel->rows, 16) * 16 : 0;
    if (problem->c_dtype != LLMRUN_F32)
        plan.panel_floats = block_panels * kernel->columns * kernel->rows;
    return plan;
}

int64_t gemm_blocked_workspace(const struct gemm_problem *problem, const struct gemm_kernel *kernel, int threads)
{
    struct gemm_plan plan = gemm_plan_make(problem, kernel, threads);
    return 4 * (plan.left_words + threads * (plan.right_words + plan.panel_floats) +
                (plan.levels + 1) * plan.partial_floats);
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
    struct gemm_range part = gemm_part_of(plan->leaf_units, plan->leaf_slabs, phase->slab % plan->leaf_slabs);
    phase->leaf = (int)(phase->slab / plan->leaf_slabs) * plan->slab_leaves;
    phase->units = (struct gemm_range){part.begin, (plan->slab_leaves - 1) * plan->leaf_units + part.end};
    int64_t rows = phase->rows.end - phase->rows.begin, units = phase->units.end - phase->units.begin;
    int64_t most = plan->problem->segment[0].a_k == 1 ? gemm_parts(rows, 4 * plan->threads) : GROUP_PANELS;
    phase->row_groups = gemm_parts(rows, gemm_smaller(most, GROUP_PANELS));
    int64_t wanted = gemm_parts(4 * plan->threads, phase->row_groups);
    phase->unit_groups = gemm_smaller(wanted, gemm_parts(units, GROUP_UNITS));
}
