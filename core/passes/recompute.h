/* Trades computing for memory: values that the backward section needs are made again there instead of being kept.
 *
 * selective: outputs of ops that the op table calls cheap (norms, GELU, dropout). full: everything inside a layer but
 * its input. What is made again is made by the same op with the same random numbers, so the bits do not change. The
 * stream that layernorm sums up is kept: a norm is made again from its `sum`. */
#ifndef LLMRUN_PASSES_RECOMPUTE_H
#define LLMRUN_PASSES_RECOMPUTE_H

#include "program/program.h"

enum recompute { RECOMPUTE_NONE, RECOMPUTE_SELECTIVE, RECOMPUTE_FULL };

int pass_recompute(struct program *program, enum recompute mode, struct error *error);

#endif
