/* Writes one checkpoint so that a crash at any moment leaves either the old or the new one, never a mix.
 *
 *   ckpt/step_00000120.partial-<run>/   shard files, other files; each written, then synced
 *                                       folder synced; manifest.json written and synced; folder synced
 *   ckpt/step_00000120/                 by one rename; ckpt/ synced
 *
 * A folder without ".partial-" is therefore complete. A failure removes the partial folder and leaves older checkpoints
 * alone. Everything goes through `struct file_system`. One writer a folder at a time (run_lock.h), or one on each rank
 * of a run (save.h); one thread. */
#ifndef LLMRUN_CHECKPOINT_WRITER_H
#define LLMRUN_CHECKPOINT_WRITER_H

#include <stdint.h>

#include "base/file.h"
#include "base/status.h"
#include "checkpoint/manifest.h"
#include "checkpoint/partial.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/state.h"

/* What a rank has of a tensor. */
struct checkpoint_slice {
    struct box box;
    bool stored; /* it writes the box; else another rank does, which has the same bits */
};

/* Boxes without an element are not, but for those of tensors that have none. */
bool checkpoint_slice_is_written(const struct checkpoint_slice *slice, const struct safetensors_form *form);

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

/* The same on one rank of several, in the partial folder, which rank 0 has made and commits: the tensors with a slice
 * that is stored (forms[i] is the whole tensor, slices[i] what this rank has of it; both must live until destroy). */
int checkpoint_writer_begin_rank(const struct checkpoint_target *target, const struct safetensors_form *forms,
                                 const struct checkpoint_slice *slices, int64_t count, int32_t rank,
                                 struct checkpoint_writer **writer, struct error *error);

/* Lists a box that this rank has and another one writes. */
int checkpoint_writer_add_replica(struct checkpoint_writer *writer, const struct safetensors_form *form,
                                  const struct box *box, const void *data, struct error *error);

/* What this rank has, once all is written and synced (checkpoint/merge.h); lives until destroy. */
int checkpoint_writer_list(struct checkpoint_writer *writer, const struct manifest **list, struct error *error);

/* Closes and frees, and leaves the folder to rank 0. NULL is accepted. */
void checkpoint_writer_destroy(struct checkpoint_writer *writer);

#endif
