/* The chain of a strip (gemm_rows.h), once for each instruction set and, as `pair`, with vdpbf16ps. */
#include <string.h>

#include "kernels/table.h"
#include "kernels/vec.h"
#include "matmul/bf16.h"
#include "matmul/gemm_rows.h"

#if VEC_FORM == 1

void KERNEL_NAME(gemm_strip_f32)(const struct gemm_strip *strip)
{
    for (int row = 0; row < strip->rows; row++) {
        for (int column = 0; column < strip->columns; column++) {
            const float *b = (const float *)strip->b + column * strip->b_column;
            float *sum = &strip->sum[row * GEMM_STRIP + column];
            for (int64_t k = 0; k < strip->k; k++) {
                float a;
                memcpy(&a, strip->a + k * strip->rows + row, sizeof(a));
                *sum = __builtin_fmaf(a, b[k], *sum);
            }
        }
    }
}

static void wide_step(const struct gemm_strip *strip, int64_t step, int row, float b, float *sum)
{
    float a;
    memcpy(&a, strip->a + step * strip->rows + row, sizeof(a));
    *sum = gemm_step_bf16(a, b, *sum);
}

void KERNEL_NAME(gemm_strip_wide)(const struct gemm_strip *strip)
{
    for (int row = 0; row < strip->rows; row++) {
        for (int column = 0; column < strip->columns; column++) {
            const uint16_t *b = (const uint16_t *)strip->b + column * strip->b_column;
            float *sum = &strip->sum[row * GEMM_STRIP + column];
            for (int64_t k = 0; k < strip->k; k += 2) {
                wide_step(strip, k, row, k + 1 < strip->k ? bf16_widen(b[k + 1]) : 0.0f, sum);
                wide_step(strip, k + 1, row, bf16_widen(b[k]), sum);
            }
        }
    }
}

#else
#include "matmul/gather.h"

#define AHEAD        512 /* bytes */
#define LINE         64
#define CHUNK_UNITS  64
#define STRIP_UNROLL _Pragma("GCC unroll 4")

struct strip_sums {
    struct f32x16 of[GEMM_ROWS_MOST];
};

