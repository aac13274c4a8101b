/* A batch in memory of its own, for tests: the product fills staging memory. */
#ifndef LLMRUN_TESTS_BATCH_MEMORY_H
#define LLMRUN_TESTS_BATCH_MEMORY_H

#include <stdlib.h>

#include "data/batch.h"

static inline void batch_destroy(struct batch *batch)
{
    free(batch->tokens);
    free(batch->targets);
    free(batch->weights);
    free(batch->positions);
    free(batch->segment_starts);
}

/* False, with nothing to destroy, where there is no memory. */
static inline bool batch_create(struct batch *batch, int64_t sequences, int64_t seq_len)
{
    const size_t elements = (size_t)(sequences * seq_len);

    *batch = (struct batch){.sequences = sequences,
                            .seq_len = seq_len,
                            .tokens = malloc(elements * sizeof *batch->tokens),
                            .targets = malloc(elements * sizeof *batch->targets),
                            .weights = malloc(elements * sizeof *batch->weights),
                            .positions = malloc(elements * sizeof *batch->positions),
                            .segment_starts = malloc(elements * sizeof *batch->segment_starts)};
    if (batch->tokens != NULL && batch->targets != NULL && batch->weights != NULL && batch->positions != NULL &&
        batch->segment_starts != NULL)
        return true;
    batch_destroy(batch);
    return false;
}

#endif
