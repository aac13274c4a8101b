#include "matmul/gemm_rows.h"

#include <stddef.h>
#include <string.h>

#include "matmul/float_state.h"

#define TASK_COLUMNS 64
#define LEVELS       9 /* log2(GEMM_PARTS) + 1 */

_Static_assert(GEMM_PARTS == 1 << (LEVELS - 1), "the tree has as many levels as the most parts need");

struct rows {
    const struct gemm_problem *problem;
    const struct gemm_kernel *kernel;
    gemm_micro_panel_chain *chain;
    int parts;
    uint32_t *left; /* a as words: part by part, in each segment by segment */
    int64_t part_words;
};

static int parts_of(const struct gemm_problem *problem)
{
    return problem->parts > 1 ? problem->parts : 1;
}

static int64_t element_bytes(const struct gemm_problem *problem)
{
    return problem->dtype == LLMRUN_F32 ? 4 : 2;
}

/* Words of `k` elements of all rows. */
static int64_t words_of(const struct gemm_problem *problem, const struct gemm_kernel *kernel, int64_t k)
{
    int64_t units = kernel->unit == GEMM_UNIT_F32 ? k : (k + 1) / 2;
    return units * (kernel->unit == GEMM_UNIT_WIDE ? 2 : 1) * problem->m;
}

static int64_t part_words_of(const struct gemm_problem *problem, const struct gemm_kernel *kernel)
{
    int64_t words = 0;
    for (int s = 0; s < problem->segments; s++)
        words += words_of(problem, kernel, problem->segment[s].k / parts_of(problem));
    return words;
}

static gemm_micro_panel_chain *chain_of(const struct gemm_kernel *kernel)
{
#if defined(__x86_64__)
    if (kernel == gemm_f32_avx2)
        return gemm_micro_panel_f32_avx2;
    if (kernel == gemm_wide_avx2)
        return gemm_micro_panel_wide_avx2;
    if (kernel == gemm_f32_avx512)
        return gemm_micro_panel_f32_avx512;
    if (kernel == gemm_wide_avx512)
        return gemm_micro_panel_wide_avx512;
    return gemm_micro_panel_pair_avx512bf16;
#else
    return kernel->unit == GEMM_UNIT_F32 ? gemm_micro_panel_f32_plain : gemm_micro_panel_wide_plain;
#endif
}

int gemm_rows_fit(const struct gemm_problem *problem)
{
    if (problem->m > GEMM_ROWS_MOST)
        return 0;
    for (int s = 0; s < problem->segments; s++)
        if (problem->segment[s].b_k != 1)
            return 0;
    return 1;
}

int64_t gemm_rows_workspace(const struct gemm_problem *problem, const struct gemm_kernel *kernel)
{
    return parts_of(problem) * part_words_of(problem, kernel) * (int64_t)sizeof(uint32_t);
}

static void pack_left(const struct rows *rows)
{
    const struct gemm_problem *problem = rows->problem;
    uint32_t *to = rows->left;
    for (int part = 0; part < rows->parts; part++) {
        for (int s = 0; s < problem->segments; s++) {
            const struct gemm_segment *segment = &problem->segment[s];
            int64_t size = segment->k / rows->parts;
            struct gemm_panels panels = {.k = size, .lanes = problem->m, .width = (int)problem->m};
            panels.lane_stride = segment->a_row;
            panels.k_stride = segment->a_k;
            panels.source = (const char *)segment->a + part * size * segment->a_k * element_bytes(problem);
            rows->kernel->pack(&panels, to);
            to += words_of(problem, rows->kernel, size);
        }
    }
}

/* The chain of one part over all segments. */
static void add_part(const struct rows *rows, int part, int64_t column, struct gemm_micro_panel *panel)
{
    const struct gemm_problem *problem = rows->problem;
    panel->a = rows->left + part * rows->part_words;
    for (int s = 0; s < problem->segments; s++) {
        const struct gemm_segment *segment = &problem->segment[s];
        panel->k = segment->k / rows->parts;
        panel->b_column = segment->b_column;
        panel->row_k = segment->k;
        panel->first_k = part * panel->k;
        panel->b = (const char *)segment->b + (column * segment->b_column + part * panel->k) * element_bytes(problem);
        unsigned state = float_state_set(rows->kernel->flush);
        rows->chain(panel);
        float_state_restore(state);
        panel->a += words_of(problem, rows->kernel, panel->k);
    }
}

