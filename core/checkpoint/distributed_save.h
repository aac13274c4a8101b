/* One rank's part in a save of many; save.h says how they meet. */
#ifndef LLMRUN_CHECKPOINT_DISTRIBUTED_SAVE_H
#define LLMRUN_CHECKPOINT_DISTRIBUTED_SAVE_H

#include "checkpoint/save.h"

/* snapshot->ranks and slices are not NULL. *bytes is what the files of all ranks take. The result is the same on all
 * ranks. */
int save_distributed(const struct checkpoint_snapshot *snapshot, int64_t *bytes, struct error *error);

#endif
