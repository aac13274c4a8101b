/* The three ops as problems of gemm.h. `at` has the operands' addresses. */
#ifndef LLMRUN_CPU_PROBLEMS_H
#define LLMRUN_CPU_PROBLEMS_H

#include <llmrun/backend.h>
#include <llmrun/ops.h>

#include <stdio.h>

#include "matmul/gemm.h"
#include "runtime/operand.h"

static inline const struct llmrun_tensor *problem_operand(const struct llmrun_op *op, int index)
{
    return &op->operands[index];
}

/* c = x w^T with x [m, k], w [n, k] */
static inline struct gemm_problem problem_matmul(const struct llmrun_op *op, void *const *at)
{
    const struct llmrun_matmul_attributes *attributes = op->attributes;
    const int64_t k = problem_operand(op, LLMRUN_MATMUL_X)->shape[1],
                  n = problem_operand(op, LLMRUN_MATMUL_W)->shape[0];

    return (struct gemm_problem){
        .m = problem_operand(op, LLMRUN_MATMUL_X)->shape[0],
        .n = n,
        .dtype = problem_operand(op, LLMRUN_MATMUL_X)->dtype,
        .c_dtype = problem_operand(op, LLMRUN_MATMUL_Y)->dtype,
        .segments = 1,
        .parts = (int32_t)attributes->feature_parts,
        .segment = {{k, at[LLMRUN_MATMUL_X], k, 1, at[LLMRUN_MATMUL_W], 1, k}},
        .bias = at[LLMRUN_MATMUL_BIAS],
        .c = at[LLMRUN_MATMUL_Y],
        .c_row = n,
        .aux = at[LLMRUN_MATMUL_AUX],
        .aux_row = n,
    };
}

/* c = dy0 w0 + dy1 w1 + dy2 w2 with dy [m, n], w [n, k] */
static inline struct gemm_problem problem_matmul_input_grad(const struct llmrun_op *op, void *const *at)
{
    const struct llmrun_matmul_input_grad_attributes *attributes = op->attributes;
    const int64_t columns = problem_operand(op, LLMRUN_MATMUL_INPUT_GRAD_DX)->shape[1];
    struct gemm_problem problem = {
        .m = problem_operand(op, LLMRUN_MATMUL_INPUT_GRAD_DX)->shape[0],
        .n = columns,
        .dtype = problem_operand(op, LLMRUN_MATMUL_INPUT_GRAD_DY0)->dtype,
        .c_dtype = problem_operand(op, LLMRUN_MATMUL_INPUT_GRAD_DX)->dtype,
        .parts = (int32_t)attributes->feature_parts,
        .accumulate = op->accumulate >> LLMRUN_MATMUL_INPUT_GRAD_DX & 1,
        .c = at[LLMRUN_MATMUL_INPUT_GRAD_DX],
        .c_row = columns,
    };

    for (int pair = 0; pair < 3; pair++) {
        const int64_t k = problem_operand(op, 2 * pair)->shape[1];

        if (problem_operand(op, 2 * pair)->dtype != LLMRUN_NONE)
            problem.segment[problem.segments++] =
                (struct gemm_segment){k, at[2 * pair], k, 1, at[2 * pair + 1], columns, 1};
    }
    return problem;
}

/* c = dy^T x with dy [tokens, n], x [tokens, k] */
static inline struct gemm_problem problem_matmul_weight_grad(const struct llmrun_op *op, void *const *at)
{
    const struct llmrun_tensor *dy = problem_operand(op, LLMRUN_MATMUL_WEIGHT_GRAD_DY);
    const struct llmrun_tensor *x = problem_operand(op, LLMRUN_MATMUL_WEIGHT_GRAD_X);
    const struct llmrun_matmul_weight_grad_attributes *attributes = op->attributes;

    return (struct gemm_problem){
        .m = dy->shape[1],
        .n = x->shape[1],
        .dtype = dy->dtype,
        .c_dtype = LLMRUN_F32,
        .segments = 1,
        .parts = (int32_t)attributes->batch_parts,
        .accumulate = op->accumulate >> LLMRUN_MATMUL_WEIGHT_GRAD_DW & 1,
        .segment = {{dy->shape[0], at[LLMRUN_MATMUL_WEIGHT_GRAD_DY], 1, dy->shape[1], at[LLMRUN_MATMUL_WEIGHT_GRAD_X],
                     x->shape[1], 1}},
        .c = at[LLMRUN_MATMUL_WEIGHT_GRAD_DW],
        .c_row = x->shape[1],
    };
}

static inline int problem_wants_gelu(const struct llmrun_op *op)
{
    return op->op == LLMRUN_OP_MATMUL &&
           ((const struct llmrun_matmul_attributes *)op->attributes)->activation == LLMRUN_ACTIVATION_GELU;
}

static inline struct gemm_problem problem_of(const struct llmrun_op *op, void *const *at)
{
    switch (op->op) {
    case LLMRUN_OP_MATMUL:
        return problem_matmul(op, at);
    case LLMRUN_OP_MATMUL_INPUT_GRAD:
        return problem_matmul_input_grad(op, at);
    default:
        return problem_matmul_weight_grad(op, at);
    }
}

/* For a query: what the op table parts open, and the problem without addresses. */
static inline int problem_fit(const struct llmrun_op *op, struct gemm_problem *problem, char *reason,
                              size_t reason_bytes)
{
    void *const nothing[LLMRUN_MAX_OPERANDS] = {NULL};
    uint32_t added = op->op == LLMRUN_OP_MATMUL_INPUT_GRAD    ? 1u << LLMRUN_MATMUL_INPUT_GRAD_DX
                     : op->op == LLMRUN_OP_MATMUL_WEIGHT_GRAD ? 1u << LLMRUN_MATMUL_WEIGHT_GRAD_DW
                                                              : 0;
    if (!operand_fit(op, added, reason, reason_bytes))
        return 0;
    *problem = problem_of(op, nothing);
    if (problem->accumulate && problem->c_dtype != LLMRUN_F32) {
        snprintf(reason, reason_bytes, "a product is added to fp32 only: a bf16 sum would round at each addition");
        return 0;
    }
    return 1;
}

#endif
