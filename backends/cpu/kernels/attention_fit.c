#include <stdio.h>

#include "kernels/attention_block.h"
#include "matmul/gemm_kernel.h"

int KERNEL_NAME(attention_fit)(const struct llmrun_op *op, char *reason, size_t reason_bytes)
{
    if (!operand_fit(op, 0, reason, reason_bytes))
        return 0;
#if ATTENTION_PAIRS
    if (op->operands[LLMRUN_ATTENTION_Q].dtype != LLMRUN_BF16 || attention_of_op(op).width % 2 != 0) {
        snprintf(reason, reason_bytes, "attention with vdpbf16ps takes bf16 and heads of an even width");
        return 0;
    }
    if (gemm_kernel_choose(LLMRUN_BF16, CPU_ISA_AVX512)->unit != GEMM_UNIT_PAIR) {
        snprintf(reason, reason_bytes, "vdpbf16ps is slower than fp32 on this processor");
        return 0;
    }
#endif
    return 1;
}
