/* Sharding as a type: over each axis of the mesh a value is replicated (the same bits on each rank), split (each rank
 * has a part of one factor of one dimension) or partial (each rank has a term of a reduction that is still to be made).
 * The rules here hold each op to the types that its row of ops.def can take; program_verify runs them over every op.
 * Sharding mistakes of trainers are silent otherwise: more than eleven were found by such types in one
 * (NVIDIA/Megatron-LM#7452). */
#ifndef LLMRUN_PROGRAM_SHARDING_H
#define LLMRUN_PROGRAM_SHARDING_H

#include "base/status.h"
#include "program/program.h"

#define SHARDING_TEXT 64

/* "replicated", "split 1.0 1/4" (dimension.factor, index/parts) or "partial + 4:2" (first part:parts). */
const char *sharding_print(const struct value *value, enum mesh_axis axis, char text[SHARDING_TEXT]);

/* Splits stand in the order of their axes, none twice, none over an axis where the value is partial; `shape` is what
 * they leave of `full`. STATUS_BUG names the value. */
int sharding_check_value(const struct value *value, struct error *error);

/* Whether the op can take its operands in their types, over every axis. STATUS_BUG names operand, axis and types. The
 * shapes are checked before (axes_bind). */
int sharding_check_op(const struct program *program, const struct op *op, struct error *error);

#endif
