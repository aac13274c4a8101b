/* Reads one checkpoint: a folder with manifest.json, safetensors shards and small files.
 *
 * Opening checks the manifest's checksum, opens every file and compares its size, reads each small file and checks its
 * checksum, and checks that each shard's header has its checksum, names this run and step, and lists the tensors that
 * the manifest lists. Reading of a tensor checks the checksums of all blocks that it reads. So nothing of a checkpoint
 * is used that is not as it was written. The files stay open: a run that removes the checkpoint meanwhile takes nothing
 * away.
 *
 * STATUS_INPUT says that the checkpoint is damaged: a file is missing, of another kind, or was read and is wrong. What
 * could not be read (EIO, ESTALE, EACCES, too many open files ...) is STATUS_STORAGE and says nothing about it, and
 * STATUS_MEMORY neither: after these nobody may take an older checkpoint for the newest.
 *
 * Tensors are logical: each rank reads the box that it has, whatever boxes the ranks had that wrote them. One thread at
 * a time. */
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

#define CHECKPOINT_SMALL_LIMIT ((int64_t)256 << 20) /* bytes of a file that is no shard */

/* Read-only for callers: manifest.step, manifest.state, manifest.tensors ... live until checkpoint_close. */
struct checkpoint {
    const struct file_system *fs;
    char folder[PATH_MAX];
    struct manifest manifest;
    struct name_index names;   /* of the tensors */
    int *handles;              /* [file_count]: of a shard, -1 where none is held */
    char **contents;           /* [file_count]: of a file that is no shard, with a NUL behind; else NULL */
    int held;                  /* handles that are open */
    int64_t bytes_read;        /* of tensors, since it was opened */
    struct file_system within; /* checkpoint_files; not to be called through a copy */
};

/* STATUS_INPUT, naming the file, when something of the above is not so; a checkpoint that is removed meanwhile is
 * STATUS_INPUT, one that is replaced by another of its step is opened again. */
int checkpoint_open(const struct file_system *fs, const char *folder, struct checkpoint *checkpoint,
                    struct error *error);

/* Accepts a zeroed struct. */
void checkpoint_close(struct checkpoint *checkpoint);

/* NULL when there is none. */
const struct manifest_tensor *checkpoint_tensor_find(const struct checkpoint *checkpoint, const char *name);

/* Reads a whole tensor into `memory` of exactly tensor->bytes bytes. STATUS_INPUT, naming file and tensor, when bytes
 * do not have their checksum: then the memory holds the damaged bytes. Blocks. */
int checkpoint_read(struct checkpoint *checkpoint, const struct manifest_tensor *tensor, void *memory, int64_t bytes,
                    struct error *error);

/* The same of a box within the tensor, row-major into `memory`, which has its bytes. Only blocks are read that hold an
 * element of it (checkpoint/blocks.h): of rows little more than they have, of columns whole rows; of a tensor of format
 * 1 all. */
int checkpoint_read_box(struct checkpoint *checkpoint, const struct manifest_tensor *tensor, const struct box *box,
                        void *memory, struct error *error);

/* Copies a file that is no shard (tokenizer, model config) into memory that the caller frees; a NUL follows the last
 * byte. */
int checkpoint_read_file(const struct checkpoint *checkpoint, const char *name, char **data, int64_t *bytes,
                         struct error *error);

/* A table for readers that take a folder: under checkpoint->folder it has the small files as they were checked, and
 * nothing that the manifest does not list; elsewhere it is that of checkpoint_open, and in any folder with a manifest a
 * small file is compared with that when it is opened (-FILE_DAMAGED). Valid until checkpoint_close. */
const struct file_system *checkpoint_files(const struct checkpoint *checkpoint);

/* The same over file_system_real, without a checkpoint that is open. */
const struct file_system *checkpoint_files_anywhere(void);

/* The parts of opening, for lists and verification: the manifest alone; the files' sizes; one file, with its size
 * compared and `path` filled; a shard; the header of a shard that is open. */
int checkpoint_read_manifest(const struct file_system *fs, const char *folder, struct manifest *manifest,
                             struct error *error);
int checkpoint_check_sizes(const struct file_system *fs, const char *folder, const struct manifest *manifest,
                           struct error *error);
int checkpoint_open_file(const struct file_system *fs, const char *folder, const struct manifest_file *file,
                         char path[PATH_MAX], int *handle, struct error *error);
int checkpoint_hold_shard(struct checkpoint *checkpoint, int64_t file, char path[PATH_MAX],
                          struct error *error); /* opens a shard that is not held, and holds it */
int checkpoint_check_shard(const struct checkpoint *checkpoint, int64_t file, int handle, const char *path,
                           struct error *error);

/* How many files a reader may hold open at once. */
int checkpoint_most_held(void);

/* STATUS_INPUT or STATUS_STORAGE, as said above, with a sentence for an errno value of opening or asking for a file. */
int checkpoint_file_problem(const char *path, int problem, struct error *error);

/* Whether the folder still holds the manifest that was read from it. */
enum checkpoint_presence { CHECKPOINT_SAME, CHECKPOINT_REPLACED, CHECKPOINT_GONE };
int checkpoint_look_again(const struct file_system *fs, const char *folder, const struct manifest *manifest,
                          enum checkpoint_presence *presence, struct error *error);
int checkpoint_removed(const char *folder, struct error *error); /* the sentence for one that is gone */

#endif
