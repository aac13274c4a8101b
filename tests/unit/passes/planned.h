/* A program with its flow and its memory plan, in whatever order a schedule runs its microbatches. */
#ifndef LLMRUN_TEST_PASSES_PLANNED_H
#define LLMRUN_TEST_PASSES_PLANNED_H

#include "passes/memory_plan.h"

struct planned {
    struct pipeline pipeline; /* no ranks without a step */
    struct flow flow;
    struct memory_plan plan;
};

/* Microbatches one after the other, of one chunk; a program without a forward section has no step. */
int planned_make(const struct program *program, int32_t microbatches, int64_t workspace_bytes, bool internal,
                 struct planned *planned, struct error *error);
void planned_finish(struct planned *planned);

#endif
