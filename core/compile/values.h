/* The model between the values that the host writes and those that it reads, for each kind of use; their ids go into
 * `io`. */
#ifndef LLMRUN_COMPILE_VALUES_H
#define LLMRUN_COMPILE_VALUES_H

#include "compile/compile.h"

void values_build_train(struct builder *builder, const struct compile_request *request, struct io_values *io);
void values_build_evaluate(struct builder *builder, const struct compile_request *request, struct io_values *io);
void values_build_generate(struct builder *builder, const struct compile_request *request, struct io_values *io);

/* Writes the `draws` rows of the input `random`: what the ops of a microbatch draw from, whose first sequence is number
 * `first_sequence` of the step (llmrun/random.h). */
void values_fill_random(uint32_t *rows, int64_t draws, uint64_t seed, int64_t step, int64_t first_sequence);

/* No values at all: every id is NO_VALUE. */
void values_none(struct io_values *io);

/* Each value that is there becomes new_ids of it. */
void values_renumber(struct io_values *io, const int32_t *new_ids);

#endif
