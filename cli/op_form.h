/* Descriptions of ops made from the op table alone, to ask a device what it can do without a model. */
#ifndef LLMRUN_CLI_OP_FORM_H
#define LLMRUN_CLI_OP_FORM_H

#include "program/op_table.h"

/* One description with what it points to; it is not copied. */
struct op_form {
    struct llmrun_op op;
    struct llmrun_tensor operands[LLMRUN_MAX_OPERANDS];
    _Alignas(8) unsigned char attributes[OP_MAX_ATTRIBUTE_BYTES];
};

/* The op with `compute` (LLMRUN_F32, LLMRUN_BF16 ...) as its compute type, on tensors of the size of a small layer.
 * `whole`: with all optional operands and what they switch on (dropout, GELU in a matmul), else with none. An operand
 * of any type has the type `compute` where it is written; where it is read it is bf16 for fp32, and fp32 for all else.
 * `flags`: LLMRUN_OP_EXACT ... False for a row of the table that names an axis or attribute that has no example here.
 */
bool op_form_make(const struct op_info *info, uint32_t compute, bool whole, uint32_t flags, struct op_form *form);

#endif
