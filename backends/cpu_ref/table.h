/* The set of reference kernels; see reference.h for how an op joins it. */
#ifndef LLMRUN_CPU_REF_TABLE_H
#define LLMRUN_CPU_REF_TABLE_H

#include "runtime/kernel.h"

extern const struct kernel_set cpu_ref_kernel_set;

/* The defined order where flags hold LLMRUN_OP_EXACT, else fp64. `isa` does not matter. */
const struct kernel *const *reference_candidates(uint16_t op, int isa, uint32_t flags);

#endif
