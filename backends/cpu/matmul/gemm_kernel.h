/* What the blocked product is made of: for one instruction set and one element type, the functions that pack panels
 * of an operand, multiply two panels, and finish a row of results. gemm_blocked.c drives them; tiles.h writes them.
 *
 * A panel is `width` neighbouring lanes (rows of a, or columns of b) of a range of k, packed as 32-bit words:
 * word[step * width + lane]. A unit of k is one element in fp32 and one pair in bf16. */
#ifndef LLMRUN_CPU_GEMM_KERNEL_H
#define LLMRUN_CPU_GEMM_KERNEL_H

#include "matmul/gemm.h"

/* Neighbouring panels. Lane l is lane l % width of panel l / width, which starts at word l / width * distance. */
struct gemm_panels {
    const void *source;  /* the element at lane 0, k 0 */
    int64_t lane_stride; /* elements */
    int64_t k_stride;
    int64_t k;     /* elements; an odd number of bf16 elements is completed with +0 */
    int64_t lanes; /* that exist; the others, up to the end of the last panel, become +0 */
    int width;
    int64_t distance; /* words from panel to panel */
};

typedef void gemm_pack(const struct gemm_panels *panels, uint32_t *words);

/* Something that is added to the sums of a tile: added + sum. */
struct gemm_added {
    const float *at;
    int64_t stride; /* floats from row to row */
};

#define GEMM_ADDED 9 /* the levels of a tree of GEMM_PARTS, and what is found in c */

/* Sums of a tile over the parts of a KC block. Part l of the `parts` (a power of two) is the chain over `steps` of
 *   a[(l * steps + step) * rows + row], b[(l * steps + step) * columns + column]
 * from `start`, which is NULL (from +0) where there are several parts. The parts are added as a balanced tree; then
 * what `added` lists, in that order; the result goes to `end`, which may be `start`. The number of rows is that of the
 * table entry. `next` is where the next tile ends: its memory is fetched ahead. */
struct gemm_tile_job {
    int64_t steps;
    int parts;
    int flush; /* numbers below the normal range are taken and left as zero by each step */
    const uint32_t *a, *b;
    const float *start;
    int64_t start_stride; /* floats from row to row */
    float *end;
    const float *next;
    int64_t stride; /* of end and next */
    int added_count;
    struct gemm_added added[GEMM_ADDED];
};

typedef void gemm_tile(const struct gemm_tile_job *job);

/* One row of results, `n` columns from the first one that the pointers name. */
struct gemm_row {
    int64_t n;
    float *sum;        /* in: the sums; may be c itself; overwritten */
    const float *bias; /* or NULL */
    gemm_activation *activation;
    uint32_t dtype; /* of c and aux */
    void *c;
    void *aux; /* or NULL */
};

enum gemm_unit {
    GEMM_UNIT_F32,  /* a step is an element */
    GEMM_UNIT_PAIR, /* a step is a pair of bf16 elements in one word, the even one in the lower half */
    GEMM_UNIT_WIDE  /* two steps are a pair: the odd element widened to fp32, then the even one */
};

#define GEMM_MOST_ROWS    14
#define GEMM_MOST_COLUMNS 32

struct gemm_kernel {
    const char *name;
    enum gemm_unit unit;
    int rows;    /* of a full tile, at most GEMM_MOST_ROWS */
    int columns; /* of every tile, at most GEMM_MOST_COLUMNS */
    int flush;   /* the tile is to run with numbers below the normal range taken and left as zero */
    gemm_pack *pack;
    gemm_tile *const *tile; /* tile[r - 1] has r rows */
    void (*finish)(const struct gemm_row *row);
};

#if defined(__x86_64__)
extern const struct gemm_kernel *const gemm_f32_avx2;
extern const struct gemm_kernel *const gemm_wide_avx2;
extern const struct gemm_kernel *const gemm_f32_avx512;
extern const struct gemm_kernel *const gemm_wide_avx512;
extern const struct gemm_kernel *const gemm_pair_avx512bf16; /* vdpbf16ps */
#endif

/* GELU in its tanh form, kernels/math.h. */
gemm_activation gemm_gelu_plain;
#if defined(__x86_64__)
gemm_activation gemm_gelu_avx2;
gemm_activation gemm_gelu_avx512;
#endif

/* The kernel that gemm_run takes; NULL: plain C. The first call for bf16 on AVX-512 checks and times vdpbf16ps; any
 * thread. */
const struct gemm_kernel *gemm_kernel_choose(uint32_t dtype, enum cpu_isa isa);

/* 1 when the tile of `kernel` gives the bits of gemm_step_bf16, on random and on edge cases, on this machine. */
int gemm_kernel_check_bf16(const struct gemm_kernel *kernel);

/* The whole of c, by the threads of `pool` together or, where it is NULL, by the calling thread. */
int64_t gemm_blocked_workspace(const struct gemm_problem *problem, const struct gemm_kernel *kernel, int threads);
void gemm_blocked(const struct gemm_problem *problem, const struct gemm_kernel *kernel, struct pool *pool,
                  void *workspace);

#endif
