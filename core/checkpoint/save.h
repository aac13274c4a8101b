/* Saves a snapshot that lies in host memory: in the caller's thread, or in a thread of its own while training goes on.
 *
 * Many ranks save one checkpoint together, each with a snapshot of what it has:
 *
 *   meeting    each says which boxes it has to write; of ranks with the same box the first one writes it. Rank 0 makes
 *              the partial folder.
 *   writing    each writes its files, tensors-rank00003-00001.safetensors ..., and hashes what others write.
 *   meeting    each brings its list. Rank 0 compares the hashes of what several have, merges the lists into the
 *              manifest, and commits.
 *
 * A rank that fails at any moment fails all, with its error; rank 0 removes the partial folder, and older checkpoints
 * are as they were. A rank that is gone does the same through the callbacks (checkpoint/ranks.h). */
#ifndef LLMRUN_CHECKPOINT_SAVE_H
#define LLMRUN_CHECKPOINT_SAVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "checkpoint/ranks.h"
#include "checkpoint/writer.h"

struct checkpoint_blob {
    const char *name; /* a plain file name */
    const void *data;
    int64_t bytes;
};

/* Everything of one checkpoint. Borrowed: the caller owns all memory behind it. */
struct checkpoint_snapshot {
    struct checkpoint_target target;
    const struct safetensors_form *forms; /* [count]: whole tensors */
    const void *const *data;              /* [count]: the bytes of each tensor, or of what this rank has of it */
    int64_t count;
    /* With several ranks the rest counts on rank 0 alone. */
    const struct checkpoint_blob *files; /* [file_count] */
    int64_t file_count;
    const struct checkpoint_state *state;
    int64_t keep; /* complete checkpoints of the state's branch that stay, this one among them; 0: all */
    /* Of several ranks; NULL, NULL: there is one. */
    const struct checkpoint_ranks *ranks;
    const struct checkpoint_slice *slices; /* [count]: what this rank has */
    struct error refusal; /* with a status: this rank has nothing to save, and why; then all ranks fail with that */
};

/* Writes, commits, then removes what is over `keep`. *bytes (may be NULL) is what the files of all ranks take. Blocks.
 * When only the removal of old ones fails, the new checkpoint is safe: that is a warning in the log, and STATUS_OK.
 * STATUS_DIVERGED, naming tensor and ranks, where several ranks have a box and not the same bits of it. */
int checkpoint_save(const struct checkpoint_snapshot *snapshot, int64_t *bytes, struct error *error);

/* One save at a time in a thread of its own. All functions are called from one thread, the owner's. */
struct checkpoint_async;

int checkpoint_async_create(struct checkpoint_async **async, struct error *error);

/* Starts saving and returns at once (the callbacks of ranks are then called on the thread that saves), or, where the
 * save before it is not done, after that one; where the system gives no thread, saves before it returns. The snapshot
 * is copied; what it points to must stay unchanged until checkpoint_async_wait or until checkpoint_async_busy is false.
 * When the save before it failed and nobody has asked yet, its error is returned and nothing is started. */
int checkpoint_async_start(struct checkpoint_async *async, const struct checkpoint_snapshot *snapshot,
                           struct error *error);

/* Does not block. */
bool checkpoint_async_busy(const struct checkpoint_async *async);

/* Waits for the save in flight. Its result, reported once; STATUS_OK when none is in flight. *bytes (may be NULL) as in
 * checkpoint_save. */
int checkpoint_async_wait(struct checkpoint_async *async, int64_t *bytes, struct error *error);

/* Waits too; an error that was not asked for is a warning in the log. NULL is accepted. */
void checkpoint_async_destroy(struct checkpoint_async *async);

#endif
