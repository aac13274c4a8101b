/* Removes what a run no longer needs from its ckpt folder. Called with the run lock held, while no writer is at work.
 */
#ifndef LLMRUN_CHECKPOINT_RETAIN_H
#define LLMRUN_CHECKPOINT_RETAIN_H

#include <stdint.h>

#include "base/file.h"
#include "base/status.h"

/* Keeps the newest `keep` complete checkpoints of a branch (0: all) and removes older complete ones of it, the oldest
 * first; never that of step `saved`, which the run has just saved. Other branches, and what is torn, unreadable or
 * foreign, are left for their owner to look at. A checkpoint is renamed before its files go, so that a
 * half-removed one is never taken for a torn one. Call it after a commit. */
int checkpoint_retain(const struct file_system *fs, const char *folder, int64_t keep, int64_t branch, int64_t saved,
                      struct error *error);

/* Removes partial folders, and replaced ones whose successor is complete. Goes on after a failure and returns the
 * first. */
int checkpoint_sweep(const struct file_system *fs, const char *folder, struct error *error);

#endif
