/* Training from a config: the run folder, the data, the loop. `llmrun train` is this and a progress line. */
#ifndef LLMRUN_TRAIN_TRAINER_H
#define LLMRUN_TRAIN_TRAINER_H

#include "base/clock.h"
#include "base/file.h"
#include "config/config.h"
#include "dist/ranks.h"
#include "engine/engine.h"
#include "train/metrics.h"

struct trainer;

/* What a front end hears. Any entry may be NULL. Called from the thread that runs the trainer. */
struct trainer_observer {
    void *context;
    void (*started)(void *context, const struct trainer *trainer);
    void (*step)(void *context, const struct trainer *trainer, const struct step_metrics *step);
    void (*evaluated)(void *context, const struct trainer *trainer, int64_t step, double loss, double perplexity);
    void (*saved)(void *context, const struct trainer *trainer, int64_t step);
    /* The run has done what it should: the status that it ends with, as metrics.jsonl says it too. */
    int (*ended)(void *context, struct error *error);
};

struct trainer_options {
    const struct config *config; /* borrowed for the life of the trainer */
    const char *builtin;         /* text of data.train: builtin; documents between bytes 0 */
    int64_t builtin_bytes;
    const struct file_system *fs;
    const struct clock *clock;
    struct trainer_observer observer;
    struct ranks *ranks; /* of the job, borrowed; NULL: this process is alone */
};

/* Reads the data, opens the device, makes or resumes the run folder. In a job of several ranks all of them call it, and
 * what follows; rank 0 alone locks and writes the run folder, and decides what the run starts from and when it stops.
 */
int trainer_create(const struct trainer_options *options, struct trainer **trainer, struct error *error);
void trainer_destroy(struct trainer *trainer); /* NULL is accepted */

/* Trains up to train.steps. STATUS_STOPPED when a signal asked to stop, or train.time_limit is near, and a checkpoint
 * was saved; STATUS_STORAGE when the newest checkpoint could not be saved; STATUS_NONFINITE when a loss or gradient was
 * not finite: the weights are those before that step. */
int trainer_run(struct trainer *trainer, struct error *error);

/* For messages. */
const struct engine *trainer_engine(const struct trainer *trainer);
const char *trainer_folder(const struct trainer *trainer);
int64_t trainer_first_step(const struct trainer *trainer); /* steps done before this start */
int64_t trainer_steps(const struct trainer *trainer);
int64_t trainer_train_tokens(const struct trainer *trainer); /* in the training set */
int64_t trainer_valid_tokens(const struct trainer *trainer);

#endif
