/* Makes one manifest of the lists of all ranks. A list is a manifest of what one rank has: the files that it wrote with
 * the parts of tensors in them and, for boxes that another rank writes, their content hashes alone. */
#ifndef LLMRUN_CHECKPOINT_MERGE_H
#define LLMRUN_CHECKPOINT_MERGE_H

#include "checkpoint/manifest.h"

/* `lists[ranks]` in the order of ranks; `whole` is zeroed and gets step, run, files and tensors. STATUS_DIVERGED,
 * naming tensor, box and ranks, where two ranks have the same box with different bits. STATUS_BUG where ranks do not
 * agree on a tensor, two write the same element, or nobody writes one. The caller finishes *whole in any case;
 * `error` is not NULL. */
int merge_lists(const struct manifest *lists, int32_t ranks, struct manifest *whole, struct error *error);

#endif
