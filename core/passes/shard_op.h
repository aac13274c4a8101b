/* Writes one op as a rank of tp runs it. */
#ifndef LLMRUN_PASSES_SHARD_OP_H
#define LLMRUN_PASSES_SHARD_OP_H

#include "passes/shard_types.h"

/* Op number `op` of the program with `letter` split (shard_letter): its inputs in the types that it takes, attributes
 * by their roles, and where a sum or selection is split, the communication and what comes after it. */
void shard_op(struct shard *shard, int32_t op, int letter);

/* From a term of `value`, which holds parts of a sum or a selection, to `value` itself: a communication op, then
 * `finish` where its type, a bias or an activation wants it, or `add` of an addend. Operands are NO_VALUE where absent.
 */
struct shard_root {
    int32_t value; /* as it stood in the program; its place is said here */
    int32_t bias, aux, addend;
    uint32_t activation;
};

void shard_finish(struct shard *shard, int32_t partial, const struct shard_root *root);

/* Between blocks: split over positions, or whole. */
struct place shard_between(const struct shard *shard);

#endif