static inline __attribute__((always_inline)) struct f32x16 strip_fma(enum gemm_unit unit, struct f32x16 a,
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
static inline __attribute__((always_inline)) void strip_step(enum gemm_unit unit, const int rows, const uint32_t *a,
                                                             struct i32x16 b, struct strip_sums *sums)
{
    STRIP_UNROLL
    for (int row = 0; row < rows; row++)
        sums->of[row] = strip_fma(unit, vec_set(((const float *)a)[row]), vec_from_bits(b), sums->of[row]);
}

/* One unit of k, as it stands in memory. Returns where the words of the next one stand. */
static inline __attribute__((always_inline)) const uint32_t *
strip_unit(enum gemm_unit unit, const int rows, const uint32_t *a, struct i32x16 b, struct strip_sums *sums)
{
    if (unit != GEMM_UNIT_WIDE) {
        strip_step(unit, rows, a, b, sums);
        return a + rows;
    }
    strip_step(unit, rows, a, vec_int_and(b, vec_int_set(0xffff0000u)), sums);
    strip_step(unit, rows, a + rows, vec_int_shl(b, 16), sums);
    return a + 2 * rows;
}

/* Sixteen stretches of memory are more than the processor foresees. `offset` counts bytes from the start of the
 * columns; behind their ends those of the next strip stand. Addresses beyond the operand do no harm. */
static inline void strip_fetch(const char *columns, int64_t stride, int64_t column_bytes, int64_t offset)
{
    uintptr_t at = (uintptr_t)columns;
    for (; offset >= column_bytes; offset -= column_bytes)
        at += (uintptr_t)(GEMM_STRIP * stride);
    for (int column = 0; column < GEMM_STRIP; column++)
        __builtin_prefetch((const char *)(at + (uintptr_t)(column * stride + offset)), 0, 3);
}

/* What has no sixteen columns, or no four whole units, is gathered first. */
static inline __attribute__((always_inline)) void strip_rest(enum gemm_unit unit, const int rows,
                                                             const struct gemm_strip *strip, int64_t k,
                                                             const uint32_t *a, struct strip_sums *sums)
{
    const int64_t unit_k = unit == GEMM_UNIT_F32 ? 1 : 2, bytes = unit == GEMM_UNIT_F32 ? 4 : 2;
    const int unit_steps = unit == GEMM_UNIT_WIDE ? 2 : 1;
    uint32_t words[CHUNK_UNITS * 2 * VEC_LANES];
    for (; k < strip->k; k += CHUNK_UNITS * unit_k) {
        int64_t left = strip->k - k;
        struct gemm_panels panels = {.k_stride = 1, .lane_stride = strip->b_column, .width = VEC_LANES};
        panels.source = (const char *)strip->b + k * bytes;
        panels.lanes = strip->columns;
        panels.k = left < CHUNK_UNITS * unit_k ? left : CHUNK_UNITS * unit_k;
        gather_along_k(unit, &panels, 0, words);
        for (int64_t step = 0; step < (panels.k + unit_k - 1) / unit_k * unit_steps; step++, a += rows)
            strip_step(unit, rows, a, vec_int_load(words + step * VEC_LANES), sums);
    }
}

static inline __attribute__((always_inline)) void strip_rows(enum gemm_unit unit, const int rows,
                                                             const struct gemm_strip *strip)
{
    const int64_t bytes = unit == GEMM_UNIT_F32 ? 4 : 2, quad_k = unit == GEMM_UNIT_F32 ? 4 : 8;
    const int64_t quads = strip->columns == GEMM_STRIP ? strip->k / quad_k : 0, stride = strip->b_column * bytes;
    const int64_t first = strip->first_k * bytes;
    const char *b = strip->b;
    const uint32_t *a = strip->a;
    struct strip_sums sums;
    STRIP_UNROLL
    for (int row = 0; row < rows; row++)
        sums.of[row] = vec_load(strip->sum + row * GEMM_STRIP);
    for (int64_t quad = 0; quad < quads; quad++) {
        struct i32x16 v[4];
        if (quad % (LINE / 16) == 0)
            strip_fetch(b - first, stride, strip->row_k * bytes, first + quad * 16 + AHEAD);
        gather_quad_regular(b + quad * 16, stride, VEC_LANES, v);
        STRIP_UNROLL
        for (int j = 0; j < 4; j++)
            a = strip_unit(unit, rows, a, v[j], &sums);
    }
    if (quads * quad_k < strip->k)
        strip_rest(unit, rows, strip, quads * quad_k, a, &sums);
    STRIP_UNROLL
    for (int row = 0; row < rows; row++)
        vec_store(strip->sum + row * GEMM_STRIP, sums.of[row]);
}

#define STRIP_CHAIN(unit, suffix)                                                                                      \
    void KERNEL_NAME(gemm_strip_##suffix)(const struct gemm_strip *strip)                                              \
    {                                                                                                                  \
        switch (strip->rows) {                                                                                         \
        case 1:                                                                                                        \
            strip_rows(unit, 1, strip);                                                                                \
            break;                                                                                                     \
        case 2:                                                                                                        \
            strip_rows(unit, 2, strip);                                                                                \
            break;                                                                                                     \
        case 3:                                                                                                        \
            strip_rows(unit, 3, strip);                                                                                \
            break;                                                                                                     \
        default:                                                                                                       \
            strip_rows(unit, 4, strip);                                                                                \
        }                                                                                                              \
    }

#if defined(__AVX512BF16__)
STRIP_CHAIN(GEMM_UNIT_PAIR, pair)
#else
STRIP_CHAIN(GEMM_UNIT_F32, f32)
STRIP_CHAIN(GEMM_UNIT_WIDE, wide)
#endif
#endif
