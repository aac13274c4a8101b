/* Learning-rate schedules. */
#ifndef LLMRUN_TRAIN_LEARNING_RATE_H
#define LLMRUN_TRAIN_LEARNING_RATE_H

#include <stdint.h>

#include "config/config.h"

enum learning_rate_decay { DECAY_COSINE, DECAY_LINEAR, DECAY_CONSTANT, DECAY_WSD };

struct learning_rate {
    enum learning_rate_decay decay;
    double peak, final;
    int64_t warmup; /* steps of linear rise from peak/warmup to peak */
    int64_t steps;  /* of the whole run */
    int64_t
        decay_steps; /* step at which the decay ends, wsd: length of the last part; 0: steps (wsd: a tenth of them) */
};

/* For step 1, 2, ... :
 *   step <= warmup: peak step / warmup; otherwise with e the end of the decay and u = min(1, (step - warmup) / (e -
 * warmup)): cosine: final + (peak - final) (1 + cos(pi u)) / 2   (Loshchilov and Hutter 2017, one cycle) linear: peak +
 * (final - peak) u wsd: peak until steps - decay_steps, then linear to final (Hu et al. 2024, warmup-stable-decay) */
double learning_rate_at(const struct learning_rate *schedule, int64_t step);

void learning_rate_of_config(const struct config *config, struct learning_rate *schedule);

#endif
