/* The inside of a trainer, shared by setup (trainer.c) and loop (loop.c). */
#ifndef LLMRUN_TRAIN_RUN_H
#define LLMRUN_TRAIN_RUN_H

#include "checkpoint/run_lock.h"
#include "checkpointing/channel.h"
#include "checkpointing/resume.h"
#include "checkpointing/saver.h"
#include "data/corpus.h"
#include "engine/pretrained.h"
#include "train/learning_rate.h"
#include "train/step_clock.h"
#include "train/time_limit.h"
#include "train/trainer.h"

/* One submitted step until its results are there. */
struct pending_step {
    int64_t step;
    int64_t trained_tokens; /* of the step: those that the loss is about */
    double learning_rate;
};

struct trainer {
    struct trainer_options options;
    const struct config *config; /* that of `resume` */
    struct resume resume;        /* its checkpoint is open until the first weights are there */
    struct checkpoint_channel channel;
    struct tokenizer *tokenizer;
    struct token_set train_set, valid_set;
    struct sampler train_sampler, valid_sampler;
    bool has_valid;
    struct engine engine;
    struct pretrained pretrained; /* open until the first weights are there */
    uint64_t weights_hash;        /* of what they are read from; 0: they are made */
    struct saver saver;
    struct train_state state;
    struct metrics metrics;
    struct run_lock lock;
    struct learning_rate schedule;
    char folder[4096];
    int64_t first_step;
    int64_t bytes_read; /* of the checkpoint's tensors, by this rank */
    double step_flops;  /* of a whole step, recompute not counted */
    struct pending_step pending[2];
    int64_t created_ns; /* when the trainer was made */
    struct step_clock step_clock;
    struct time_limit limit;
    int64_t save_started_ns;
    int64_t save_blocked_ns; /* that training stood still for the newest save */
    struct error save_error; /* of the newest save; status 0: it did not fail */
    bool save_done;          /* rank 0 has seen the end of the save under way */
    bool broken;             /* a step's numbers are not finite */
    const char *stop_reason; /* of the `stop` event where a run was asked to stop */
    /* What is said once: a step had nothing to learn from, an evaluation nothing to predict. */
    bool said_no_targets, said_no_valid_targets;
};

static inline int64_t now_ns(const struct trainer *trainer)
{
    return trainer->options.clock->monotonic_ns(trainer->options.clock);
}

int loop_run(struct trainer *trainer, struct error *error);

#endif
