/* The blocked product. c is cut into bands, each small enough for one gathering of its rows of a; a band into blocks of
 * columns, each small enough for one gathering of its columns of b; k into slabs.
 *
 *   for each band, for each leaf, for each slab of k:
 *       gather the slab of a for the band                              pool tasks: groups of row panels
 *       for each block: gather the slab of b, then multiply and add    pool tasks: blocks
 *           all its row panels with all its column panels
 *
 * From one slab to the next the sums rest in memory as fp32 and are loaded again, so the cuts leave no trace in the
 * bits. Nothing is added across tasks. */
#include "matmul/gemm_plan.h"

#include <string.h>

#include "matmul/float_state.h"

/* The block that a task works on. */
struct block {
    const struct gemm_phase *phase;
    struct gemm_range rows, columns; /* panels, counted from the start of the band */
    uint32_t *right;
    float *partial; /* the buffer at work, with GEMM_REST_PANEL that of this thread */
    struct gemm_fetch fetch;
    int first; /* the chain starts here */
    int last;  /* the chain ends here */
};

/* One row panel of a block. */
struct panel {
    int64_t index; /* counted from the start of the band */
    int rows;
    int64_t first_row; /* of c */
    float *sum;        /* where the sums of its first row rest */
    int64_t stride;    /* floats from row to row */
};

static struct panel panel_make(const struct block *block, int64_t index)
{
    const struct gemm_phase *phase = block->phase;
    const struct gemm_plan *plan = phase->plan;
    const struct gemm_kernel *kernel = plan->kernel;
    struct panel panel = {.index = index, .first_row = (phase->rows.begin + index) * kernel->rows};
    panel.rows = gemm_panel_lanes(phase->rows.begin + index, kernel->rows, plan->problem->m);
    panel.stride = plan->rest == GEMM_REST_C ? plan->problem->c_row : plan->partial_row;
    if (plan->rest == GEMM_REST_C)
        panel.sum = (float *)plan->problem->c + panel.first_row * panel.stride +
                    (phase->columns.begin + block->columns.begin) * kernel->columns;
    else if (plan->rest == GEMM_REST_PARTIAL)
        panel.sum = block->partial + index * kernel->rows * panel.stride + block->columns.begin * kernel->columns;
    else
        panel.sum = block->partial;
    return panel;
}

/* A tile at the right edge of c is computed beside it, in full width. */
static void multiply_edge(const struct gemm_kernel *kernel, const struct panel *panel, int columns, int64_t steps,
                          const uint32_t *a, const uint32_t *b, int from_zero, float *sum)
{
    float edge[GEMM_MOST_ROWS * GEMM_MOST_COLUMNS] = {0};
    size_t bytes = (size_t)columns * sizeof(float);
    for (int i = 0; i < panel->rows && !from_zero; i++)
        memcpy(edge + i * kernel->columns, sum + i * panel->stride, bytes);
    kernel->tile[panel->rows - 1](steps, a, b, edge, edge, kernel->columns, edge);
    for (int i = 0; i < panel->rows; i++)
        memcpy(sum + i * panel->stride, edge + i * kernel->columns, bytes);
}

static void multiply_panel(struct block *block, const struct panel *panel)
{
    const struct gemm_phase *phase = block->phase;
    const struct gemm_plan *plan = phase->plan;
    const struct gemm_kernel *kernel = plan->kernel;
    int64_t steps = gemm_slab_steps(phase);
    const uint32_t *a = phase->left + panel->index * gemm_panel_distance(steps, kernel->rows), *b = block->right;
    int from_zero = block->first && !(plan->rest == GEMM_REST_C && plan->problem->accumulate);
    float *sum = panel->sum;
    unsigned state = float_state_set(kernel->flush);
    for (int64_t j = block->columns.begin; j < block->columns.end; j++) {
        int columns = gemm_panel_lanes(phase->columns.begin + j, kernel->columns, plan->problem->n);
        const float *below = panel->sum + panel->rows * panel->stride;
        gemm_fetch_some(&block->fetch);
        if (plan->rest == GEMM_REST_C && columns < kernel->columns)
            multiply_edge(kernel, panel, columns, steps, a, b, from_zero, sum);
        else
            kernel->tile[panel->rows - 1](steps, a, b, from_zero ? NULL : sum, sum, panel->stride,
                                          j + 1 < block->columns.end ? sum + kernel->columns : below);
        b += gemm_panel_distance(steps, kernel->columns);
        sum += kernel->columns;
    }
    float_state_restore(state);
}

/* A leaf has ended: the pending sums of its size are added, and it rests where the next leaf does not touch it. */
static void close_leaf(const struct block *block, const struct panel *panel)
{
    const struct gemm_phase *phase = block->phase;
    const struct gemm_plan *plan = phase->plan;
    int64_t n = (block->columns.end - block->columns.begin) * plan->kernel->columns;
    int levels = __builtin_ctz((unsigned)(phase->leaf + 1));
    for (int i = 0; i < panel->rows; i++) {
        float *sum = panel->sum + i * panel->stride;
        float *pending = sum - (plan->partial_buffers - 1) * plan->partial_floats;
        for (int level = 0; level < levels; level++, pending += plan->partial_floats)
            plan->kernel->add(sum, pending, n);
        if (phase->leaf + 1 < plan->leaves)
            memcpy(pending, sum, (size_t)n * sizeof(float));
    }
}

