/* The folder that a checkpoint is written to, before it is one. */
#ifndef LLMRUN_CHECKPOINT_PARTIAL_H
#define LLMRUN_CHECKPOINT_PARTIAL_H

#include <limits.h>
#include <stdint.h>

#include "base/file.h"
#include "base/status.h"

/* Where a checkpoint goes and what it is called. */
struct checkpoint_target {
    const struct file_system *fs;
    const char *folder;  /* RUN_DIR/ckpt; made where missing */
    int64_t step;        /* steps done, >= 0 */
    const char *run_id;  /* a plain name (manifest_plain_name) of at most 64 characters */
    int64_t shard_bytes; /* data bytes after which a new shard file starts; 0: 2 GiB */
};

struct partial_folder {
    char partial[PATH_MAX], final[PATH_MAX]; /* paths of folders */
};

/* STATUS_BUG for a step or run that cannot be part of a name, STATUS_STORAGE for a path that is too long. */
int partial_name(const struct checkpoint_target *target, struct partial_folder *partial, struct error *error);

/* Makes the folder of checkpoints where it is missing, removes what broken saves left in it, and makes the partial
 * folder. STATUS_STORAGE, with needed and free bytes, when `bytes` would not fit. */
int partial_make(const struct checkpoint_target *target, const struct partial_folder *partial, int64_t bytes,
                 struct error *error);

/* Removes the partial folder as far as it can: what stays is swept by the next save. */
void partial_remove(const struct checkpoint_target *target, const struct partial_folder *partial);

/* Bounds of the bytes that a checkpoint takes beside the data of its tensors and their headers: in all, and for each
 * tensor of `bytes` bytes that it has. */
#define PARTIAL_BYTES_BESIDE 65536
int64_t partial_bytes_beside(const char *name, int64_t bytes);

#endif
