/* Lines of checkpoints in one folder. A run that goes on from a checkpoint that is not the newest of the folder it
 * saves to begins a branch: its checkpoints are newer than all that were there, whatever their steps, and nothing of
 * the other branches is removed. docs/decisions/0009-branches.md. */
#ifndef LLMRUN_CHECKPOINT_BRANCH_H
#define LLMRUN_CHECKPOINT_BRANCH_H

#include "base/file.h"
#include "checkpoint/manifest.h"

/* The branch of a run that saves to `folder` and goes on from the checkpoint of that manifest; a new branch is a line
 * of the log, as a warning. STATUS_STORAGE where a checkpoint there cannot be read. */
int checkpoint_branch_of_run(const struct file_system *fs, const char *folder, const struct manifest *origin,
                             int64_t *branch, struct error *error);

#endif
