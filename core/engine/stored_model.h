/* A model that was saved: opened again for evaluation or generation. */
#ifndef LLMRUN_ENGINE_STORED_MODEL_H
#define LLMRUN_ENGINE_STORED_MODEL_H

#include "checkpoint/checkpoint.h"
#include "config/config.h"
#include "engine/engine.h"
#include "engine/pretrained.h"
#include "tokenizer/tokenizer.h"

#define STORED_CONFIG_NAME "config.resolved.yaml" /* in a run folder and in each checkpoint */

struct stored_model_options {
    const char *path; /* a run folder (its newest complete checkpoint), a checkpoint or a Hugging Face directory */
    /* Keys that win over the stored config, or over the defaults. Of a tokenizer that is set here the model's own is
     * not looked at. */
    const struct config_flag *flags;
    int64_t flag_count;
    char *const *environment;
    enum config_command command; /* whose keys the environment may set */
};

struct stored_model {
    struct config config; /* as stored, with the flags */
    struct tokenizer *tokenizer;
    struct model_config extents;
    struct engine engine; /* once loaded */
    char folder[4096];    /* the checkpoint or Hugging Face directory */
    int64_t step;         /* 0 for a Hugging Face directory */
    int32_t *stops; /* once loaded to generate: tokens that end a text, the tokenizer's and those that came with it */
    int64_t stop_count;

    /* Until it is loaded: where the weights are. */
    const struct file_system *files; /* that it is read through */
    bool is_directory;               /* of Hugging Face: then `pretrained`, else `checkpoint` */
    struct checkpoint checkpoint;
    struct pretrained pretrained;
    int64_t vocabulary; /* as in request_model */
};

/* The config that a checkpoint was made with, under the flags and the environment of `above` (NULL: none). */
int stored_model_read_config(const struct checkpoint *checkpoint, const struct config_inputs *above,
                             struct config *config, struct error *error);

/* The config of a checkpoint under the flags and environment of `above` (NULL: none), with model.path, and
 * data.tokenizer where that is the same, naming the checkpoint itself where it holds a config.json. The caller frees it
 * with config_finish. */
int stored_model_config(const struct checkpoint *checkpoint, const struct config_inputs *above, struct config *config,
                        struct error *error);

/* What data.tokenizer has to name to read the texts of a checkpoint: files in it, or "bytes"; NULL where it says
 * nothing of a tokenizer. */
const char *stored_model_tokenizer(const struct checkpoint *checkpoint, const struct config *config);

/* Everything but the weights: what is to be computed may depend on the texts that the tokenizer reads. STATUS_INPUT
 * when there is no model or it is damaged; STATUS_USAGE when no tokenizer is known. */
int stored_model_open(struct stored_model *model, const struct file_system *fs,
                      const struct stored_model_options *options, struct error *error);

/* Opens the engine for `work` and reads the weights; once. */
int stored_model_load(struct stored_model *model, const struct request_work *work, struct error *error);
void stored_model_close(struct stored_model *model);

#endif
