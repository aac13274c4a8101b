/* Where the time of a step goes, by kind of op. */
#ifndef LLMRUN_BENCH_STEP_PROFILE_H
#define LLMRUN_BENCH_STEP_PROFILE_H

#include "runtime/executor.h"
#include "runtime/timeline.h"

#define PROFILE_LABEL_BYTES 96
#define PROFILE_STEPS       32 /* that are looked at */

struct profile_row {
    char label[PROFILE_LABEL_BYTES];
    int64_t launches;          /* of one step */
    double flops;              /* of one step; 0 where they are not counted */
    double bytes;              /* of one step: each operand once, those that are added to twice */
    int64_t ns[PROFILE_STEPS]; /* of each step, all its launches */
    double median_ns;          /* once finished */
};

/* Zero-initialise, but for `by_shape`. */
struct step_profile {
    bool by_shape; /* ops of different shapes have different rows */
    struct profile_row *rows;
    int64_t row_count, row_capacity;
    int64_t steps;
    struct executor *executor; /* that is watched */
    struct timeline timeline;  /* of its last step */
};

/* STATUS_USAGE for --shapes without --profile, which it is about. */
int step_profile_check(const struct step_profile *profile, bool profiled, struct error *error);

/* The steps of `executor` leave their times in `profile` until step_profile_finish, which comes before the executor's
 * end. */
void step_profile_watch(struct step_profile *profile, struct executor *executor);

/* Adds the step that was collected last; only the first PROFILE_STEPS count. */
int step_profile_add(struct step_profile *profile, struct error *error);

/* After the last step: medians, and the slowest row first. */
void step_profile_collect(struct step_profile *profile);

/* A table, or the members of a JSON array. */
void step_profile_print(const struct step_profile *profile);
void step_profile_print_json(const struct step_profile *profile);

void step_profile_finish(struct step_profile *profile);

#endif
