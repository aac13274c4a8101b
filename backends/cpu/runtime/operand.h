/* What the query of every kernel asks about operands, beyond what the runtime has checked (shapes, contiguity). */
#ifndef LLMRUN_CPU_OPERAND_H
#define LLMRUN_CPU_OPERAND_H

#include <llmrun/backend.h>
#include <llmrun/ops.h>

/* `classes` has one letter an operand: c compute (all of them fp32, or all of them bf16), f fp32, d fp64, i i32, u u32,
 * e fp32 or bf16 each for itself. `accumulate` has the bits of the outputs that the kernel can add to. Absent operands
 * pass. Attributes must lie in their ranges. 1 when `op` fits; else 0 with a reason. */
int operand_fit(const struct llmrun_op *op, const char *classes, uint32_t accumulate, char *reason,
                size_t reason_bytes);

int64_t operand_elements(const struct llmrun_tensor *tensor);

static inline int operand_is_bf16(const struct llmrun_op *op, int operand)
{
    return op->operands[operand].dtype == LLMRUN_BF16;
}

static inline int operand_accumulates(const struct llmrun_op *op, int operand)
{
    return (int)(op->accumulate >> operand & 1u);
}

#endif
