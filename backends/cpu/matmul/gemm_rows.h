/* Products of few rows, as a token that is generated needs them: each number of b is used so seldom that packing it
 * into panels costs more than multiplying it. Sixteen columns at a time are turned over in registers on their way from
 * memory to the multiplication. The bits are those of gemm.h. */
#ifndef LLMRUN_CPU_GEMM_ROWS_H
#define LLMRUN_CPU_GEMM_ROWS_H

#include "matmul/gemm_kernel.h"

#define GEMM_ROWS_MOST     4
#define GEMM_MICRO_COLUMNS 16 /* columns of a micro-panel */

/* Up to sixteen columns of b whose elements lie side by side along k. */
struct gemm_micro_panel {
    int rows;          /* of a, 1 to GEMM_ROWS_MOST */
    int columns;       /* 1 to GEMM_MICRO_COLUMNS */
    int64_t k;         /* elements; an odd number of bf16 elements is completed with +0 */
    const uint32_t *a; /* word[step * rows + row], as gemm_pack makes them */
    const void *b;     /* the element at column 0, k 0 */
    int64_t b_column;  /* elements from column to column */
    int64_t row_k;     /* elements of a whole column, one behind the other in memory, of which these are a part: */
    int64_t first_k;   /* from here on. Only for fetching ahead */
    float *sum;        /* [rows][GEMM_MICRO_COLUMNS]: where the chains start, and where they end */
};

/* sum[row][column] = chain over k from sum[row][column]. For bf16 without vdpbf16ps (`wide`) the caller has set the
 * floating-point state to flush, but for plain C. */
typedef void gemm_micro_panel_chain(const struct gemm_micro_panel *panel);

gemm_micro_panel_chain gemm_micro_panel_f32_plain, gemm_micro_panel_wide_plain;
#if defined(__x86_64__)
gemm_micro_panel_chain gemm_micro_panel_f32_avx2, gemm_micro_panel_wide_avx2;
gemm_micro_panel_chain gemm_micro_panel_f32_avx512, gemm_micro_panel_wide_avx512;
gemm_micro_panel_chain gemm_micro_panel_pair_avx512bf16;
#endif

/* Whether the problem is one for this file: few rows, and b side by side along k. */
int gemm_rows_fit(const struct gemm_problem *problem);

/* gemm_run and gemm_workspace_bytes with a kernel at hand, for problems that fit. */
int64_t gemm_rows_workspace(const struct gemm_problem *problem, const struct gemm_kernel *kernel);
void gemm_rows(const struct gemm_problem *problem, const struct gemm_kernel *kernel, struct pool *pool,
               void *workspace);

#endif
