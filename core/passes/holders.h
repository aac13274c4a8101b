/* Which ranks of a pipeline hold which parameters (passes/pipeline_parallel.h), and where the terms of the gradient of
 * one that two hold are. */
#ifndef LLMRUN_PASSES_HOLDERS_H
#define LLMRUN_PASSES_HOLDERS_H

#include "program/program.h"
#include "schedule/pipeline.h"

#define HOME_NONE (-1) /* no rank has it */
#define HOME_BOTH (-2) /* both holders have it */

struct holders {
    int32_t *first;  /* of each parameter: the rank with the lowest stage that uses it; rank 0 where none does */
    int32_t *second; /* the other rank that has it, or -1 */
    int32_t *home;   /* of each value: the rank that makes it in backward, HOME_NONE, HOME_BOTH */
};

/* Of a program that pass_cut has cut. STATUS_BUG names a parameter that three ranks use. */
int holders_find(const struct program *program, const struct pipeline *pipeline, struct holders *holders,
                 struct error *error);
void holders_finish(struct holders *holders);

/* The parameter that a value is, or belongs to; NO_VALUE for none. */
int32_t parameter_of(const struct program *program, int32_t value);

/* The parameter that an op's operands belong to; NO_VALUE for none. */
int32_t op_parameter(const struct program *program, const struct op *op);

bool holders_have(const struct holders *holders, int32_t parameter, int32_t rank);

/* Where an op on a parameter that two ranks hold runs: the rank that has all it reads, or HOME_BOTH: then what only one
 * of them has is to be sent before. */
int32_t holders_place(const struct holders *holders, const struct program *program, const struct op *op);

/* What it writes is there from now on. */
void holders_ran(struct holders *holders, const struct program *program, const struct op *op, int32_t place);

#endif
