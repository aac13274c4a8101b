/* The blocked product. c is cut into MC x NC blocks, each small enough for one packing of its rows of a; an MC x NC
 * block into blocks of columns, each small enough for one packing of its columns of b; k into KC blocks.
 *
 *   for each MC x NC block, for each KC block of k:
 *       pack the KC block of a for the MC x NC block                              pool tasks: groups of row panels
 *       for each block: pack the KC block of b, then multiply and add    pool tasks: blocks
 *           all its row panels with all its column panels
 *
 * From one KC block to the next the sums rest in memory as fp32 and are loaded again, so the cuts leave no trace in the
 * bits. Nothing is added across tasks. */
#include "matmul/gemm_plan.h"

#include <string.h>

#include "matmul/float_state.h"

/* The block that a task works on. */
struct block {
    const struct gemm_phase *phase;
    struct gemm_range rows, columns; /* panels, counted from the start of the MC x NC block */
    uint32_t *right;
    float *panel; /* where c does not hold fp32: the sums of the row panel at work */
    struct gemm_fetch fetch;
};

/* Floats of a row panel over the columns of a block. */
struct sums {
    float *at;
    int64_t stride; /* from row to row */
    int in_c;
};

/* One row panel of a block in one KC block: sums begin at `start` (at +0 where that is NULL), get what `added` lists,
 * and go to `end`. */
struct panel {
    int64_t index; /* counted from the start of the MC x NC block */
    int rows;
    int64_t first_row; /* of c */
    struct sums start, end;
    int added_count;
    struct sums added[GEMM_ADDED];
};

static struct sums sums_in_c(const struct block *block, const struct panel *panel)
{
    const struct gemm_phase *phase = block->phase;
    const struct gemm_problem *problem = phase->plan->problem;
    int64_t column = (phase->columns.begin + block->columns.begin) * phase->plan->kernel->columns;
    return (struct sums){(float *)problem->c + panel->first_row * problem->c_row + column, problem->c_row, 1};
}

static struct sums sums_in_buffer(const struct block *block, const struct panel *panel, int buffer)
{
    const struct gemm_plan *plan = block->phase->plan;
    float *at = block->phase->partial + buffer * plan->partial_floats +
                panel->index * plan->kernel->rows * plan->partial_row + block->columns.begin * plan->kernel->columns;
    return (struct sums){at, plan->partial_row, 0};
}

/* The tree of parts: KC block group g (all KC blocks of the parts that a KC block holds, or of one part) closes as many
 * levels as g + 1 has factors of two, and waits on the next level, but for the last one. */
static struct panel panel_make(const struct block *block, int64_t index)
{
    const struct gemm_phase *phase = block->phase;
    const struct gemm_plan *plan = phase->plan;
    struct panel panel = {.index = index, .first_row = (phase->rows.begin + index) * plan->kernel->rows};
    int64_t group = phase->kc_block / plan->part_kc_blocks, groups = plan->parts / plan->kc_parts;
    int begins = phase->kc_block % plan->part_kc_blocks == 0, ends = (phase->kc_block + 1) % plan->part_kc_blocks == 0;
    panel.rows = gemm_panel_lanes(phase->rows.begin + index, plan->kernel->rows, plan->problem->m);

    struct sums c = plan->problem->c_dtype == LLMRUN_F32 ? sums_in_c(block, &panel) : (struct sums){0};
    struct sums work = plan->work_in_c ? c : sums_in_buffer(block, &panel, plan->levels);
    if (!begins || (plan->parts == 1 && plan->problem->accumulate))
        panel.start = begins ? c : work;
    if (!ends) {
        panel.end = work;
        return panel;
    }
    int closed = __builtin_ctzll((unsigned long long)(group + 1));
    for (; panel.added_count < closed; panel.added_count++)
        panel.added[panel.added_count] = sums_in_buffer(block, &panel, panel.added_count);
    if (group + 1 < groups) {
        panel.end = sums_in_buffer(block, &panel, closed);
        return panel;
    }
    if (plan->parts > 1 && plan->problem->accumulate)
        panel.added[panel.added_count++] = c;
    panel.end = c;
    if (plan->problem->c_dtype != LLMRUN_F32)
        panel.end = (struct sums){block->panel, (block->columns.end - block->columns.begin) * plan->kernel->columns, 0};
    return panel;
}

