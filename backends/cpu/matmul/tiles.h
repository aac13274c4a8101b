/* The tile, the finishing of a row and the tables of one kernel, written on sixteen lanes. A tiles_*.c defines
 * TILE_ROWS (6 or 14), TILE_VECTORS and tile_step(), and includes this. */
#ifndef LLMRUN_CPU_TILES_H
#define LLMRUN_CPU_TILES_H

#include "kernels/vec.h"
#include "matmul/float_state.h"
#include "matmul/gemm_kernel.h"
#include "matmul/pack.h"

#define TILE_COLUMNS (TILE_VECTORS * VEC_LANES)
#define TILE_UNROLL  _Pragma("GCC unroll 16")

#define TILE_LEVELS 8 /* of a tree of GEMM_PARTS */

/* Each loop over the sums is unrolled in full, so that they stay in registers: `rows` is a constant in each caller. */
#define TILE_EACH(rows) TILE_UNROLL for (int i = 0; i < (rows); i++) TILE_UNROLL for (int j = 0; j < TILE_VECTORS; j++)

struct tile_sums {
    struct f32x16 at[TILE_ROWS][TILE_VECTORS];
};

static inline __attribute__((always_inline)) void tile_add(const int rows, struct tile_sums *sums, const float *from,
                                                           int64_t stride)
{
    TILE_EACH(rows)
    sums->at[i][j] = vec_add(vec_load(from + i * stride + j * VEC_LANES), sums->at[i][j]);
}

static inline __attribute__((always_inline)) void tile_store(const int rows, const struct tile_sums *sums, float *to,
                                                             int64_t stride)
{
    TILE_EACH(rows)
    vec_store(to + i * stride + j * VEC_LANES, sums->at[i][j]);
}

static inline __attribute__((always_inline)) void tile_start(const int rows, struct tile_sums *sums, const float *from,
                                                             int64_t stride)
{
    if (from == NULL) {
        TILE_EACH(rows)
        sums->at[i][j] = vec_zero();
    } else {
        TILE_EACH(rows)
        sums->at[i][j] = vec_load(from + i * stride + j * VEC_LANES);
    }
}

static inline __attribute__((always_inline)) void tile_chain(const int rows, struct tile_sums *sums, int64_t steps,
                                                             const uint32_t *a, const uint32_t *b)
{
    for (; steps > 0; steps--) {
        struct f32x16 right[TILE_VECTORS];
        TILE_UNROLL
        for (int j = 0; j < TILE_VECTORS; j++)
            right[j] = vec_load((const float *)b + j * VEC_LANES);
        TILE_UNROLL
        for (int i = 0; i < rows; i++) {
            struct f32x16 left = vec_set(((const float *)a)[i]);
            TILE_UNROLL
            for (int j = 0; j < TILE_VECTORS; j++)
                sums->at[i][j] = tile_step(left, right[j], sums->at[i][j]);
        }
        a += rows;
        b += TILE_COLUMNS;
    }
}

/* A chain may flush what is below the normal range; the additions of the tree never do. */
static inline __attribute__((always_inline)) void tile_multiply(const int rows, const struct gemm_tile_job *job)
{
    _Alignas(64) float pending[TILE_LEVELS][TILE_ROWS * TILE_COLUMNS];
    unsigned state = job->flush ? float_state_set(1) : 0;
    struct tile_sums sums;
    TILE_EACH(rows)
    __builtin_prefetch(job->next + i * job->stride + j * VEC_LANES, 1);
    tile_start(rows, &sums, job->start, job->start_stride);
    for (int64_t part = 0;;) {
        tile_chain(rows, &sums, job->steps, job->a + part * job->steps * rows,
                   job->b + part * job->steps * TILE_COLUMNS);
        if (job->flush)
            float_state_restore(state);
        int level = 0;
        for (part++; (part >> level & 1) == 0; level++)
            tile_add(rows, &sums, pending[level], TILE_COLUMNS);
        if (part == job->parts)
            break;
        tile_store(rows, &sums, pending[level], TILE_COLUMNS);
        tile_start(rows, &sums, NULL, 0);
        if (job->flush)
            float_state_set(1);
    }
    for (int i = 0; i < job->added_count; i++)
        tile_add(rows, &sums, job->added[i].at, job->added[i].stride);
    tile_store(rows, &sums, job->end, job->stride);
}