static void finish_panel(const struct block *block, const struct panel *panel)
{
    const struct gemm_phase *phase = block->phase;
    const struct gemm_plan *plan = phase->plan;
    const struct gemm_problem *problem = plan->problem;
    int64_t size = problem->c_dtype == LLMRUN_F32 ? 4 : 2, width = plan->kernel->columns;
    int64_t column = (phase->columns.begin + block->columns.begin) * width;
    int64_t end = gemm_smaller((phase->columns.begin + block->columns.end) * width, problem->n);
    for (int i = 0; i < panel->rows; i++) {
        struct gemm_row row = {.n = end - column, .activation = problem->activation, .dtype = problem->c_dtype};
        int64_t at = panel->first_row + i;
        row.sum = panel->sum + i * panel->stride;
        row.c = (char *)problem->c + (at * problem->c_row + column) * size;
        row.bias = problem->bias == NULL ? NULL : problem->bias + column;
        row.found = plan->rest != GEMM_REST_C && problem->accumulate ? row.c : NULL;
        if (problem->aux != NULL)
            row.aux = (char *)problem->aux + (at * problem->aux_row + column) * size;
        plan->kernel->finish(&row);
    }
}

static int needs_finish(const struct gemm_plan *plan)
{
    const struct gemm_problem *problem = plan->problem;
    return plan->rest != GEMM_REST_C || problem->bias != NULL || problem->activation != NULL || problem->aux != NULL;
}

static struct gemm_range block_columns(const struct gemm_phase *phase, int64_t task)
{
    return gemm_part_of(phase->columns.end - phase->columns.begin, phase->column_blocks, task / phase->row_blocks);
}

/* What this thread is likely to gather next: the block that is as many tasks ahead as there are threads, in this slab
 * or at the start of the next one. */
static struct gemm_fetch fetch_next(const struct block *block, int64_t task)
{
    struct gemm_phase next = *block->phase;
    int64_t tasks = next.row_blocks * next.column_blocks;
    int64_t tiles = (block->rows.end - block->rows.begin) * (block->columns.end - block->columns.begin);
    task += next.plan->threads;
    if (task >= tasks && ++next.slab == next.plan->slabs)
        return (struct gemm_fetch){0};
    gemm_plan_slab(&next);
    return gemm_fetch_make(&next, block_columns(&next, task % tasks), tiles);
}

static void multiply_block(void *context, int64_t task, int thread)
{
    const struct gemm_phase *phase = context;
    const struct gemm_plan *plan = phase->plan;
    struct block block = {.phase = phase, .right = phase->right + thread * plan->right_words};
    int64_t buffer = plan->rest == GEMM_REST_PANEL ? thread : plan->partial_buffers - 1;
    block.partial = plan->rest == GEMM_REST_C ? NULL : phase->partial + buffer * plan->partial_floats;
    block.rows = gemm_part_of(phase->rows.end - phase->rows.begin, phase->row_blocks, task % phase->row_blocks);
    block.columns = block_columns(phase, task);
    block.first = phase->slab == 0;
    block.last = phase->slab + 1 == plan->slabs;
    block.fetch = fetch_next(&block, task);
    unsigned state = float_state_set(0);
    gemm_gather_columns(phase, block.columns, block.right);
    for (int64_t i = block.rows.begin; i < block.rows.end; i++) {
        struct panel panel = panel_make(&block, i);
        multiply_panel(&block, &panel);
        if (block.last && plan->leaves > 1)
            close_leaf(&block, &panel);
        if (block.last && phase->leaf + 1 == plan->leaves && needs_finish(plan))
            finish_panel(&block, &panel);
    }
    float_state_restore(state);
}

static void run_tasks(struct pool *pool, int64_t tasks, pool_task *task, struct gemm_phase *phase)
{
    if (pool != NULL && tasks > 1) {
        pool_run(pool, tasks, task, phase);
        return;
    }
    for (int64_t i = 0; i < tasks; i++)
        task(phase, i, 0);
}

static void run_band(struct gemm_phase *phase, struct pool *pool)
{
    const struct gemm_plan *plan = phase->plan;
    gemm_plan_blocks(phase);
    for (phase->leaf = 0; phase->leaf < plan->leaves; phase->leaf++) {
        for (phase->slab = 0; phase->slab < plan->slabs; phase->slab++) {
            gemm_plan_slab(phase);
            run_tasks(pool, phase->row_groups * phase->unit_groups, gemm_gather_rows, phase);
            run_tasks(pool, phase->row_blocks * phase->column_blocks, multiply_block, phase);
        }
    }
}

void gemm_blocked(const struct gemm_problem *problem, const struct gemm_kernel *kernel, struct pool *pool,
                  void *workspace)
{
    struct gemm_plan plan = gemm_plan_make(problem, kernel, pool == NULL ? 1 : pool_threads(pool));
    struct gemm_phase phase = {.plan = &plan, .left = workspace};
    phase.right = phase.left + plan.left_words;
    phase.partial = (float *)(phase.right + plan.threads * plan.right_words);
    for (int64_t column = 0; column < plan.column_bands; column++) {
        phase.columns = gemm_part_of(plan.column_panels, plan.column_bands, column);
        for (int64_t row = 0; row < plan.row_bands; row++) {
            phase.rows = gemm_part_of(plan.row_panels, plan.row_bands, row);
            run_band(&phase, pool);
        }
    }
}