static void load_found(const struct gemm_problem *problem, int64_t column, int columns, float *sum)
{
    for (int64_t row = 0; row < problem->m; row++)
        memcpy(sum + row * GEMM_MICRO_COLUMNS, (const float *)problem->c + row * problem->c_row + column,
               (size_t)columns * sizeof(*sum));
}

/* to = from + to */
static void add(float *to, const float *from, int count)
{
    for (int i = 0; i < count; i++)
        to[i] = from[i] + to[i];
}

/* Sums of up to sixteen columns, before bias. */
static void sum_micro_panel(const struct rows *rows, int64_t column, int columns, float *sum)
{
    int elements = (int)rows->problem->m * GEMM_MICRO_COLUMNS;
    float pending[LEVELS][GEMM_ROWS_MOST * GEMM_MICRO_COLUMNS];
    struct gemm_micro_panel panel = {.rows = (int)rows->problem->m, .columns = columns, .sum = sum};
    for (int part = 0; part < rows->parts; part++) {
        int level = 0;
        memset(sum, 0, (size_t)elements * sizeof(*sum));
        if (rows->parts == 1 && rows->problem->accumulate)
            load_found(rows->problem, column, columns, sum);
        add_part(rows, part, column, &panel);
        for (; part >> level & 1; level++)
            add(sum, pending[level], elements);
        memcpy(pending[level], sum, (size_t)elements * sizeof(*sum));
    }
    if (rows->parts > 1 && rows->problem->accumulate) {
        float found[GEMM_ROWS_MOST * GEMM_MICRO_COLUMNS] = {0};
        load_found(rows->problem, column, columns, found);
        add(sum, found, elements);
    }
}

static void finish(const struct gemm_problem *problem, const struct gemm_kernel *kernel, int64_t row, float *sum)
{
    int64_t bytes = problem->c_dtype == LLMRUN_F32 ? 4 : 2;
    void *c = (char *)problem->c + row * problem->c_row * bytes;
    struct gemm_row finished = {.n = problem->n, .sum = sum, .bias = problem->bias, .dtype = problem->c_dtype, .c = c};
    finished.activation = problem->activation;
    if (problem->aux != NULL)
        finished.aux = (char *)problem->aux + row * problem->aux_row * bytes;
    kernel->finish(&finished);
}

static void multiply_columns(void *context, int64_t task, int thread)
{
    const struct rows *rows = context;
    int64_t first = task * TASK_COLUMNS, left = rows->problem->n - first;
    int64_t columns = left < TASK_COLUMNS ? left : TASK_COLUMNS;
    struct gemm_problem part = gemm_part(rows->problem, 0, rows->problem->m, first, columns);
    float sums[GEMM_ROWS_MOST][TASK_COLUMNS];
    unsigned state = float_state_set(0);
    (void)thread;
    for (int64_t column = 0; column < columns; column += GEMM_MICRO_COLUMNS) {
        int here = columns - column < GEMM_MICRO_COLUMNS ? (int)(columns - column) : GEMM_MICRO_COLUMNS;
        float sum[GEMM_ROWS_MOST * GEMM_MICRO_COLUMNS];
        sum_micro_panel(rows, first + column, here, sum);
        for (int64_t row = 0; row < part.m; row++)
            memcpy(sums[row] + column, sum + row * GEMM_MICRO_COLUMNS, GEMM_MICRO_COLUMNS * sizeof(float));
    }
    for (int64_t row = 0; row < part.m; row++)
        finish(&part, rows->kernel, row, sums[row]);
    float_state_restore(state);
}

void gemm_rows(const struct gemm_problem *problem, const struct gemm_kernel *kernel, struct pool *pool, void *workspace)
{
    struct rows rows = {.problem = problem, .kernel = kernel, .chain = chain_of(kernel), .left = workspace};
    int64_t tasks = (problem->n + TASK_COLUMNS - 1) / TASK_COLUMNS;
    rows.parts = parts_of(problem);
    rows.part_words = part_words_of(problem, kernel);
    pack_left(&rows);
    if (pool != NULL && tasks > 1) {
        pool_run(pool, tasks, multiply_columns, &rows);
        return;
    }
    for (int64_t task = 0; task < tasks; task++)
        multiply_columns(&rows, task, 0);
}
