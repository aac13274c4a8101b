/* The blocked product. Outputs are cut into bands (what one gathering of a serves), each band into blocks; a block is
 * one task.
 *
 *   for each band of columns, band of rows, leaf, slab of k:
 *       gather the slab of a                     tasks: panels of rows
 *       for each block                           tasks: blocks
 *           for each depth of k within the slab: gather its part of b, then multiply all its panels of rows and columns
 *
 * Sums rest in c, or where c is bf16 or there are leaves in partial buffers, between one depth and the next: fp32
 * stored and loaded again, so the cuts leave no trace. Nothing is added across tasks. */
#include "matmul/gemm_kernel.h"

#include <string.h>

#include "matmul/float_state.h"

#define BAND_COLUMNS  3072 /* most columns and rows of a band, and steps of a slab */
#define BAND_ROWS     1036
#define SLAB_STEPS    2048
#define DEPTH_STEPS   384 /* steps of k that one gathering of b covers: with BLOCK_COLUMNS, 384 KiB of the L2 cache */
#define BLOCK_COLUMNS 256

struct range {
    int64_t begin;
    int64_t end;
};

/* How a problem is cut, and where the parts of the workspace lie. Counts are of panels where the name says so. */
struct plan {
    const struct gemm_problem *problem;
    const struct gemm_kernel *kernel;
    int threads;
    int leaves;
    int unit_k;     /* elements of k in a unit */
    int unit_steps; /* words of a lane in a unit */
    int64_t leaf_units;
    int64_t row_bands, column_bands, slabs;                       /* slabs of one leaf */
    int64_t row_panels, column_panels;                            /* of the whole problem */
    int64_t most_row_panels, most_column_panels, most_slab_units; /* in one band, one slab */
    int direct;                                                   /* sums rest in c */
    int64_t partial_row;                                          /* floats from row to row of a partial buffer */
    int64_t partial_floats;                                       /* of one buffer */
    int partial_buffers;
    int64_t left_words;  /* gathered a */
    int64_t right_words; /* gathered b of one thread */
};

/* One phase of the loop nest above. */
struct phase {
    const struct plan *plan;
    uint32_t *left;  /* panels of rows, each of all steps of the slab */
    uint32_t *right; /* + thread * right_words */
    float *partial;  /* + level * partial_floats */
    int64_t row_blocks, column_blocks;
    struct range rows, columns; /* panels of the bands */
    struct range units;         /* of the slab, within the leaf */
    int leaf;
};

