/* Attributes of a split op, by their roles in ops.def. */
#ifndef LLMRUN_PASSES_SHARD_ROLE_H
#define LLMRUN_PASSES_SHARD_ROLE_H

#include "passes/shard_types.h"
#include "program/op_table.h"

/* Rewrites the attributes of op number `op` of the program for this rank's part of `letter`, and holds the extents that
 * are split to equal, whole parts. *partial becomes what a sum over the letter is a term of; untouched where the op has
 * none. */
void shard_roles(struct shard *shard, int32_t op, int letter, void *attributes, struct partial *partial);

/* Of an op whose sum is split: what comes after the sum is done by others. */
void shard_roles_unrooted(const struct op_info *info, void *attributes);

#endif