static struct gemm_added copy_edge(float *to, const float *from, int64_t stride, int rows, int columns)
{
    for (int i = 0; i < rows; i++)
        memcpy(to + i * GEMM_MOST_COLUMNS, from + i * stride, (size_t)columns * sizeof(float));
    return (struct gemm_added){to, GEMM_MOST_COLUMNS};
}

/* A tile at the right edge of c is computed beside it, in full width. */
static void multiply_edge(const struct gemm_kernel *kernel, const struct panel *panel, int columns,
                          struct gemm_tile_job *job)
{
    float start[GEMM_MOST_ROWS * GEMM_MOST_COLUMNS] = {0}, found[GEMM_MOST_ROWS * GEMM_MOST_COLUMNS] = {0};
    float *end = job->end;
    int64_t stride = job->stride;
    if (job->start != NULL && panel->start.in_c) {
        struct gemm_added copy = copy_edge(start, job->start, job->start_stride, panel->rows, columns);
        job->start = copy.at;
        job->start_stride = copy.stride;
    }
    for (int i = 0; i < panel->added_count; i++) {
        if (panel->added[i].in_c)
            job->added[i] = copy_edge(found, job->added[i].at, job->added[i].stride, panel->rows, columns);
    }
    if (panel->end.in_c) {
        job->end = start;
        job->stride = GEMM_MOST_COLUMNS;
        job->next = start;
    }
    kernel->tile[panel->rows - 1](job);
    for (int i = 0; i < panel->rows && panel->end.in_c; i++)
        memcpy(end + i * stride, start + i * GEMM_MOST_COLUMNS, (size_t)columns * sizeof(float));
}

static struct gemm_tile_job panel_job(const struct block *block, const struct panel *panel, int64_t steps)
{
    const struct gemm_plan *plan = block->phase->plan;
    struct gemm_tile_job job = {.parts = plan->kc_parts, .flush = plan->kernel->flush};
    job.steps = steps / plan->kc_parts;
    job.a = block->phase->left + panel->index * gemm_panel_distance(steps, plan->kernel->rows);
    job.b = block->right;
    job.start = panel->start.at;
    job.start_stride = panel->start.stride;
    job.end = panel->end.at;
    job.stride = panel->end.stride;
    job.added_count = panel->added_count;
    for (int i = 0; i < panel->added_count; i++)
        job.added[i] = (struct gemm_added){panel->added[i].at, panel->added[i].stride};
    return job;
}

static void multiply_panel(struct block *block, const struct panel *panel)
{
    const struct gemm_phase *phase = block->phase;
    const struct gemm_plan *plan = phase->plan;
    const struct gemm_kernel *kernel = plan->kernel;
    int64_t steps = gemm_kc_steps(phase);
    struct gemm_tile_job job = panel_job(block, panel, steps);
    int edge =
        panel->start.in_c || panel->end.in_c || (panel->added_count > 0 && panel->added[panel->added_count - 1].in_c);
    for (int64_t j = block->columns.begin; j < block->columns.end; j++) {
        int columns = gemm_panel_lanes(phase->columns.begin + j, kernel->columns, plan->problem->n);
        gemm_fetch_some(&block->fetch);
        job.next = j + 1 < block->columns.end ? job.end + kernel->columns : panel->end.at + panel->rows * job.stride;
        if (edge && columns < kernel->columns) {
            multiply_edge(kernel, panel, columns, &job);
            break;
        }
        kernel->tile[panel->rows - 1](&job);
        job.b += gemm_panel_distance(steps, kernel->columns);
        job.start = job.start == NULL ? NULL : job.start + kernel->columns;
        job.end += kernel->columns;
        for (int i = 0; i < job.added_count; i++)
            job.added[i].at += kernel->columns;
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
        row.sum = panel->end.at + i * panel->end.stride;
        row.c = (char *)problem->c + (at * problem->c_row + column) * size;
        row.bias = problem->bias == NULL ? NULL : problem->bias + column;
        if (problem->aux != NULL)
            row.aux = (char *)problem->aux + (at * problem->aux_row + column) * size;
        plan->kernel->finish(&row);
    }
}

