/* The buffers of a pipeline's links (passes/pipeline_parallel.h) in the flow of a step. */
#ifndef LLMRUN_PASSES_FLOW_LINKS_H
#define LLMRUN_PASSES_FLOW_LINKS_H

#include "passes/flow.h"

/* Gives each buffer that a step uses a pool, behind those that are there. */
void flow_add_links(const struct program *program, struct flow *flow);

/* Slots of the pools of buffers: the n-th entry that uses a buffer has it in slot n mod 2. Each of these pools has
 * a group of its own, and nothing in `slots` so far. */
void flow_fill_links(const struct program *program, const struct pipeline_rank *rank, struct flow *flow);

#endif
