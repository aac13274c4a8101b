/* How the blocked product is cut: bands, slabs and blocks, and the gathering of operands. gemm_blocked.c has the loop
 * nest. */
#ifndef LLMRUN_CPU_GEMM_PLAN_H
#define LLMRUN_CPU_GEMM_PLAN_H

#include "matmul/gemm_kernel.h"

struct gemm_range {
    int64_t begin;
    int64_t end;
};

/* How a problem is cut, and how large the parts of the workspace are. Panels are counted over the whole problem.
 *
 * A slab is either several whole leaves, a power of two of them, or a part of one. Sums that go on in the next slab,
 * and the sums of leaves that wait for others, rest in buffers of the band; c serves as the former where it can. */
struct gemm_plan {
    const struct gemm_problem *problem;
    const struct gemm_kernel *kernel;
    int threads;
    int leaves;
    int unit_k;         /* elements of k in a unit */
    int unit_steps;     /* words of a lane in a unit */
    int64_t leaf_units; /* of all segments */
    int64_t row_panels, column_panels;
    int64_t row_bands, column_bands;
    int slab_leaves;    /* whole leaves in a slab */
    int64_t leaf_slabs; /* slabs of a leaf */
    int64_t slabs;      /* in all: leaves / slab_leaves * leaf_slabs */
    int work_in_c;      /* a leaf that goes on in the next slab rests in c */
    int levels; /* buffers of sums that wait, one a level of the tree; the one of the leaf at work behind them */
    int64_t partial_row;    /* floats from row to row of a buffer of the band */
    int64_t partial_floats; /* of one buffer */
    int64_t panel_floats;   /* of a thread, for the sums of a row panel where c does not hold fp32 */
    int64_t left_words;     /* gathered a */
    int64_t right_words;    /* gathered b of one thread */
};

/* One step of the loop nest in gemm_blocked.c: a band of rows and columns, a slab of k. */
struct gemm_phase {
    const struct gemm_plan *plan;
    uint32_t *left;                    /* gathered a: the row panels of the band */
    uint32_t *right;                   /* gathered b, + thread * right_words: the column panels of a block */
    float *partial;                    /* + buffer * partial_floats */
    float *panel;                      /* + thread * panel_floats */
    int64_t row_groups, unit_groups;   /* tasks that gather a */
    int64_t row_blocks, column_blocks; /* tasks that multiply */
    struct gemm_range rows, columns;   /* panels of the band */
    int64_t slab;
    int leaf;                /* first leaf of the slab */
    struct gemm_range units; /* of the slab, from the start of that leaf on; may go on in the next leaves */
};

static inline int64_t gemm_parts(int64_t total, int64_t most)
{
    return (total + most - 1) / most;
}

static inline int64_t gemm_larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t gemm_smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Part `i` of `count` nearly equal parts. */
static inline struct gemm_range gemm_part_of(int64_t total, int64_t count, int64_t i)
{
    return (struct gemm_range){total * i / count, total * (i + 1) / count};
}

/* Lanes of a panel of `total` lanes in all. */
static inline int gemm_panel_lanes(int64_t panel, int width, int64_t total)
{
    return (int)gemm_smaller(width, total - panel * width);
}

/* Words of a lane in the slab. */
static inline int64_t gemm_slab_steps(const struct gemm_phase *phase)
{
    return (phase->units.end - phase->units.begin) * phase->plan->unit_steps;
}

/* Words from panel to panel: not a multiple of 4096 bytes, which would put the same place of all panels in one set of
 * the cache. */
static inline int64_t gemm_panel_distance(int64_t steps, int width)
{
    return (gemm_parts(steps * width, 32) * 2 + 1) * 16;
}

struct gemm_plan gemm_plan_make(const struct gemm_problem *problem, const struct gemm_kernel *kernel, int threads);

/* Sets the number of tasks that multiply, from the rows and columns of the phase. */
void gemm_plan_blocks(struct gemm_phase *phase);
/* Sets the leaf and the units of the phase and the number of tasks that gather a, from its slab. */
void gemm_plan_slab(struct gemm_phase *phase);

/* Pool task: gathers a group of panels of a, over a part of the slab. The last panel of all has as many rows as are
 * left, so no row is multiplied in vain. */
void gemm_gather_rows(void *phase, int64_t task, int thread);

/* Gathers the slab of some panels of b, counted from the start of the band. */
void gemm_gather_columns(const struct gemm_phase *phase, struct gemm_range columns, uint32_t *to);

/* Memory that will be gathered next, fetched into the L2 cache a few lines at a time while tiles are multiplied. */
struct gemm_fetch {
    const char *row;
    int64_t row_bytes; /* from row to row */
    int64_t rows;      /* still to fetch, the one begun counted */
    int64_t bytes;     /* of a row */
    int64_t at;        /* first byte of the row that is not fetched */
    int64_t lines;     /* that one tile fetches */
};

/* What gemm_gather_columns will read, of the segment that the slab begins in; spread over `tiles`. */
struct gemm_fetch gemm_fetch_make(const struct gemm_phase *phase, struct gemm_range columns, int64_t tiles);

static inline void gemm_fetch_some(struct gemm_fetch *fetch)
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

#endif
