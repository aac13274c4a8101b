/* The chain of a micro-panel (gemm_rows.h), once for each instruction set and, as `pair`, with vdpbf16ps. */
#include <string.h>

#include "kernels/table.h"
#include "kernels/vec.h"
#include "matmul/bf16.h"
#include "matmul/gemm_rows.h"

#if VEC_FORM == 1

void KERNEL_NAME(gemm_micro_panel_f32)(const struct gemm_micro_panel *panel)
{
    for (int row = 0; row < panel->rows; row++) {
        for (int column = 0; column < panel->columns; column++) {
            const float *b = (const float *)panel->b + column * panel->b_column;
            float *sum = &panel->sum[row * GEMM_MICRO_COLUMNS + column];
            for (int64_t k = 0; k < panel->k; k++) {
                float a;
                memcpy(&a, panel->a + k * panel->rows + row, sizeof(a));
                *sum = __builtin_fmaf(a, b[k], *sum);
            }
        }
    }
}

static void wide_step(const struct gemm_micro_panel *panel, int64_t step, int row, float b, float *sum)
{
    float a;
    memcpy(&a, panel->a + step * panel->rows + row, sizeof(a));
    *sum = gemm_step_bf16(a, b, *sum);
}

void KERNEL_NAME(gemm_micro_panel_wide)(const struct gemm_micro_panel *panel)
{
    for (int row = 0; row < panel->rows; row++) {
        for (int column = 0; column < panel->columns; column++) {
            const uint16_t *b = (const uint16_t *)panel->b + column * panel->b_column;
            float *sum = &panel->sum[row * GEMM_MICRO_COLUMNS + column];
            for (int64_t k = 0; k < panel->k; k += 2) {
                wide_step(panel, k, row, k + 1 < panel->k ? bf16_widen(b[k + 1]) : 0.0f, sum);
                wide_step(panel, k + 1, row, bf16_widen(b[k]), sum);
            }
        }
    }
}

#else
#include "matmul/pack.h"

#define AHEAD        512 /* bytes */
#define LINE         64
#define CHUNK_UNITS  64
#define MICRO_UNROLL _Pragma("GCC unroll 4")

struct micro_sums {
    struct f32x16 of[GEMM_ROWS_MOST];
};

static inline __attribute__((always_inline)) struct f32x16 micro_fma(enum gemm_unit unit, struct f32x16 a,
                                                                     struct f32x16 b, struct f32x16 sum)
{
#if defined(__AVX512BF16__)
    if (unit == GEMM_UNIT_PAIR)
        return vec_add_pairs(vec_to_bits(a), vec_to_bits(b), sum);
#endif
    (void)unit;
    return vec_fma(a, b, sum);
}

/* One step of k onto the sums of all rows. `rows` is a constant in each caller, so the sums stay in registers. */
static inline __attribute__((always_inline)) void micro_step(enum gemm_unit unit, const int rows, const uint32_t *a,
                                                             struct i32x16 b, struct micro_sums *sums)
{
    MICRO_UNROLL
    for (int row = 0; row < rows; row++)
        sums->of[row] = micro_fma(unit, vec_set(((const float *)a)[row]), vec_from_bits(b), sums->of[row]);
}

/* One unit of k, as it stands in memory. Returns where the words of the next one stand. */
static inline __attribute__((always_inline)) const uint32_t *
micro_unit(enum gemm_unit unit, const int rows, const uint32_t *a, struct i32x16 b, struct micro_sums *sums)
{
    if (unit != GEMM_UNIT_WIDE) {
        micro_step(unit, rows, a, b, sums);
        return a + rows;
    }
    micro_step(unit, rows, a, vec_int_and(b, vec_int_set(0xffff0000u)), sums);
    micro_step(unit, rows, a + rows, vec_int_shl(b, 16), sums);
    return a + 2 * rows;
}

/* Sixteen stretches of memory are more than the processor foresees. `offset` counts bytes from the start of the
 * columns; behind their ends those of the next micro-panel stand. Addresses beyond the operand do no harm. */
