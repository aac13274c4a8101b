/* What a learning-rate schedule does that its owner may not have meant, said in the log when a run starts. */
#ifndef LLMRUN_TRAIN_SCHEDULE_NOTES_H
#define LLMRUN_TRAIN_SCHEDULE_NOTES_H

#include "train/learning_rate.h"

/* Before step `done` + 1. `name` is that of the decay in the config. `steps_before`: the train.steps that the
 * checkpoint was saved under from which the run goes on; 0 for a new run. Says at most once each: a warm-up that never
 * reaches the peak, steps at rate 0, a decay that ends elsewhere than it did before. */
void schedule_notes(const struct learning_rate *schedule, const char *name, int64_t done, int64_t steps_before);

#endif
