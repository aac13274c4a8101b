/* Checkpoints of a run: what goes in, when it is written, and how a run starts again from one. */
#ifndef LLMRUN_CHECKPOINTING_SAVER_H
#define LLMRUN_CHECKPOINTING_SAVER_H

#include "checkpoint/save.h"
#include "checkpointing/resume.h"
#include "config/config.h"
#include "engine/engine.h"
#include "engine/model_files.h"
#include "engine/state_dict.h"
#include "tokenizer/tokenizer.h"

#define SAVER_FOLDER "ckpt" /* of a run's folder */

/* Where a run stands; everything else follows from the config. */
struct train_state {
    int64_t step;   /* steps done */
    int64_t tokens; /* valid tokens seen */
    uint64_t data_hash, tokenizer_hash;
    char run_id[64];
};

struct saver {
    const struct file_system *fs;
    const struct checkpoint_ranks *ranks; /* NULL: one */
    struct engine *engine;
    struct state_dict list;
    char folder[4096];        /* RUN_DIR/ckpt */
    char *config_text;        /* the resolved config, stored with each checkpoint */
    struct model_files model; /* and these */
    void *snapshot;           /* list.bytes: what this rank has */
    const void **data;
    struct checkpoint_blob files[1 + MODEL_FILES]; /* the config, and the model's files */
    struct checkpoint_state described;
    struct checkpoint_async *async; /* NULL: saving blocks; while it works it reads all of the above */
    const char *new_run;            /* how to begin one, for sentences */
    int64_t keep;
    int64_t branch;     /* checkpoint/branch.h */
    int64_t last_step;  /* of the newest save that was started and is not known to have failed, -1 before */
    int64_t unreported; /* step of a started save whose result nobody asked for yet, -1: none */
};

/* The small files of the model are read from where resume->files says. Of several ranks (resume->ranks; the mesh is
 * that of the engine's program) all call it, and get the same status. */
int saver_create(struct saver *saver, const struct file_system *fs, const char *run_folder, const struct resume *resume,
                 struct engine *engine, struct error *error);
void saver_destroy(struct saver *saver); /* accepts a zeroed struct */

/* Starts a save; its result comes from saver_wait, which must have given that of the save before. Nothing may be
 * pending on the executor. A snapshot with a number that is not finite is STATUS_NONFINITE and not saved. Blocks until
 * all is stored where saving is not async, else for the copy of the weights.
 *
 * All ranks call it for the same steps. What is wrong with the snapshot of one of them is then the result of all: that
 * of saver_wait where saving is async. */
int saver_save(struct saver *saver, const struct train_state *state, struct error *error);

/* Does not block. Ranks need not see the end of a save at the same time: who acts on it, agrees with the others first.
 */
bool saver_busy(const struct saver *saver);

/* Waits for the started save and gives its result, once. *step (may be NULL) is its step, -1 when there was none. */
int saver_wait(struct saver *saver, int64_t *step, struct error *error);

/* Loads weights, optimizer state and *state from the checkpoint that resume_find opened, after comparing its data and
 * tokenizer with this run's: STATUS_USAGE names what differs. state->data_hash and tokenizer_hash hold this run's on
 * entry. All ranks call it; each reads what it has, says with log.level debug how much that was, and all get the same
 * status. */
int saver_restore(struct saver *saver, struct checkpoint *checkpoint, struct train_state *state, struct error *error);

#endif
