/* Hashes of descriptions: two that say the same have the same key, wherever they lie in memory. 64 bits, so that two of
 * some thousand descriptions do not meet. Never 0. */
#ifndef LLMRUN_HAL_OP_KEY_H
#define LLMRUN_HAL_OP_KEY_H

#include <llmrun/backend.h>

uint64_t op_key(const struct llmrun_op *op);
/* All but the name. */
uint64_t program_key(const struct llmrun_program_desc *desc);

#endif