static inline void micro_fetch(const char *columns, int64_t stride, int64_t column_bytes, int64_t offset)
{
    uintptr_t at = (uintptr_t)columns;
    for (; offset >= column_bytes; offset -= column_bytes)
        at += (uintptr_t)(GEMM_MICRO_COLUMNS * stride);
    for (int column = 0; column < GEMM_MICRO_COLUMNS; column++)
        __builtin_prefetch((const char *)(at + (uintptr_t)(column * stride + offset)), 0, 3);
}

/* What has no sixteen columns, or no four whole units, is packed first. */
static inline __attribute__((always_inline)) void micro_rest(enum gemm_unit unit, const int rows,
                                                             const struct gemm_micro_panel *panel, int64_t k,
                                                             const uint32_t *a, struct micro_sums *sums)
{
    const int64_t unit_k = unit == GEMM_UNIT_F32 ? 1 : 2, bytes = unit == GEMM_UNIT_F32 ? 4 : 2;
    const int unit_steps = unit == GEMM_UNIT_WIDE ? 2 : 1;
    uint32_t words[CHUNK_UNITS * 2 * VEC_LANES];
    for (; k < panel->k; k += CHUNK_UNITS * unit_k) {
        int64_t left = panel->k - k;
        struct gemm_panels panels = {.k_stride = 1, .lane_stride = panel->b_column, .width = VEC_LANES};
        panels.source = (const char *)panel->b + k * bytes;
        panels.lanes = panel->columns;
        panels.k = left < CHUNK_UNITS * unit_k ? left : CHUNK_UNITS * unit_k;
        pack_along_k(unit, &panels, 0, words);
        for (int64_t step = 0; step < (panels.k + unit_k - 1) / unit_k * unit_steps; step++, a += rows)
            micro_step(unit, rows, a, vec_int_load(words + step * VEC_LANES), sums);
    }
}

static inline __attribute__((always_inline)) void micro_rows(enum gemm_unit unit, const int rows,
                                                             const struct gemm_micro_panel *panel)
{
    const int64_t bytes = unit == GEMM_UNIT_F32 ? 4 : 2, quad_k = unit == GEMM_UNIT_F32 ? 4 : 8;
    const int64_t quads = panel->columns == GEMM_MICRO_COLUMNS ? panel->k / quad_k : 0,
                  stride = panel->b_column * bytes;
    const int64_t first = panel->first_k * bytes;
    const char *b = panel->b;
    const uint32_t *a = panel->a;
    struct micro_sums sums;
    MICRO_UNROLL
    for (int row = 0; row < rows; row++)
        sums.of[row] = vec_load(panel->sum + row * GEMM_MICRO_COLUMNS);
    for (int64_t quad = 0; quad < quads; quad++) {
        struct i32x16 v[4];
        if (quad % (LINE / 16) == 0)
            micro_fetch(b - first, stride, panel->row_k * bytes, first + quad * 16 + AHEAD);
        pack_quad_regular(b + quad * 16, stride, VEC_LANES, v);
        MICRO_UNROLL
        for (int j = 0; j < 4; j++)
            a = micro_unit(unit, rows, a, v[j], &sums);
    }
    if (quads * quad_k < panel->k)
        micro_rest(unit, rows, panel, quads * quad_k, a, &sums);
    MICRO_UNROLL
    for (int row = 0; row < rows; row++)
        vec_store(panel->sum + row * GEMM_MICRO_COLUMNS, sums.of[row]);
}

#define MICRO_CHAIN(unit, suffix)                                                                                      \
    void KERNEL_NAME(gemm_micro_panel_##suffix)(const struct gemm_micro_panel *panel)                                  \
    {                                                                                                                  \
        switch (panel->rows) {                                                                                         \
        case 1:                                                                                                        \
            micro_rows(unit, 1, panel);                                                                                \
            break;                                                                                                     \
        case 2:                                                                                                        \
            micro_rows(unit, 2, panel);                                                                                \
            break;                                                                                                     \
        case 3:                                                                                                        \
            micro_rows(unit, 3, panel);                                                                                \
            break;                                                                                                     \
        default:                                                                                                       \
            micro_rows(unit, 4, panel);                                                                                \
        }                                                                                                              \
    }

#if defined(__AVX512BF16__)
MICRO_CHAIN(GEMM_UNIT_PAIR, pair)
#else
MICRO_CHAIN(GEMM_UNIT_F32, f32)
MICRO_CHAIN(GEMM_UNIT_WIDE, wide)
#endif
#endif
