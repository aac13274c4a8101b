/* Trades computing for memory: values that the backward section needs are recomputed there instead of being kept.
 *
 * selective: outputs of ops that the op table calls cheap (norms, rotary embedding, GELU, SwiGLU, dropout), where that
 * keeps fewer bytes; the residual stream is kept. full (Chen et al. 2016, "Training Deep Nets with Sublinear Memory
 * Cost", with one segment a layer): of a layer, only what another layer uses, which is the residual stream at its
 * start. An op with OP_RESIDUAL is recomputed from its `sum` where that is kept. What ranks have parts of
 * is gathered again in any mode, none among them (all_gather is cheap in the op table), so that a rank keeps its part
 * only, as sequence parallelism in Megatron does (Korthikanti et al., arXiv 2205.05198).
 *
 * What is recomputed is made by the same op with the same random numbers, so the bits do not change. Clones stand
 * directly before the first op of the backward section that needs them: one layer at a time. */
#ifndef LLMRUN_PASSES_RECOMPUTE_H
#define LLMRUN_PASSES_RECOMPUTE_H

#include "program/program.h"

enum recompute { RECOMPUTE_NONE, RECOMPUTE_SELECTIVE, RECOMPUTE_FULL };

int pass_recompute(struct program *program, enum recompute mode, struct error *error);

#endif
