/* Exact matrix products: the same bits on every instruction set, for every number of threads and every blocking.
 *
 *   c[i][j] = sum over k of a[i][k] b[k][j]                    i < m, j < n
 *
 * What one element of c is, and it depends on nothing but the numbers in row i of a and column j of b:
 * - fp32: a chain of fused multiply-adds in ascending order of k, sum = fma(a, b, sum), each rounded to nearest-even.
 * - bf16: the elements of k are taken in pairs (0, 1), (2, 3), ...; in each pair the odd element comes first, then the
 * even one; an odd tail is paired with +0 operands. Operands and sum are widened to fp32; a step is gemm_step_bf16(a,
 * b, sum): numbers below the normal range are taken as zero and left as zero, the sign kept. This is the arithmetic of
 * vdpbf16ps (Intel SDM volume 2, "VDPBF16PS"), which ignores the rounding and flush modes of MXCSR.
 * - The chain starts from +0, or from the value found in c where `accumulate` is set.
 * - Several segments are one chain: k of segment 0 ascending, then segment 1, then segment 2. A bf16 pair never crosses
 * from one segment, or one part, to the next.
 * - parts = R > 1: each segment's k is cut in R equal parts. Part i is the chain from +0 over part i of each segment,
 * in the order of the segments. The R parts are added in fp32 as a balanced binary tree, nearest first; with
 * `accumulate` the value found in c is added last (c + tree).
 * - Then, in fp32: + bias[j]; this is rounded to the type of c and stored to aux; y = activation(the rounded value) is
 * rounded to the type of c and stored to c. Rounding to bf16 is to nearest-even, once. NaNs: which elements are NaN is
 * defined, their sign and payload are not. */
#ifndef LLMRUN_CPU_GEMM_H
#define LLMRUN_CPU_GEMM_H

#include <stdint.h>

#include <llmrun/types.h>

#include "runtime/isa.h"
#include "runtime/pool.h"

#define GEMM_SEGMENTS 3
#define GEMM_PARTS    256 /* most parts that a problem can ask for */

/* One operand pair of the sum. Strides are in elements; any stride is allowed, the fast ways need one of the two to
 * be 1. */
struct gemm_segment {
    int64_t k;
    const void *a; /* a[i][k] = a[i * a_row + k * a_k] */
    int64_t a_row;
    int64_t a_k;
    const void *b; /* b[k][j] = b[k * b_k + j * b_column] */
    int64_t b_k;
    int64_t b_column;
};

/* Changes `count` numbers in place, one by one: what it does to a number does not depend on its place or on `count`. */
typedef void gemm_activation(float *values, int64_t count);

/* Zero-initialise, then set what is wanted. c and aux are row-major with neighbouring columns side by side. c overlaps
 * no other operand. */
struct gemm_problem {
    int64_t m;
    int64_t n;
    uint32_t dtype;     /* of a and b: LLMRUN_F32 or LLMRUN_BF16 */
    uint32_t c_dtype;   /* of c and aux: LLMRUN_F32 or LLMRUN_BF16 */
    int32_t segments;   /* 1 to GEMM_SEGMENTS */
    int32_t parts;      /* 0 and 1: one chain; else a power of two that divides the k of every segment */
    int32_t accumulate; /* only with c_dtype LLMRUN_F32 */
    struct gemm_segment segment[GEMM_SEGMENTS];
    const float *bias;           /* [n] or NULL */
    gemm_activation *activation; /* or NULL */
    void *c;
    int64_t c_row; /* elements from one row to the next */
    void *aux;     /* what the activation is taken of, or NULL */
    int64_t aux_row;
};

/* The product of some neighbouring rows and columns of c alone. */
struct gemm_problem gemm_part(const struct gemm_problem *problem, int64_t row, int64_t rows, int64_t column,
                              int64_t columns);

/* Bytes that gemm_run needs for this form of problem (pointers and the numbers behind them do not matter). */
int64_t gemm_workspace_bytes(const struct gemm_problem *problem, enum cpu_isa isa, int threads);

/* Computes c with the best kernels of `isa`, which the machine must have. Returns when done. `workspace` is 64-byte
 * aligned and not shared with another call that is under way. `pool` NULL: in the calling thread alone, which may then
 * be inside a task of a pool. Parts the floating-point state as it found it. */
void gemm_run(const struct gemm_problem *problem, enum cpu_isa isa, struct pool *pool, void *workspace);

/* The definition above in plain C, one element at a time. */
void gemm_plain(const struct gemm_problem *problem, struct pool *pool);

/* The sum of one element as fp32, before bias: for checks that sample. Reads c where the problem accumulates. */
float gemm_plain_sum(const struct gemm_problem *problem, int64_t i, int64_t j);

/* One bf16 step: fma(a, b, sum) rounded to 24 bits as if the exponent had no lower end; a result below 2^-126 is then
 * zero with its sign. Operands below 2^-126 count as zeros of their sign. */
float gemm_step_bf16(float a, float b, float sum);

#endif
