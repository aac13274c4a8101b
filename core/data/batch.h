/* The arrays that one microbatch feeds to the model, row-major [sequences, seq_len]. docs/data.md, "Batches".
 *
 *   tokens          the input of each position; 0 in padding
 *   targets         the token to predict there; 0 in padding
 *   weights         1 where the prediction counts; 0 in padding, for masked tokens and for first tokens of documents
 *   positions       counts from 0 at the start of the sequence and at each document in it; 0 in padding
 *   segment_starts  index within the sequence of the first token of the position's document: attention looks no further
 *                   back. A place of padding is a segment of its own, so that it costs no attention. */
#ifndef LLMRUN_DATA_BATCH_H
#define LLMRUN_DATA_BATCH_H

#include <stdint.h>

#include "data/sampler.h"

/* The arrays are the caller's: staging memory. */
struct batch {
    int64_t sequences; /* rows that the arrays have room for */
    int64_t seq_len;
    int32_t *tokens;
    int32_t *targets;
    float *weights;
    int32_t *positions;
    int32_t *segment_starts;
};

/* Fills rows 0..count-1 with the samples of the sampler's rows first..first+count-1 (sampler_row). count <= sequences;
 * seq_len is the sampler's. Allocates nothing. Rows past the end of an evaluation become padding. */
void batch_fill(struct batch *batch, const struct sampler *sampler, int64_t first, int64_t count);

/* Weights of value 1 in rows first..first+count-1, without filling them: by this a step's loss is divided, whatever
 * its microbatches and ranks. */
int64_t batch_valid_tokens(const struct sampler *sampler, int64_t first, int64_t count);

#endif
