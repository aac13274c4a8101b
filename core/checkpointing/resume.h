/* What a run starts from: nothing, or a checkpoint. A checkpoint holds the small files of its model, so a run goes on
 * without the directories that model.path and data.tokenizer name. */
#ifndef LLMRUN_CHECKPOINTING_RESUME_H
#define LLMRUN_CHECKPOINTING_RESUME_H

#include "checkpoint/checkpoint.h"
#include "checkpoint/ranks.h"
#include "config/config.h"

/* Both configs borrow their texts: from the one that resume_find got, and from `checkpoint`. In `files` model.path and
 * data.tokenizer name the checkpoint where the files that they name are gone. */
struct resume {
    bool resumed;                         /* false: a fresh start, and no checkpoint is open */
    struct checkpoint checkpoint;         /* open until resume_close */
    struct config config, files;          /* the run's, as it is stored, and where to read from */
    int64_t steps_before;                 /* train.steps when the checkpoint was saved; 0: a fresh start */
    const struct file_system *fs;         /* for what `files` names: small files of checkpoints are compared */
    struct config_pair *overrides;        /* those of `config`, where they are not the given ones */
    const struct checkpoint_ranks *ranks; /* NULL: one */
};

/* Finds what run.resume asks for (auto looks into run_folder/ckpt) and compares it with `given`, before anything of the
 * model's size is made: STATUS_USAGE names the key that differs, and model.path where its config.json is there and is
 * another one. Files and folders may have moved: their contents are compared, here or (data.train, data.tokenizer) in
 * saver_restore. What nobody set and followed from model.path when the run began (path_defaults.h) follows again; a
 * data.special that nobody set is the run's.
 *
 * Of several ranks (`ranks`, else NULL) rank 0 alone looks for the checkpoint, and the others open the one that it
 * found: all see run_folder. All call it, and get the same status. */
int resume_find(struct resume *resume, const struct file_system *fs, const struct config *given, const char *run_folder,
                const struct checkpoint_ranks *ranks, struct error *error);

/* For a failure of reading the checkpoint: where it is damaged the sentence says what to do. Returns `status`. */
int resume_damaged(int status, struct error *error);

/* Closes the checkpoint; `config` may still be used, until resume_finish, `files` and `fs` no more. Both accept a
 * zeroed struct.
 */
void resume_close(struct resume *resume);
void resume_finish(struct resume *resume);

#endif
