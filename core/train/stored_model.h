/* A model that was saved: opened again for evaluation or generation. */
#ifndef LLMRUN_TRAIN_STORED_MODEL_H
#define LLMRUN_TRAIN_STORED_MODEL_H

#include "config/config.h"
#include "data/tokenizer.h"
#include "train/engine.h"

struct stored_model_options {
    const char *path;                /* a run folder (its newest complete checkpoint) or a checkpoint folder */
    const char *tokenizer;           /* used where the checkpoint holds none; NULL for none */
    const struct config_flag *flags; /* keys that win over the stored config: backend, threads, ... */
    int64_t flag_count;
    char *const *environment;
    unsigned uses; /* enum use */
};

struct stored_model {
    struct config config; /* as stored, with the flags */
    struct tokenizer *tokenizer;
    struct engine engine;
    char folder[4096]; /* the checkpoint */
    int64_t step;
};

/* STATUS_INPUT when there is no checkpoint or it is damaged; STATUS_USAGE when no tokenizer is known. */
int stored_model_open(struct stored_model *model, const struct file_system *fs,
                      const struct stored_model_options *options, struct error *error);
void stored_model_close(struct stored_model *model);

#endif
