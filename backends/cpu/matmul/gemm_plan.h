/* How the blocked product is cut: MC x NC blocks, KC blocks and blocks, and the packing of operands. gemm_blocked.c has
 * the loop nest. */
#ifndef LLMRUN_CPU_GEMM_PLAN_H
#define LLMRUN_CPU_GEMM_PLAN_H

#include "matmul/gemm_kernel.h"

struct gemm_range {
    int64_t begin;
    int64_t end;
};

/* How a problem is cut, and how large the parts of the workspace are. Panels are counted over the whole problem.
 *
 * A KC block is either several whole parts, a power of two of them, or a part of one. Sums that go on in the next KC
 * block, and the sums of parts that wait for others, rest in buffers of the MC x NC block; c serves as the former where
 * it can. */
struct gemm_plan {
    const struct gemm_problem *problem;
    const struct gemm_kernel *kernel;
    int threads;
    int parts;
    int unit_k;         /* elements of k in a unit */
    int unit_steps;     /* words of a lane in a unit */
    int64_t part_units; /* of all segments */
    int64_t row_panels, column_panels;
    int64_t mc_blocks, nc_blocks;
    int kc_parts;           /* whole parts in a KC block */
    int64_t part_kc_blocks; /* KC blocks of a part */
    int64_t kc_blocks;      /* in all: parts / kc_parts * part_kc_blocks */
    int work_in_c;          /* a part that goes on in the next KC block rests in c */
    int levels; /* buffers of sums that wait, one a level of the tree; the one of the part at work behind them */
    int64_t partial_row;    /* floats from row to row of a buffer of the MC x NC block */
    int64_t partial_floats; /* of one buffer */
    int64_t panel_floats;   /* of a thread, for the sums of a row panel where c does not hold fp32 */
    int64_t left_words;     /* packed a */
    int64_t right_words;    /* packed b of one thread */
};

/* One step of the loop nest in gemm_blocked.c: an MC x NC block of rows and columns, a KC block of k. */
struct gemm_phase {
    const struct gemm_plan *plan;
    uint32_t *left;                    /* packed a: the row panels of the MC x NC block */
    uint32_t *right;                   /* packed b, + thread * right_words: the column panels of a block */
    float *partial;                    /* + buffer * partial_floats */
    float *panel;                      /* + thread * panel_floats */
    int64_t row_groups, unit_groups;   /* tasks that pack a */
    int64_t row_blocks, column_blocks; /* tasks that multiply */
    struct gemm_range rows, columns;   /* panels of the MC x NC block */
    int64_t kc_block;
    int part;                /* first part of the KC block */
    struct gemm_range units; /* of the KC block, from the start of that part on; may go on in the next parts */
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

/* Words of a lane in the KC block. */
static inline int64_t gemm_kc_steps(const struct gemm_phase *phase)
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
/* Sets the part and the units of the phase and the number of tasks that pack a, from its KC block. */
void gemm_plan_kc_block(struct gemm_phase *phase);

/* Pool task: packs a group of panels of a, over a part of the KC block. The last panel of all has as many rows as are
 * left, so no row is multiplied in vain. */
void gemm_pack_rows(void *phase, int64_t task, int thread);

/* Packs the KC block of some panels of b, counted from the start of the MC x NC block. */
void gemm_pack_columns(const struct gemm_phase *phase, struct gemm_range columns, uint32_t *to);

/* Memory that will be packed next, fetched into the L2 cache a few lines at a time while tiles are multiplied. */
struct gemm_fetch {
    const char *row;
    int64_t row_bytes; /* from row to row */
    int64_t rows;      /* still to fetch, the one begun counted */
    int64_t bytes;     /* of a row */
    int64_t at;        /* first byte of the row that is not fetched */
    int64_t lines;     /* that one tile fetches */
};

/* What gemm_pack_columns will read, of the segment that the KC block begins in; spread over `tiles`. */
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
