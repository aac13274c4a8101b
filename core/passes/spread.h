/* What one stage of a pipeline makes and all ranks get (passes/pipeline_parallel.h). */
#ifndef LLMRUN_PASSES_SPREAD_H
#define LLMRUN_PASSES_SPREAD_H

#include "passes/projection.h"

/* Makes the slots of all values that are spread. */
void spread_find(struct projection *projection);

/* The all_reduces at the end of a way's sections; WAYS: of the update. */
void spread_emit(struct projection *projection, enum way way);

#endif
