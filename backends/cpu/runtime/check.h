/* The op table as this runtime needs it: how many operands, which must be there, and which extents are equal. */
#ifndef LLMRUN_CPU_CHECK_H
#define LLMRUN_CPU_CHECK_H

#include <llmrun/backend.h>

struct op_form {
    const char *name;
    uint16_t version;
    uint16_t inputs; /* operands that are only read */
    uint32_t attribute_bytes;
    /* One word an operand, one letter a dimension: equal letters are equal extents, a digit is that extent, `*` is a
     * shape of any rank that is the same for all that have it, `?` before the word: may be absent. */
    const char *operands;
};

/* NULL for an op that is not known. */
const struct op_form *check_form(uint16_t op);

/* LLMRUN_OK: every kernel may look at `op`. LLMRUN_ERROR_UNSUPPORTED: in order, but beyond this runtime.
 * LLMRUN_ERROR_ARGUMENT: it breaks the contract. `reason` is a sentence for both. */
int32_t check_op(const struct llmrun_op *op, char *reason, size_t reason_bytes);

#endif
