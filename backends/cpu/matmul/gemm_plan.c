#include "matmul/gemm_plan.h"

/* Sizes that keep what is packed where it is read again: b of a block in the L2 cache, a of an MC x NC block in the L3
 * cache. Sums of one chain go on in c itself from KC block to KC block. */
#define C_KC_STEPS      384
#define KC_STEPS        768
#define BLOCK_WORDS     (192 * 1024)
#define NC_COLUMNS      3072
#define PARTIAL_COLUMNS 1536
#define MC_WORDS        (2560 * 1024)
/* Where rows are side by side in memory, one task packs this many panels of them, over no fewer units of k than this.
 */
#define GROUP_PANELS 37
#define GROUP_UNITS  64

static int64_t kc_limit(const struct gemm_plan *plan)
{
    int in_c = plan->problem->c_dtype == LLMRUN_F32 && plan->parts == 1;
    return (in_c ? C_KC_STEPS : KC_STEPS) / plan->unit_steps;
}

static int64_t block_limit(const struct gemm_plan *plan)
{
    int64_t steps = plan->kc_parts * gemm_parts(plan->part_units, plan->part_kc_blocks) * plan->unit_steps;
    return gemm_larger(BLOCK_WORDS / gemm_larger(steps, 1) / plan->kernel->columns, 1);
}

static void plan_kc_blocks(struct gemm_plan *plan)
{
    const struct gemm_problem *problem = plan->problem;
    int64_t limit = kc_limit(plan);
    plan->kc_parts = 1;
    while (2 * plan->kc_parts <= plan->parts && 2 * plan->kc_parts * plan->part_units <= limit)
        plan->kc_parts *= 2;
    plan->part_kc_blocks = gemm_larger(gemm_parts(plan->part_units, limit), 1);
    plan->kc_blocks = plan->parts / plan->kc_parts * plan->part_kc_blocks;
    plan->work_in_c = problem->c_dtype == LLMRUN_F32 && !(problem->accumulate && plan->parts > 1);
    plan->levels = __builtin_ctz((unsigned)(plan->parts / plan->kc_parts));
}

struct gemm_plan gemm_plan_make(const struct gemm_problem *problem, const struct gemm_kernel *kernel, int threads)
{
    struct gemm_plan plan = {.problem = problem, .kernel = kernel, .threads = threads};
    plan.parts = problem->parts > 1 ? problem->parts : 1;
    plan.unit_k = kernel->unit == GEMM_UNIT_F32 ? 1 : 2;
    plan.unit_steps = kernel->unit == GEMM_UNIT_WIDE ? 2 : 1;
    for (int s = 0; s < problem->segments; s++)
        plan.part_units += gemm_parts(problem->segment[s].k / plan.parts, plan.unit_k);
    plan_kc_blocks(&plan);

    int64_t kc_steps = plan.kc_parts * gemm_parts(plan.part_units, plan.part_kc_blocks) * plan.unit_steps;
    int64_t panel_words = gemm_panel_distance(kc_steps, kernel->rows);
    int rests = plan.levels > 0 || (plan.part_kc_blocks > 1 && !plan.work_in_c);
    int64_t nc_columns = rests ? PARTIAL_COLUMNS : NC_COLUMNS;
    plan.row_panels = gemm_parts(problem->m, kernel->rows);
    plan.column_panels = gemm_parts(problem->n, kernel->columns);
    plan.mc_blocks = gemm_parts(plan.row_panels, gemm_larger(MC_WORDS / panel_words, 1));
    plan.nc_blocks = gemm_parts(plan.column_panels, nc_columns / kernel->columns);

    int64_t row_panels = gemm_parts(plan.row_panels, plan.mc_blocks);
    int64_t column_panels = gemm_parts(plan.column_panels, plan.nc_blocks);
    int64_t block_panels = gemm_smaller(column_panels, block_limit(&plan));
    plan.left_words = row_panels * panel_words;
    plan.right_words = block_panels * gemm_panel_distance(kc_steps, kernel->columns);
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
void gemm_plan_kc_block(struct gemm_phase *phase)
{
    const struct gemm_plan *plan = phase->plan;
    struct gemm_range part =
        gemm_part_of(plan->part_units, plan->part_kc_blocks, phase->kc_block % plan->part_kc_blocks);
    phase->part = (int)(phase->kc_block / plan->part_kc_blocks) * plan->kc_parts;
    phase->units = (struct gemm_range){part.begin, (plan->kc_parts - 1) * plan->part_units + part.end};
    int64_t rows = phase->rows.end - phase->rows.begin, units = phase->units.end - phase->units.begin;
    int64_t most = plan->problem->segment[0].a_k == 1 ? gemm_parts(rows, 4 * plan->threads) : GROUP_PANELS;
    phase->row_groups = gemm_parts(rows, gemm_smaller(most, GROUP_PANELS));
    int64_t wanted = gemm_parts(4 * plan->threads, phase->row_groups);
    phase->unit_groups = gemm_smaller(wanted, gemm_parts(units, GROUP_UNITS));
}
