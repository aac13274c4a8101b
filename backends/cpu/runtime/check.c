#include "runtime/check.h"

#include <llmrun/op_check.h>

static const int64_t element_bytes[LLMRUN_DTYPES] = {0, 8, 4, 2, 2, 4, 4, 1, 1, 1, 1, 1, 1};

static int contiguous(const struct llmrun_tensor *tensor)
{
    int64_t expected = 1;
    uint32_t i;

    for (i = tensor->rank; i-- > 0;) {
        if (tensor->shape[i] != 1 && tensor->stride[i] != expected)
            return 0;
        expected *= tensor->shape[i];
    }
    return 1;
}

int32_t check_op(const struct llmrun_op *op, char *reason, size_t reason_bytes)
{
    int32_t code = llmrun_op_check(op, reason, reason_bytes);
    uint32_t i;

    for (i = 0; code == LLMRUN_OK && i < op->operand_count; i++) {
        const struct llmrun_tensor *tensor = &op->operands[i];
        const char *op_name = llmrun_op_name(op->op), *name = llmrun_op_row_find(op->op)->operands[i].name;

        if (!contiguous(tensor)) {
            snprintf(reason, reason_bytes, "%s: operand %s is not contiguous, as these kernels need it", op_name, name);
            code = LLMRUN_ERROR_UNSUPPORTED;
        } else if (tensor->alignment < element_bytes[tensor->dtype]) {
            snprintf(reason, reason_bytes, "%s: operand %s is aligned to %lld bytes, less than an element", op_name,
                     name, (long long)tensor->alignment);
            code = LLMRUN_ERROR_UNSUPPORTED;
        }
    }
    return code;
}
