/* The content hashes of a checkpoint: equal checkpoints have equal ones, whatever layout wrote them. */
#ifndef LLMRUN_CHECKPOINT_CONTENTS_H
#define LLMRUN_CHECKPOINT_CONTENTS_H

#include "checkpoint/checkpoint.h"

/* Fills tensors[manifest.tensor_count], in the order of the manifest, and one hash over all: XXH3 of a line for each
 * tensor, in the order of names as strcmp sorts them:
 *
 *     model.norm.weight f32[768] mix64:0123456789abcdef
 *
 * Of a checkpoint of format 1, which has none, all tensors are read. Failures are those of checkpoint_read. */
int checkpoint_contents(struct checkpoint *checkpoint, uint64_t *tensors, uint64_t *all, struct error *error);

#endif
