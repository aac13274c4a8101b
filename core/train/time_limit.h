/* train.time_limit: a run that ends by itself early enough to save. */
#ifndef LLMRUN_TRAIN_TIME_LIMIT_H
#define LLMRUN_TRAIN_TIME_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct time_limit {
    int64_t end_ns;          /* of the monotonic clock; INT64_MAX: no limit */
    int64_t last_ns;         /* when time_limit_reached was asked last, 0 before */
    int64_t longest_step_ns; /* between two of these questions: a step with what follows it, evaluation and blocking
                                saves */
    int64_t longest_save_ns; /* an estimate until `measured` */
    bool measured;
};

/* `seconds` after start_ns, 0: no limit. `bytes` of a checkpoint give the estimate of the first save, at 100 MB/s. */
void time_limit_start(struct time_limit *limit, int64_t start_ns, int64_t seconds, int64_t bytes);

/* A save took so long. */
void time_limit_saved(struct time_limit *limit, int64_t duration_ns);

/* Asked once a step, while two submitted steps are unfinished. True when one more step might leave too little time:
 * three steps (the two and one more) and a save, each as long as the longest so far. */
bool time_limit_reached(struct time_limit *limit, int64_t now_ns);

#endif
