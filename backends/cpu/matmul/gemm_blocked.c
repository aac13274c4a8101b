/* The blocked product. Outputs are cut into bands (what one gathering of a serves), each band into blocks; a block is
 * one task.
 *
 *   for each band of columns, band of rows, leaf, slab of k:
 *       gather the slab of a                     tasks: groups of panels of rows
 *       for each block                           tasks: blocks
 *           for each depth of k within the slab: gather its part of b, then multiply all its panels of rows and columns
 *
 * Sums rest in c, or where c is bf16 or there are leaves in partial buffers, between one depth and the next: fp32
 * stored and loaded again, so the cuts leave no trace. Nothing is added across tasks. */
#include "matmul/gemm_kernel.h"

#include <string.h>

#include "matmul/float_state.h"

#define BAND_COLUMNS  3072 /* most columns of a band, and steps of a slab */
#define SLAB_STEPS    768
#define BAND_WORDS    (2560 * 1024) /* most words of the gathered rows of a band, 10 MiB */
#define DEPTH_STEPS   768 /* steps of k that one gathering of b covers: with BLOCK_COLUMNS, 576 KiB of the L2 cache */
#define BLOCK_COLUMNS 192
#define GROUP_PANELS  74 /* most panels of rows, and least units of k, that one task gathers */
#define GROUP_UNITS   64

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
    uint32_t *left;                    /* panels of rows, each of all steps of the slab */
    uint32_t *right;                   /* + thread * right_words */
    float *partial;                    /* + level * partial_floats */
    int64_t row_groups, unit_groups;   /* tasks that gather a */
    int64_t row_blocks, column_blocks; /* tasks that multiply */
    struct range rows, columns;        /* panels of the bands */
    struct range units;                /* of the slab, within the leaf */
    int leaf;
};