#define TILE_OF(rows)                                                                                                  \
    static void tile_##rows(const struct gemm_tile_job *job)                                                           \
    {                                                                                                                  \
        tile_multiply(rows, job);                                                                                      \
    }

TILE_OF(1)
TILE_OF(2)
TILE_OF(3)
TILE_OF(4)
TILE_OF(5)
TILE_OF(6)
#if TILE_ROWS == 14
TILE_OF(7)
TILE_OF(8)
TILE_OF(9)
TILE_OF(10)
TILE_OF(11)
TILE_OF(12)
TILE_OF(13)
TILE_OF(14)
#endif

static gemm_tile *const tile_table[TILE_ROWS] = {
    tile_1, tile_2, tile_3, tile_4,  tile_5,  tile_6,
#if TILE_ROWS == 14
    tile_7, tile_8, tile_9, tile_10, tile_11, tile_12, tile_13, tile_14,
#endif
};

/* Bias and rounding of sixteen columns: what aux is, and what the activation is taken of, widened again. */
static inline struct f32x16 finish_value(const struct gemm_row *row, int64_t j, int lanes)
{
    struct f32x16 value = vec_load_part(row->sum + j, lanes, 0.0f);
    if (row->bias != NULL)
        value = vec_add(value, vec_load_part(row->bias + j, lanes, 0.0f));
    return value;
}

VEC_INLINE void finish_store(void *to, uint32_t dtype, int64_t j, struct f32x16 value, int lanes)
{
    if (dtype == LLMRUN_F32)
        vec_store_part((float *)to + j, value, lanes);
    else
        vec_store_bf16_part((uint16_t *)to + j, value, lanes);
}

static void tile_finish(const struct gemm_row *row)
{
    for (int64_t j = 0; j < row->n; j += VEC_LANES) {
        int lanes = vec_lanes_left(row->n, j);
        struct f32x16 value = finish_value(row, j, lanes);
        if (row->aux != NULL)
            finish_store(row->aux, row->dtype, j, value, lanes);
        finish_store(row->c, row->dtype, j, value, lanes);
        if (row->activation != NULL && row->dtype == LLMRUN_BF16)
            vec_store_part(row->sum + j, vec_load_bf16_part((const uint16_t *)row->c + j, lanes, 0.0f), lanes);
    }
    if (row->activation == NULL)
        return;
    if (row->dtype == LLMRUN_F32) {
        row->activation(row->c, row->n);
        return;
    }
    row->activation(row->sum, row->n);
    for (int64_t j = 0; j < row->n; j += VEC_LANES) {
        int lanes = vec_lanes_left(row->n, j);
        vec_store_bf16_part((uint16_t *)row->c + j, vec_load_part(row->sum + j, lanes, 0.0f), lanes);
    }
}

#define TILE_KERNEL(kernel_name, kernel_unit, suffix)                                                                  \
    static void pack_as_##suffix(const struct gemm_panels *panels, uint32_t *words)                                    \
    {                                                                                                                  \
        pack(kernel_unit, panels, words);                                                                              \
    }                                                                                                                  \
    static const struct gemm_kernel kernel_##suffix = {                                                                \
        .name = (kernel_name),                                                                                         \
        .unit = (kernel_unit),                                                                                         \
        .rows = TILE_ROWS,                                                                                             \
        .columns = TILE_COLUMNS,                                                                                       \
        .flush = (kernel_unit) == GEMM_UNIT_WIDE,                                                                      \
        .pack = pack_as_##suffix,                                                                                      \
        .tile = tile_table,                                                                                            \
        .finish = tile_finish,                                                                                         \
    };

#endif
