/* Checkpoints of a run: what goes in, when it is written, and how a run starts again from one. */
#ifndef LLMRUN_TRAIN_SAVER_H
#define LLMRUN_TRAIN_SAVER_H

#include "checkpoint/save.h"
#include "config/config.h"
#include "data/tokenizer.h"
#include "train/engine.h"
#include "train/weights.h"

#define SAVER_CONFIG_NAME "config.resolved.yaml"

/* Where a run stands; everything else follows from the config. */
struct train_state {
    int64_t step;   /* steps done */
    int64_t tokens; /* valid tokens seen */
    uint64_t data_hash, tokenizer_hash;
    char run_id[64];
};

struct saver {
    const struct file_system *fs;
    struct engine *engine;
    struct weight_list list;
    char folder[4096]; /* RUN_DIR/ckpt */
    char *config_text; /* the resolved config, stored with each checkpoint */
    int64_t config_bytes;
    char *tokenizer_files[2]; /* vocab.json, merges.txt of a BPE tokenizer; NULL otherwise */
    int64_t tokenizer_bytes[2];
    void *snapshot; /* list.bytes, made at the first save */
    const void **data;
    struct checkpoint_async *async; /* NULL: saving blocks */
    int64_t keep;
    int64_t last_step; /* of the newest save that was started, -1 before */
};

int saver_create(struct saver *saver, const struct file_system *fs, const char *run_folder, const struct config *config,
                 struct engine *engine, struct error *error);
void saver_destroy(struct saver *saver); /* accepts a zeroed struct */

/* Nothing may be pending on the executor. A snapshot with a number that is not finite is not saved. With async saving the result of
 * the save before is returned here or by saver_wait. */
int saver_save(struct saver *saver, const struct train_state *state, struct error *error);
int saver_wait(struct saver *saver, struct error *error);

/* Loads weights, optimizer state and *state from an opened checkpoint, after comparing its config, data and tokenizer with this
 * run's: STATUS_USAGE names what differs. state->data_hash and tokenizer_hash hold this run's on entry. */
int saver_restore(struct saver *saver, struct checkpoint *checkpoint, const struct config *config, struct train_state *state,
                  struct error *error);

/* The config that a checkpoint was made with. */
int saver_read_config(struct checkpoint *checkpoint, struct config *config, struct error *error);

#endif
