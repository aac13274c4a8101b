/* Floating-point operations of a program, a multiply-add counted as two: what the rows of ops.def count. */
#ifndef LLMRUN_PASSES_FLOPS_H
#define LLMRUN_PASSES_FLOPS_H

#include "program/program.h"

/* Whether every op can be counted. STATUS_BUG names the op whose row of the table is missing or names no extent. */
int flops_check(const struct program *program, struct error *error);

/* Of one op: products and the loss exactly; attention over the causal half, T (T + 1) / 2 pairs a head; elementwise ops
 * are not counted. NaN where flops_check refuses. */
double op_flops(const struct program *program, const struct op *op);

/* Of all sections of a kind; ops that recompute are left out when `useful` is true. */
double program_flops(const struct program *program, enum section_kind kind, bool useful);

/* Of one microbatch: its forward and backward, in whatever sections. */
double program_step_flops(const struct program *program, bool useful);

#endif
