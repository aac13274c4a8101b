/* What is said of a schedule when a run starts; steps and rates by hand from the formulas of learning_rate.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "train/schedule_notes.h"

static char said[4096];

static void hear(void *context, enum log_level level, const char *line)
{
    const size_t length = strlen(said);

    (void)context;
    snprintf(said + length, sizeof said - length, "%s%s\n", level == LOG_WARNING ? "warning: " : "", line);
}

static void says(struct learning_rate schedule, int64_t done, int64_t steps_before, const char *wanted)
{
    said[0] = '\0';
    log_set_sink(hear, NULL);
    schedule_notes(&schedule, "NAME", done, steps_before);
    log_set_sink(NULL, NULL);
    assert_string_equal(said, wanted);
}

static void a_warm_up_beyond_the_last_step_is_said(void **state)
{
    struct learning_rate schedule = {DECAY_CONSTANT, 1e-3, 0, 40, 4, 0};

    (void)state;
    says(schedule, 0, 0,
         "warning: optim.warmup is 40 and train.steps 4: the learning rate never reaches optim.lr 0.001, only 0.0001; "
         "set optim.warmup below train.steps\n");
    schedule.warmup = 5;
    says(schedule, 3, 0,
         "warning: optim.warmup is 5 and train.steps 4: the learning rate never reaches optim.lr 0.001, only 0.0008; "
         "set optim.warmup below train.steps\n");
    says(schedule, 4, 0, ""); /* nothing is left to do */
    schedule.warmup = 4;
    says(schedule, 0, 0, "");
}

static void steps_at_rate_0_are_said_from_the_first_that_is_done(void **state)
{
    static const char *const from[] = {
        [6] = "warning: the learning rate is 0 from step 6 to 8: these steps change no weight; optim.decay NAME ends "
              "there at optim.min_lr\n",
        [7] = "warning: the learning rate is 0 from step 7 to 8: these steps change no weight; optim.decay NAME ends "
              "there at optim.min_lr\n",
        [8] = "the learning rate of step 8, the last one, is 0: it changes no weight; optim.decay NAME ends there at "
              "optim.min_lr\n"};
    struct learning_rate schedule = {DECAY_LINEAR, 1e-3, 0, 2, 8, 6};

    (void)state;
    for (schedule.decay = DECAY_COSINE; schedule.decay <= DECAY_LINEAR; schedule.decay++) {
        schedule.decay_steps = 6;
        says(schedule, 0, 0, from[6]);
        says(schedule, 5, 0, from[6]);
        says(schedule, 6, 0, from[7]);
        says(schedule, 7, 0, from[8]);
        says(schedule, 8, 0, "");
        schedule.decay_steps = 7;
        says(schedule, 0, 0, from[7]);
        schedule.decay_steps = 8;
        says(schedule, 0, 0, from[8]);
        schedule.decay_steps = 0;
        says(schedule, 0, 0, from[8]);
        schedule.decay_steps = 9;
        says(schedule, 0, 0, "");
    }
    says((struct learning_rate){DECAY_LINEAR, 1e-3, 1e-9, 2, 8, 6}, 0, 0, "");
    says((struct learning_rate){DECAY_LINEAR, 0, 0, 2, 8, 6}, 0, 0, "");
    says((struct learning_rate){DECAY_CONSTANT, 1e-3, 0, 2, 8, 0}, 0, 0, "");
    says((struct learning_rate){DECAY_WSD, 1e-3, 0, 2, 8, 3}, 0, 0, from[8]);
}

static void a_decay_that_ends_at_another_step_than_before_is_said(void **state)
{
    static const char longer[] =
        "warning: train.steps was 4 when the checkpoint was saved and is 10 now: optim.decay NAME ends at another "
        "step, and the learning rate of step 5 is 0.00055 instead of 0.0001\n";
    struct learning_rate schedule = {DECAY_LINEAR, 1e-3, 1e-4, 0, 10, 0};

    (void)state;
    says(schedule, 4, 4, longer);
    says(schedule, 4, 0, ""); /* a new run */
    says(schedule, 4, 10, "");
    says(schedule, 10, 4, "");
    schedule.decay_steps = 4; /* does not depend on train.steps */
    says(schedule, 4, 4, "");
    schedule = (struct learning_rate){DECAY_CONSTANT, 1e-3, 1e-4, 0, 10, 0};
    says(schedule, 4, 4, "");
    /* Constant until 2 steps before the end, which were steps 3 and 4. */
    schedule = (struct learning_rate){DECAY_WSD, 1e-3, 1e-4, 0, 10, 2};
    says(schedule, 4, 4,
         "warning: train.steps was 4 when the checkpoint was saved and is 10 now: optim.decay NAME ends at another "
         "step, and the learning rate of step 5 is 0.001 instead of 0.0001\n");
    /* Step 5 still warms up, as it would have. */
    schedule = (struct learning_rate){DECAY_COSINE, 1e-3, 1e-4, 6, 10, 0};
    says(schedule, 4, 8,
         "warning: train.steps was 8 when the checkpoint was saved and is 10 now: optim.decay NAME ends at another "
         "step, and the learning rate of later steps is another one\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_warm_up_beyond_the_last_step_is_said),
        cmocka_unit_test(steps_at_rate_0_are_said_from_the_first_that_is_done),
        cmocka_unit_test(a_decay_that_ends_at_another_step_than_before_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