static int64_t parts(int64_t total, int64_t most)
{
    return (total + most - 1) / most;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
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

/* From panel to panel: not a multiple of 4096 bytes, which would put the same place of all panels in one set of the
 * cache. */
static int64_t panel_distance(int64_t steps, int width)
{
    return (parts(steps * width, 32) * 2 + 1) * 16;
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
    plan.column_bands = parts(plan.column_panels, (plan.direct ? BAND_COLUMNS : BAND_COLUMNS / 2) / kernel->columns);
    plan.slabs = parts(plan.leaf_units, SLAB_STEPS / plan.unit_steps);
    plan.most_column_panels = parts(plan.column_panels, plan.column_bands);
    plan.most_slab_units = parts(plan.leaf_units, plan.slabs);
    int64_t panel_words = panel_distance(plan.most_slab_units * plan.unit_steps, kernel->rows);
    plan.row_bands = parts(plan.row_panels, larger(BAND_WORDS / panel_words, 1));
    plan.most_row_panels = parts(plan.row_panels, plan.row_bands);

    int64_t depth = smaller(plan.most_slab_units * plan.unit_steps, DEPTH_STEPS);
    plan.left_words = plan.most_row_panels * panel_words;
    plan.right_words =
        smaller(plan.most_column_panels, BLOCK_COLUMNS / kernel->columns) * panel_distance(depth, kernel->columns);
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

/* Gathers `units` of the leaf for `lanes` from `lane` on, rows of a or columns of b, in panels of `width`. */
static void gather_units(const struct phase *phase, int of_a, int64_t lane, int64_t lanes, int width,
                         struct range units, int64_t distance, uint32_t *to)
{
    const struct plan *plan = phase->plan;
    int64_t bytes = plan->kernel->unit == GEMM_UNIT_F32 ? 4 : 2, base = 0;
    struct gemm_panels panels = {.lanes = lanes, .width = width};
    panels.distance = distance;
    for (int s = 0; s < plan->problem->segments; s++) {
        const struct gemm_segment *segment = &plan->problem->segment[s];
        int64_t part = segment->k / plan->leaves, length = parts(part, plan->unit_k);
        struct range here = {units.begin > base ? units.begin - base : 0, smaller(units.end - base, length)};
        base += length;
        if (here.begin >= here.end)
            continue;
        panels.lane_stride = of_a ? segment->a_row : segment->b_column;
        panels.k_stride = of_a ? segment->a_k : segment->b_k;
        panels.k = smaller(here.end * plan->unit_k, part) - here.begin * plan->unit_k;
        int64_t first = phase->leaf * part + here.begin * plan->unit_k;
        panels.source = (const char *)(of_a ? segment->a : segment->b) +
                        (lane * panels.lane_stride + first * panels.k_stride) * bytes;
        plan->kernel->gather(&panels, to);
        to += (here.end - here.begin) * plan->unit_steps * width;
    }
}

static int panel_lanes(int64_t panel, int width, int64_t total)
{
    return (int)smaller(width, total - panel * width);
}

/* Task: a group of panels of rows, over a part of the slab. The last panel has as many rows as are left, so no row is
 * multiplied in vain. */
static void gather_left(void *context, int64_t task, int thread)
{
    const struct phase *phase = context;
    const struct plan *plan = phase->plan;
    int rows = plan->kernel->rows;
    int64_t units = phase->units.end - phase->units.begin;
    int64_t distance = panel_distance(units * plan->unit_steps, rows);
    struct range panels = part_of(phase->rows.end - phase->rows.begin, phase->row_groups, task % phase->row_groups);
    struct range part = part_of(units, phase->unit_groups, task / phase->row_groups);
    int64_t row = (phase->rows.begin + panels.begin) * rows, skipped = part.begin * plan->unit_steps;
    int64_t row_end = smaller((phase->rows.begin + panels.end) * rows, plan->problem->m);
    int64_t full = (row_end - row) / rows;
    int rest = (int)(row_end - row - full * rows);
    uint32_t *to = phase->left + panels.begin * distance;
    (void)thread;
    part.begin += phase->units.begin;
    part.end += phase->units.begin;
    if (full > 0)
        gather_units(phase, 1, row, full * rows, rows, part, distance, to + skipped * rows);
    if (rest > 0)
        gather_units(phase, 1, row + full * rows, rest, rest, part, distance, to + full * distance + skipped * rest);
}

/* Memory that will be gathered next, fetched into the L2 cache a few lines at a time while tiles are multiplied. */
struct fetch {
    const char *row;
    int64_t row_bytes; /* from row to row */
    int64_t rows;      /* still to fetch, the one begun counted */
    int64_t bytes;     /* of a row */
    int64_t at;        /* first byte of the row that is not fetched */
    int64_t lines;     /* that one tile fetches */
};

/* What gathering `units` of `columns` will read, of the segment that the units begin in. */
static struct fetch fetch_make(const struct phase *phase, struct range columns, struct range units, int64_t tiles)
{
    const struct plan *plan = phase->plan;
    int64_t size = plan->kernel->unit == GEMM_UNIT_F32 ? 4 : 2, base = 0;
    int64_t column = columns.begin * plan->kernel->columns;
    int64_t n = smaller(columns.end * plan->kernel->columns, plan->problem->n) - column;
    for (int s = 0; s < plan->problem->segments; s++) {
        const struct gemm_segment *segment = &plan->problem->segment[s];
        int64_t part = segment->k / plan->leaves, length = parts(part, plan->unit_k);
        if (units.begin < base + length) {
            int64_t begin = (units.begin - base) * plan->unit_k, end = smaller((units.end - base) * plan->unit_k, part);
            const char *first = (const char *)segment->b +
                                ((phase->leaf * part + begin) * segment->b_k + column * segment->b_column) * size;
            int along_k = segment->b_k == 1;
            struct fetch fetch = {.row = first, .rows = along_k ? n : end - begin};
            fetch.row_bytes = (along_k ? segment->b_column : segment->b_k) * size;
            fetch.bytes = (along_k ? end - begin : n) * size;
            fetch.lines = parts(fetch.rows * parts(fetch.bytes, 64), tiles);
            return fetch;
        }
        base += length;
    }
    return (struct fetch){0};
}

static inline void fetch_some(struct fetch *fetch)
{
    for (int64_t line = 0; line < fetch->lines && fetch->rows > 0; line++) {
        __builtin_prefetch(fetch->row + fetch->at, 0, 2);
        fetch->at += 64;
        if (fetch->at >= fetch->bytes) {
            fetch->at = 0;
            fetch->row += fetch->row_bytes;
            fetch->rows--;
        }
    }
}

/* The block that a task works on. */
struct block {
    const struct phase *phase;
    struct range rows, columns; /* panels, counted in the band */
    struct range units;         /* of this depth, within the leaf */
    uint32_t *right;
    struct fetch fetch;
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

static void multiply_row_panel(struct block *block, int64_t row_panel)
{
    const struct phase *phase = block->phase;
    const struct plan *plan = phase->plan;
    const struct gemm_kernel *kernel = plan->kernel;
    int rows = panel_lanes(phase->rows.begin + row_panel, kernel->rows, plan->problem->m);
    int64_t steps = (block->units.end - block->units.begin) * plan->unit_steps;
    int64_t slab_steps = (phase->units.end - phase->units.begin) * plan->unit_steps;
    const uint32_t *a = phase->left + row_panel * panel_distance(slab_steps, kernel->rows) +
                        (block->units.begin - phase->units.begin) * plan->unit_steps * rows;
    const uint32_t *b = block->right;
    int from_zero = block->first && !(plan->direct && plan->problem->accumulate);
    int64_t stride;
    float *sum = resting_place(phase, row_panel, block->columns.begin, &stride);
    const float *row_start = sum;

    for (int64_t j = block->columns.begin; j < block->columns.end; j++) {
        int columns = panel_lanes(phase->columns.begin + j, kernel->columns, plan->problem->n);
        const float *next = j + 1 < block->columns.end ? sum + kernel->columns : row_start + rows * stride;
        fetch_some(&block->fetch);
        if (plan->direct && columns < kernel->columns)
            multiply_edge(kernel, rows, columns, steps, a, b, from_zero, sum, stride);
        else
            kernel->tile[rows - 1](steps, a, b, from_zero ? NULL : sum, sum, stride, next);
        b += panel_distance(steps, kernel->columns);
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

static void multiply_depth(struct block *block)
{
    const struct phase *phase = block->phase;
    const struct plan *plan = phase->plan;
    const struct gemm_kernel *kernel = plan->kernel;
    int64_t column = (phase->columns.begin + block->columns.begin) * kernel->columns;
    int64_t column_end = smaller((phase->columns.begin + block->columns.end) * kernel->columns, plan->problem->n);
    gather_units(phase, 0, column, column_end - column, kernel->columns, block->units,
                 panel_distance((block->units.end - block->units.begin) * plan->unit_steps, kernel->columns),
                 block->right);
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

static struct range block_columns(const struct phase *phase, int64_t task)
{
    return part_of(phase->columns.end - phase->columns.begin, phase->column_blocks, task / phase->row_blocks);
}

/* What comes after depth `d`: the next depth, or the first one of the task that this thread is likely to take next. */
static struct fetch fetch_next(const struct block *block, int64_t task, int64_t d, int64_t depths)
{
    const struct phase *phase = block->phase;
    struct range columns = block->columns, units;
    if (d + 1 == depths) {
        task += phase->plan->threads;
        if (task >= phase->row_blocks * phase->column_blocks)
            return (struct fetch){0};
        columns = block_columns(phase, task);
    }
    units = part_of(phase->units.end - phase->units.begin, depths, (d + 1) % depths);
    units.begin += phase->units.begin;
    units.end += phase->units.begin;
    columns.begin += phase->columns.begin;
    columns.end += phase->columns.begin;
    int64_t tiles = (block->rows.end - block->rows.begin) * (block->columns.end - block->columns.begin);
    return fetch_make(phase, columns, units, tiles);
}

static void multiply_block(void *context, int64_t task, int thread)
{
    const struct phase *phase = context;
    const struct plan *plan = phase->plan;
    int64_t units = phase->units.end - phase->units.begin;
    int64_t depths = parts(units * plan->unit_steps, DEPTH_STEPS);
    struct block block = {.phase = phase, .right = phase->right + thread * aligned(plan->right_words)};
    block.rows = part_of(phase->rows.end - phase->rows.begin, phase->row_blocks, task % phase->row_blocks);
    block.columns = block_columns(phase, task);
    unsigned state = float_state_set(0);
    for (int64_t d = 0; d < depths; d++) {
        block.units = part_of(units, depths, d);
        block.units.begin += phase->units.begin;
        block.units.end += phase->units.begin;
        block.first = block.units.begin == 0;
        block.last = block.units.end == plan->leaf_units;
        block.fetch = fetch_next(&block, task, d, depths);
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

/* Rows side by side in memory are read in long stretches; k side by side in whole panels. */
static void phase_cut_left(struct phase *phase)
{
    const struct plan *plan = phase->plan;
    int64_t rows = phase->rows.end - phase->rows.begin, units = phase->units.end - phase->units.begin;
    int along_rows = plan->problem->segment[0].a_k != 1;
    phase->row_groups = parts(rows, along_rows ? GROUP_PANELS : smaller(GROUP_PANELS, parts(rows, 4 * plan->threads)));
    int64_t wanted = parts(4 * plan->threads, phase->row_groups);
    phase->unit_groups = smaller(wanted, parts(units, GROUP_UNITS));
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
            phase_cut_left(phase);
            run_tasks(pool, phase->row_groups * phase->unit_groups, gather_left, phase);
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
