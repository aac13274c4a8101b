/* What every op must be before a kernel of this runtime looks at it. */
#ifndef LLMRUN_CPU_CHECK_H
#define LLMRUN_CPU_CHECK_H

#include <llmrun/backend.h>

/* LLMRUN_OK: every kernel may look at `op`. LLMRUN_ERROR_UNSUPPORTED: in order, but beyond this runtime.
 * LLMRUN_ERROR_ARGUMENT: it breaks the contract. `reason` is a sentence for both. */
int32_t check_op(const struct llmrun_op *op, char *reason, size_t reason_bytes);

#endif
