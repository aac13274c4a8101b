/* Which letter of an op (ops.def) the ranks of tp split. */
#ifndef LLMRUN_PASSES_SHARD_LETTER_H
#define LLMRUN_PASSES_SHARD_LETTER_H

#include "passes/shard_types.h"

/* Begins a section: finds the last use of each value. */
void shard_letter_begin(struct shard *shard, const struct section *section);

/* The letter of op number `op` of the program, as axes_letter names it; 0: none, the op is the same on each rank. */
int shard_letter(struct shard *shard, const struct section *section, int32_t op);

#endif
