/* What the query of every kernel asks about operands, beyond what the runtime has checked (runtime/check.h). */
#ifndef LLMRUN_CPU_OPERAND_H
#define LLMRUN_CPU_OPERAND_H

#include <llmrun/backend.h>
#include <llmrun/ops.h>

#include "runtime/kernel.h"

/* Operands of the classes `compute`, `sum` and `any` must be fp32 or bf16, attributes lie in their ranges, and only the
 * outputs in the mask `accumulate` may be added to. 1 when `op` fits; else 0 with a reason. */
int operand_fit(const struct llmrun_op *op, uint32_t accumulate, char *reason, size_t reason_bytes);

int64_t operand_elements(const struct llmrun_tensor *tensor);

static inline int operand_is_bf16(const struct llmrun_op *op, int operand)
{
    return op->operands[operand].dtype == LLMRUN_BF16;
}

static inline int operand_accumulates(const struct llmrun_op *op, int operand)
{
    return (int)(op->accumulate >> operand & 1u);
}

/* Element of an operand of the class `wide`, which is fp64 or fp32. */
static inline double operand_get_wide(const struct kernel_call *call, int operand, int64_t index)
{
    const void *data = call->operands[operand];

    return call->op->operands[operand].dtype == LLMRUN_F32 ? ((const float *)data)[index]
                                                           : ((const double *)data)[index];
}

static inline void operand_put_wide(const struct kernel_call *call, int operand, int64_t index, double number)
{
    void *data = call->operands[operand];

    if (call->op->operands[operand].dtype == LLMRUN_F32)
        ((float *)data)[index] = (float)number;
    else
        ((double *)data)[index] = number;
}

#endif
