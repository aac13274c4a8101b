/* One run a folder: RUN_DIR/.lock is held for the life of the process that trains there. */
#ifndef LLMRUN_CHECKPOINT_RUN_LOCK_H
#define LLMRUN_CHECKPOINT_RUN_LOCK_H

#include "base/status.h"

struct run_lock {
    int handle; /* -1 when not held */
};

/* Takes the lock of an existing folder and writes this host and process into the file. STATUS_USAGE, naming the holder,
 * when another process (or another lock of this one) has it; STATUS_STORAGE when the file cannot be made. Does not
 * block. The kernel drops the lock when the process ends, however it ends; the file stays. On a file system without
 * locks a warning is logged and the run goes on. */
int run_lock_acquire(const char *run_folder, struct run_lock *lock, struct error *error);

/* Accepts a lock that is not held (handle -1). */
void run_lock_release(struct run_lock *lock);

#endif
