/* Floating-point operations of a program, a multiply-add counted as two. */
#ifndef LLMRUN_PASSES_FLOPS_H
#define LLMRUN_PASSES_FLOPS_H

#include "program/program.h"

/* Of one op: matmuls and the loss exactly; attention over the causal half, T (T + 1) / 2 pairs a head; elementwise ops
 * are not counted. */
double op_flops(const struct program *program, const struct op *op);

/* Of all sections of a kind; ops that recompute are left out when `useful` is true. */
double program_flops(const struct program *program, enum section_kind kind, bool useful);

#endif
