/* Parameters that two ranks of a pipeline hold: the terms of their gradients, which each rank has some of
 * (passes/pipeline_parallel.h). */
#ifndef LLMRUN_PASSES_SHARED_TERMS_H
#define LLMRUN_PASSES_SHARED_TERMS_H

#include "passes/projection.h"

/* A section reduce: the ops of parameters that this rank holds, behind the exchange of what they read. */
void terms_project(struct projection *projection, const struct section *section);

/* Behind all of these, in the update: gradients that have one term, and so nothing to meet. */
void terms_exchange_rest(struct projection *projection, const struct section *update);

/* Of two holders the second one does not count its copy in the norm: `op` is the copy of an op, which may be NULL. */
void terms_set_replica(struct projection *projection, int32_t parameter, const struct op *op);

#endif