static int needs_finish(const struct gemm_phase *phase)
{
    const struct gemm_problem *problem = phase->plan->problem;
    return phase->kc_block + 1 == phase->plan->kc_blocks && (problem->c_dtype != LLMRUN_F32 || problem->bias != NULL ||
                                                             problem->activation != NULL || problem->aux != NULL);
}

static struct gemm_range block_columns(const struct gemm_phase *phase, int64_t task)
{
    return gemm_part_of(phase->columns.end - phase->columns.begin, phase->column_blocks, task / phase->row_blocks);
}

/* What this thread is likely to pack next: the block that is as many tasks ahead as there are threads, in this KC block
 * or at the start of the next one. */
static struct gemm_fetch fetch_next(const struct block *block, int64_t task)
{
    struct gemm_phase next = *block->phase;
    int64_t tasks = next.row_blocks * next.column_blocks;
    int64_t tiles = (block->rows.end - block->rows.begin) * (block->columns.end - block->columns.begin);
    task += next.plan->threads;
    if (task >= tasks && ++next.kc_block == next.plan->kc_blocks)
        return (struct gemm_fetch){0};
    gemm_plan_kc_block(&next);
    return gemm_fetch_make(&next, block_columns(&next, task % tasks), tiles);
}

static void multiply_block(void *context, int64_t task, int thread)
{
    const struct gemm_phase *phase = context;
    const struct gemm_plan *plan = phase->plan;
    struct block block = {.phase = phase, .right = phase->right + thread * plan->right_words};
    block.panel = phase->panel + thread * plan->panel_floats;
    block.rows = gemm_part_of(phase->rows.end - phase->rows.begin, phase->row_blocks, task % phase->row_blocks);
    block.columns = block_columns(phase, task);
    block.fetch = fetch_next(&block, task);
    unsigned state = float_state_set(0);
    gemm_pack_columns(phase, block.columns, block.right);
    for (int64_t i = block.rows.begin; i < block.rows.end; i++) {
        struct panel panel = panel_make(&block, i);
        multiply_panel(&block, &panel);
        if (needs_finish(phase))
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

static void run_mc_nc_block(struct gemm_phase *phase, struct pool *pool)
{
    const struct gemm_plan *plan = phase->plan;
    gemm_plan_blocks(phase);
    for (phase->kc_block = 0; phase->kc_block < plan->kc_blocks; phase->kc_block++) {
        gemm_plan_kc_block(phase);
        run_tasks(pool, phase->row_groups * phase->unit_groups, gemm_pack_rows, phase);
        run_tasks(pool, phase->row_blocks * phase->column_blocks, multiply_block, phase);
    }
}

void gemm_blocked(const struct gemm_problem *problem, const struct gemm_kernel *kernel, struct pool *pool,
                  void *workspace)
{
    struct gemm_plan plan = gemm_plan_make(problem, kernel, pool == NULL ? 1 : pool_threads(pool));
    struct gemm_phase phase = {.plan = &plan, .left = workspace};
    phase.right = phase.left + plan.left_words;
    phase.panel = (float *)(phase.right + plan.threads * plan.right_words);
    phase.partial = phase.panel + plan.threads * plan.panel_floats;
    for (int64_t column = 0; column < plan.nc_blocks; column++) {
        phase.columns = gemm_part_of(plan.column_panels, plan.nc_blocks, column);
        for (int64_t row = 0; row < plan.mc_blocks; row++) {
            phase.rows = gemm_part_of(plan.row_panels, plan.mc_blocks, row);
            run_mc_nc_block(&phase, pool);
        }
    }
}
