/* Reads one checkpoint: a folder with manifest.json, safetensors shards and small files.
 *
 * Opening checks the manifest's checksum, that every file is there with its size, and that each shard's header has its
 * checksum, names this run and step, and lists the tensors that the manifest lists. Reading a tensor checks its
 * checksum. So a checkpoint that was opened and read whole had no changed byte in it. Tensors are logical: nothing
 * tells how many ranks wrote them. One thread at a time. */
#ifndef LLMRUN_CHECKPOINT_CHECKPOINT_H
#define LLMRUN_CHECKPOINT_CHECKPOINT_H

#include <limits.h>

#include "base/file.h"
#include "checkpoint/manifest.h"
#include "checkpoint/name_index.h"

/* Of the metadata of each shard. */
#define CHECKPOINT_KEY_RUN   "llmrun_run"
#define CHECKPOINT_KEY_STEP  "llmrun_step"
#define CHECKPOINT_KEY_SHARD "llmrun_shard" /* "2 of 3" */

/* Read-only for callers: manifest.step, manifest.state, manifest.tensors ... live until checkpoint_close. */
struct checkpoint {
    const struct file_system *fs;
    char folder[PATH_MAX];
    struct manifest manifest;
    struct name_index names; /* of the tensors */
    int64_t open_file;       /* index of the shard that is open, -1 for none */
    int handle;
};

/* STATUS_INPUT, naming the file, when something of the above is not so. */
int checkpoint_open(const struct file_system *fs, const char *folder, struct checkpoint *checkpoint,
                    struct error *error);

/* Accepts a zeroed struct. */
void checkpoint_close(struct checkpoint *checkpoint);

/* NULL when there is none. */
const struct manifest_tensor *checkpoint_tensor_find(const struct checkpoint *checkpoint, const char *name);

/* Reads a whole tensor into `memory` of exactly tensor->bytes bytes. STATUS_INPUT, naming file and tensor, when its
 * bytes do not have its checksum: then the memory holds the damaged bytes. Blocks. */
int checkpoint_read(struct checkpoint *checkpoint, const struct manifest_tensor *tensor, void *memory, int64_t bytes,
                    struct error *error);

/* Reads a file that is no shard (tokenizer, model config) into memory that the caller frees; a NUL follows the last
 * byte. */
int checkpoint_read_file(const struct checkpoint *checkpoint, const char *name, char **data, int64_t *bytes,
                         struct error *error);

/* The parts of opening, for lists and verification: the manifest alone; the files' sizes; one shard's header. */
int checkpoint_read_manifest(const struct file_system *fs, const char *folder, struct manifest *manifest,
                             struct error *error);
int checkpoint_check_sizes(const struct file_system *fs, const char *folder, const struct manifest *manifest,
                           struct error *error);
int checkpoint_check_shard(const struct checkpoint *checkpoint, int64_t file, struct error *error);

#endif
