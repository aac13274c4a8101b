/* Writes one checkpoint so that a crash at any moment leaves either the old or the new one, never a mix.
 *
 *   ckpt/step_00000120.partial-<run>/   shard files, other files; each written, then synced
 *                                       folder synced; manifest.json written and synced; folder synced
 *   ckpt/step_00000120/                 by one rename; ckpt/ synced
 *
 * A folder without ".partial-" is therefore complete. A failure removes the partial folder and leaves older checkpoints
 * alone. Everything goes through `struct file_system`. One writer a folder at a time (run_lock.h); one thread. */
#ifndef LLMRUN_CHECKPOINT_WRITER_H
#define LLMRUN_CHECKPOINT_WRITER_H

#include <stdint.h>

#include "base/file.h"
#include "base/status.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/state.h"

/* Where a checkpoint goes and what it is called. */
struct checkpoint_target {
    const struct file_system *fs;
    const char *folder;  /* RUN_DIR/ckpt; made where missing */
    int64_t step;        /* steps done, >= 0 */
    const char *run_id;  /* a plain name (manifest_plain_name) of at most 64 characters */
    int64_t shard_bytes; /* data bytes after which a new shard file starts; 0: 2 GiB */
};

struct checkpoint_writer;

/* Plans the files for these tensors (distinct names, floats and integers of any dtype), removes what broken saves left
 * in the folder, and makes the partial folder. STATUS_STORAGE, with needed and free bytes, when they would not fit. The
 * forms, their names, fs and the target's texts must live until commit or abort; the state is copied. */
int checkpoint_writer_begin(const struct checkpoint_target *target, const struct safetensors_form *forms, int64_t count,
                            const struct checkpoint_state *state, struct checkpoint_writer **writer,
                            struct error *error);

/* The next `bytes` bytes of the tensor `name`, from host memory. Tensors come in the order of the forms, each whole
 * before the next begins, in as many calls as the caller likes. Blocks while writing. After a failure only abort is
 * useful. */
int checkpoint_writer_add(struct checkpoint_writer *writer, const char *name, const void *data, int64_t bytes,
                          struct error *error);

/* A whole file beside the shards (tokenizer, model config). `name` is plain, and neither manifest.json nor a shard's.
 */
int checkpoint_writer_add_file(struct checkpoint_writer *writer, const char *name, const void *data, int64_t bytes,
                               struct error *error);

/* Syncs, renames, and frees the writer, in success and failure alike. On STATUS_OK the checkpoint survives a power
 * loss. A checkpoint of the same step that is there already is replaced. STATUS_STORAGE when it could not be stored:
 * then the older ones are as they were. */
int checkpoint_writer_commit(struct checkpoint_writer *writer, struct error *error);

/* Removes the partial folder and frees the writer. NULL is accepted. */
void checkpoint_writer_abort(struct checkpoint_writer *writer);

/* Bytes of all files but the manifest, known from begin on. */
int64_t checkpoint_writer_bytes(const struct checkpoint_writer *writer);

#endif