static int64_t parts(int64_t total, int64_t most)
{
    return (total + most - 1) / most;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Part `i` of `count` nearly equal parts. */
static struct range part_of(int64_t total, int64_t count, int64_t i)
{
    return (struct range){total * i / count, total * (i + 1) / count};
}

static struct plan plan_make(const struct gemm_problem *problem, const struct gemm_kernel *kernel, int threads)
{
    struct plan plan = {.problem = problem, .kernel = kernel, .threads = threads};
    plan.leaves = problem->leaves > 1 ? problem->leaves : 1;
    plan.unit_k = kernel->unit == GEMM_UNIT_F32 ? 1 : 2;
    plan.unit_steps = kernel->unit == GEMM_UNIT_WIDE ? 2 : 1;
    for (int s = 0; s < problem->segments; s++)
        plan.leaf_units += parts(problem->segment[s].k / plan.leaves, plan.unit_k);
    plan.direct = plan.leaves == 1 && problem->c_dtype == LLMRUN_F32;

    plan.row_panels = parts(problem->m, kernel->rows);
    plan.column_panels = parts(problem->n, kernel->columns);
    plan.row_bands = parts(plan.row_panels, BAND_ROWS / kernel->rows);
    plan.column_bands = parts(plan.column_panels, (plan.direct ? BAND_COLUMNS : BAND_COLUMNS / 2) / kernel->columns);
    plan.slabs = parts(plan.leaf_units, SLAB_STEPS / plan.unit_steps);
    plan.most_row_panels = parts(plan.row_panels, plan.row_bands);
    plan.most_column_panels = parts(plan.column_panels, plan.column_bands);
    plan.most_slab_units = parts(plan.leaf_units, plan.slabs);

    int64_t depth = smaller(plan.most_slab_units * plan.unit_steps, DEPTH_STEPS);
    plan.left_words = plan.most_row_panels * kernel->rows * plan.most_slab_units * plan.unit_steps;
    plan.right_words = smaller(plan.most_column_panels * kernel->columns, BLOCK_COLUMNS) * depth;
    if (!plan.direct) {
        plan.partial_row = plan.most_column_panels * kernel->columns;
        plan.partial_floats = plan.partial_row * plan.most_row_panels * kernel->rows;
        plan.partial_buffers = plan.leaves == 1 ? 1 : __builtin_ctz((unsigned)plan.leaves) + 1;
    }
    return plan;
}

static int64_t aligned(int64_t words)
{
    return parts(words, 16) * 16;
}

int64_t gemm_blocked_workspace(const struct gemm_problem *problem, const struct gemm_kernel *kernel, int threads)
{
    struct plan plan = plan_make(problem, kernel, threads);
    return 4 * (aligned(plan.left_words) + threads * aligned(plan.right_words) +
                plan.partial_buffers * aligned(plan.partial_floats));
}

/* Gathers `units` of the leaf for the lanes from `lane` on, of a or of b. */
static void gather_units(const struct phase *phase, int of_a, int64_t lane, int lanes, int width, struct range units,
                         uint32_t *to)
{
    const struct plan *plan = phase->plan;
    int64_t bytes = plan->kernel->unit == GEMM_UNIT_F32 ? 4 : 2, base = 0;
    for (int s = 0; s < plan->problem->segments; s++) {
        const struct gemm_segment *segment = &plan->problem->segment[s];
        int64_t part = segment->k / plan->leaves, length = parts(part, plan->unit_k);
        struct range here = {units.begin > base ? units.begin - base : 0, smaller(units.end - base, length)};
        base += length;
        if (here.begin >= here.end)
            continue;
        struct gemm_panel panel = {.lanes = lanes, .width = width};
        panel.lane_stride = of_a ? segment->a_row : segment->b_column;
        panel.k_stride = of_a ? segment->a_k : segment->b_k;
        panel.k = smaller(here.end * plan->unit_k, part) - here.begin * plan->unit_k;
        int64_t first = phase->leaf * part + here.begin * plan->unit_k;
        panel.source = (const char *)(of_a ? segment->a : segment->b) +
                       (lane * panel.lane_stride + first * panel.k_stride) * bytes;
        plan->kernel->gather(&panel, to);
        to += (here.end - here.begin) * plan->unit_steps * width;
    }
}

static int panel_lanes(int64_t panel, int width, int64_t total)
{
    return (int)smaller(width, total - panel * width);
}

/* Task: one panel of rows. The last one has as many rows as are left, so no row is multiplied in vain. */
static void gather_left(void *context, int64_t task, int thread)
{
    const struct phase *phase = context;
    const struct plan *plan = phase->plan;
    int rows = plan->kernel->rows;
    int64_t panel = phase->rows.begin + task;
    int lanes = panel_lanes(panel, rows, plan->problem->m);
    int64_t steps = (phase->units.end - phase->units.begin) * plan->unit_steps;
    (void)thread;
    gather_units(phase, 1, panel * rows, lanes, lanes, phase->units, phase->left + task * rows * steps);
}

/* The block that a task works on. */
struct block {
    const struct phase *phase;
    struct range rows, columns; /* panels, counted in the band */
    struct range units;         /* of this depth, within the leaf */
    uint32_t *right;
    int first; /* the chain starts here */
    int last;  /* the chain ends here */
};

/* Where the sums of a tile rest: c, or the partial buffer at work. */
static float *resting_place(const struct phase *phase, int64_t row_panel, int64_t column_panel, int64_t *stride)
{
    const struct plan *plan = phase->plan;
    int64_t row = row_panel * plan->kernel->rows, column = column_panel * plan->kernel->columns;
    if (plan->direct) {
        *stride = plan->problem->c_row;
        row += phase->rows.begin * plan->kernel->rows;
        column += phase->columns.begin * plan->kernel->columns;
        return (float *)plan->problem->c + row * *stride + column;
    }
    *stride = plan->partial_row;
    return phase->partial + (plan->partial_buffers - 1) * aligned(plan->partial_floats) + row * *stride + column;
}

/* A tile at the right edge of c is computed beside it, in full width. */
static void multiply_edge(const struct gemm_kernel *kernel, int rows, int columns, int64_t steps, const uint32_t *a,
                          const uint32_t *b, int from_zero, float *sum, int64_t stride)
{
    float edge[GEMM_MOST_ROWS * GEMM_MOST_COLUMNS] = {0};
    size_t bytes = (size_t)columns * sizeof(float);
    for (int i = 0; i < rows && !from_zero; i++)
        memcpy(edge + i * kernel->columns, sum + i * stride, bytes);
    kernel->tile[rows - 1](steps, a, b, edge, edge, kernel->columns, edge);
    for (int i = 0; i < rows; i++)
        memcpy(sum + i * stride, edge + i * kernel->columns, bytes);
}

static void multiply_row_panel(const struct block *block, int64_t row_panel)
{
    const struct phase *phase = block->phase;
    const struct plan *plan = phase->plan;
    const struct gemm_kernel *kernel = plan->kernel;
    int rows = panel_lanes(phase->rows.begin + row_panel, kernel->rows, plan->problem->m);
    int64_t steps = (block->units.end - block->units.begin) * plan->unit_steps;
    int64_t slab_steps = (phase->units.end - phase->units.begin) * plan->unit_steps;
    const uint32_t *a = phase->left + row_panel * kernel->rows * slab_steps +
                        (block->units.begin - phase->units.begin) * plan->unit_steps * rows;
    const uint32_t *b = block->right;
    int from_zero = block->first && !(plan->direct && plan->problem->accumulate);
    int64_t stride;
    float *sum = resting_place(phase, row_panel, block->columns.begin, &stride);

    for (int64_t j = block->columns.begin; j < block->columns.end; j++) {
        int columns = panel_lanes(phase->columns.begin + j, kernel->columns, plan->problem->n);
        if (plan->direct && columns < kernel->columns)
            multiply_edge(kernel, rows, columns, steps, a, b, from_zero, sum, stride);
        else
            kernel->tile[rows - 1](steps, a, b, from_zero ? NULL : sum, sum, stride, sum + kernel->columns);
        b += steps * kernel->columns;
        sum += kernel->columns;
    }
}

/* A leaf has ended: it is added to the pending sums of its size and rests where the next leaf does not touch it. */
static void close_leaf(const struct block *block, int64_t row_panel)
{
    const struct phase *phase = block->phase;
    const struct plan *plan = phase->plan;
    int64_t stride, n = (block->columns.end - block->columns.begin) * plan->kernel->columns;
    float *sum = resting_place(phase, row_panel, block->columns.begin, &stride);
    int levels = __builtin_ctz((unsigned)(phase->leaf + 1));
    int rows = panel_lanes(phase->rows.begin + row_panel, plan->kernel->rows, plan->problem->m);
    for (int i = 0; i < rows; i++, sum += stride) {
        for (int level = 0; level < levels; level++)
            plan->kernel->add(sum, sum - (plan->partial_buffers - 1 - level) * aligned(plan->partial_floats), n);
        if (phase->leaf + 1 < plan->leaves)
            memcpy(sum - (plan->partial_buffers - 1 - levels) * aligned(plan->partial_floats), sum,
                   (size_t)n * sizeof(float));
    }
}

static void finish_row_panel(const struct block *block, int64_t row_panel)
{
    const struct phase *phase = block->phase;
    const struct plan *plan = phase->plan;
    const struct gemm_problem *problem = plan->problem;
    int64_t size = problem->c_dtype == LLMRUN_F32 ? 4 : 2, stride;
    int64_t first = (phase->rows.begin + row_panel) * plan->kernel->rows;
    int64_t column = (phase->columns.begin + block->columns.begin) * plan->kernel->columns;
    int64_t end = smaller((phase->columns.begin + block->columns.end) * plan->kernel->columns, problem->n);
    float *sum = resting_place(phase, row_panel, block->columns.begin, &stride);
    int rows = panel_lanes(phase->rows.begin + row_panel, plan->kernel->rows, problem->m);
    for (int i = 0; i < rows; i++, sum += stride) {
        struct gemm_row row = {.n = end - column, .sum = sum, .activation = problem->activation};
        row.dtype = problem->c_dtype;
        row.c = (char *)problem->c + ((first + i) * problem->c_row + column) * size;
        row.bias = problem->bias == NULL ? NULL : problem->bias + column;
        row.found = !plan->direct && problem->accumulate ? row.c : NULL;
        if (problem->aux != NULL)
            row.aux = (char *)problem->aux + ((first + i) * problem->aux_row + column) * size;
        plan->kernel->finish(&row);
    }
}

static int needs_finish(const struct plan *plan)
{
    const struct gemm_problem *problem = plan->problem;
    return !plan->direct || problem->bias != NULL || problem->activation != NULL || problem->aux != NULL;
}

static void multiply_depth(const struct block *block)
{
    const struct phase *phase = block->phase;
    const struct plan *plan = phase->plan;
    const struct gemm_kernel *kernel = plan->kernel;
    int64_t steps = (block->units.end - block->units.begin) * plan->unit_steps;
    int width = kernel->columns;
    for (int64_t j = block->columns.begin; j < block->columns.end; j++) {
        int64_t panel = phase->columns.begin + j;
        gather_units(phase, 0, panel * width, panel_lanes(panel, width, plan->problem->n), width, block->units,
                     block->right + (j - block->columns.begin) * width * steps);
    }
    for (int64_t i = block->rows.begin; i < block->rows.end; i++) {
        unsigned state = float_state_set(kernel->flush);
        multiply_row_panel(block, i);
        float_state_restore(state);
        if (block->last && plan->leaves > 1)
            close_leaf(block, i);
        if (block->last && phase->leaf + 1 == plan->leaves && needs_finish(plan))
            finish_row_panel(block, i);
    }
}

static void multiply_block(void *context, int64_t task, int thread)
{
    const struct phase *phase = context;
    const struct plan *plan = phase->plan;
    int64_t units = phase->units.end - phase->units.begin;
    int64_t depths = parts(units * plan->unit_steps, DEPTH_STEPS);
    struct block block = {.phase = phase, .right = phase->right + thread * aligned(plan->right_words)};
    block.rows = part_of(phase->rows.end - phase->rows.begin, phase->row_blocks, task % phase->row_blocks);
    block.columns = part_of(phase->columns.end - phase->columns.begin, phase->column_blocks, task / phase->row_blocks);
    unsigned state = float_state_set(0);
    for (int64_t d = 0; d < depths; d++) {
        block.units = part_of(units, depths, d);
        block.units.begin += phase->units.begin;
        block.units.end += phase->units.begin;
        block.first = block.units.begin == 0;
        block.last = block.units.end == plan->leaf_units;
        multiply_depth(&block);
    }
    float_state_restore(state);
}

/* Blocks of at most BLOCK_COLUMNS, and a multiple of the threads where there are columns enough; else rows are cut too.
 */
static void phase_cut(struct phase *phase)
{
    const struct plan *plan = phase->plan;
    int64_t columns = phase->columns.end - phase->columns.begin, rows = phase->rows.end - phase->rows.begin;
    int64_t blocks = parts(columns, BLOCK_COLUMNS / plan->kernel->columns);
    int64_t shared = parts(blocks, plan->threads) * plan->threads;
    phase->column_blocks = smaller(shared, columns);
    phase->row_blocks = smaller(parts(plan->threads, phase->column_blocks), rows);
}

static void run_tasks(struct pool *pool, int64_t tasks, pool_task *task, struct phase *phase)
{
    if (pool != NULL && tasks > 1) {
        pool_run(pool, tasks, task, phase);
        return;
    }
    for (int64_t i = 0; i < tasks; i++)
        task(phase, i, 0);
}

static void run_band(struct phase *phase, struct pool *pool)
{
    const struct plan *plan = phase->plan;
    phase_cut(phase);
    for (phase->leaf = 0; phase->leaf < plan->leaves; phase->leaf++) {
        for (int64_t slab = 0; slab < plan->slabs; slab++) {
            phase->units = part_of(plan->leaf_units, plan->slabs, slab);
            run_tasks(pool, phase->rows.end - phase->rows.begin, gather_left, phase);
            run_tasks(pool, phase->row_blocks * phase->column_blocks, multiply_block, phase);
        }
    }
}

void gemm_blocked(const struct gemm_problem *problem, const struct gemm_kernel *kernel, struct pool *pool,
                  void *workspace)
{
    struct plan plan = plan_make(problem, kernel, pool == NULL ? 1 : pool_threads(pool));
    struct phase phase = {.plan = &plan, .left = workspace};
    phase.right = phase.left + aligned(plan.left_words);
    phase.partial = (float *)(phase.right + plan.threads * aligned(plan.right_words));
    for (int64_t column = 0; column < plan.column_bands; column++) {
        phase.columns = part_of(plan.column_panels, plan.column_bands, column);
        for (int64_t row = 0; row < plan.row_bands; row++) {
            phase.rows = part_of(plan.row_panels, plan.row_bands, row);
            run_band(&phase, pool);
        }
    }
}
