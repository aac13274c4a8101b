/* Which layers each stage of a pipeline has: runs of whole layers, so that the FLOPs of the largest stage are fewest,
 * and among these cuts those of the smallest most. What stands before the first layer counts to the first stage, the
 * head and the loss to the last one. */
#ifndef LLMRUN_PASSES_STAGES_H
#define LLMRUN_PASSES_STAGES_H

#include "program/program.h"

struct stages {
    int32_t layers, count;
    int32_t *first; /* [count + 1]: stage s has the layers first[s] to first[s + 1] - 1; owned */
};

/* From the ops of a program before pass_cut, of training where it trains: the same on each rank whose program does the
 * same work. 1 <= count <= layers. STATUS_BUG for an op whose FLOPs cannot be counted. */
int stages_make(const struct program *program, int32_t layers, int32_t count, struct stages *stages,
                struct error *error);

/* The same from FLOPs, at least 0, of each layer. */
int stages_balance(const double *flops, int32_t layers, int32_t count, struct stages *stages, struct error *error);

void stages_finish(struct stages *stages);

/* The stage of a layer as struct op counts them: -1 before the first one, their number and more after the last. */
int32_t stages_of_layer(const struct stages *stages, int32_t layer);

#endif
