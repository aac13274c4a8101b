#include "passes/flops.h"

#include "program/op_table.h"

static double extent(const struct program *program, int32_t value, int dimension)
{
    return value == NO_VALUE ? 0 : (double)program->values[value].shape[dimension];
}

/* Products of a matmul with operands [rows, k] and [n, k]: 2 rows n k. */
static double attention_flops(const struct program *program, int32_t q, int64_t sequence, double products)
{
    double rows = extent(program, q, 0), width = extent(program, q, 1);

    return 2.0 * products * rows * width * ((double)sequence + 1) / 2;
}

double op_flops(const struct program *program, const struct op *op)
{
    const int32_t *at = program_operands(program, op);
    const void *attributes = program_attributes(program, op);
    double flops = 0;

    switch (op->op) {
    case LLMRUN_OP_MATMUL:
        return 2 * extent(program, at[LLMRUN_MATMUL_X], 0) * extent(program, at[LLMRUN_MATMUL_X], 1) *
               extent(program, at[LLMRUN_MATMUL_W], 0);
    case LLMRUN_OP_MATMUL_INPUT_GRAD:
        for (int pair = 0; pair < 3; pair++)
            flops += 2 * extent(program, at[2 * pair], 0) * extent(program, at[2 * pair], 1) *
                     extent(program, at[2 * pair + 1], 1);
        return flops;
    case LLMRUN_OP_MATMUL_WEIGHT_GRAD:
        return 2 * extent(program, at[LLMRUN_MATMUL_WEIGHT_GRAD_DY], 0) *
               extent(program, at[LLMRUN_MATMUL_WEIGHT_GRAD_DY], 1) *
               extent(program, at[LLMRUN_MATMUL_WEIGHT_GRAD_X], 1);
    case LLMRUN_OP_LINEAR_CROSS_ENTROPY:
        flops = 2 * extent(program, at[LLMRUN_LINEAR_CROSS_ENTROPY_X], 0) *
                extent(program, at[LLMRUN_LINEAR_CROSS_ENTROPY_X], 1) *
                (double)((const struct llmrun_linear_cross_entropy_attributes *)attributes)->vocabulary;
        return flops * (1 + (at[LLMRUN_LINEAR_CROSS_ENTROPY_DX] != NO_VALUE) +
                        (at[LLMRUN_LINEAR_CROSS_ENTROPY_DW] != NO_VALUE));
    case LLMRUN_OP_ATTENTION:
        return attention_flops(program, at[LLMRUN_ATTENTION_Q],
                               ((const struct llmrun_attention_attributes *)attributes)->sequence, 2);
    case LLMRUN_OP_ATTENTION_GRAD:
        return attention_flops(program, at[LLMRUN_ATTENTION_GRAD_Q],
                               ((const struct llmrun_attention_grad_attributes *)attributes)->sequence, 4);
    default:
        return 0;
    }
}

double program_flops(const struct program *program, enum section_kind kind, bool useful)
{
    double flops = 0;

    for (int64_t s = 0; s < program->section_count; s++)
        for (int32_t i = 0; program->sections[s].kind == kind && i < program->sections[s].op_count; i++) {
            const struct op *op = &program->ops[program->sections[s].first_op + i];

            if (!(useful && op->recomputed))
                flops += op_flops(program, op);
        }
    return flops;
}
