/* Schedules against those of PyTorch 2.15 (torch.optim.lr_scheduler), whose values stand here: LinearLR(0.1, 1, 9) for
 * the warm-up of 10 steps, CosineAnnealingLR(T_max=90, eta_min=6e-5), LinearLR(1, 0.1, 90), and LinearLR(1, 0.1, 20)
 * for the end of wsd. PyTorch counts from 0, so its value k after the warm-up is that of step 10 + k. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "train/learning_rate.h"

static struct learning_rate schedule(enum learning_rate_decay decay)
{
    return (struct learning_rate){.decay = decay, .peak = 6e-4, .final = 6e-5, .warmup = 10, .steps = 100};
}

static void assert_rate(const struct learning_rate *given, int64_t step, double wanted)
{
    double rate = learning_rate_at(given, step);

    if (rate < wanted - 1e-15 || rate > wanted + 1e-15)
        fail_msg("step %lld: %.17g, wanted %.17g", (long long)step, rate, wanted);
}

static void warm_up_rises_in_equal_steps_to_the_peak(void **state)
{
    (void)state;
    for (int decay = DECAY_COSINE; decay <= DECAY_WSD; decay++) {
        struct learning_rate given = schedule((enum learning_rate_decay)decay);

        assert_rate(&given, 1, 6e-5);
        assert_rate(&given, 5, 3e-4);
        assert_rate(&given, 10, 6e-4);
    }
}

static void cosine_is_that_of_pytorch(void **state)
{
    struct learning_rate given = schedule(DECAY_COSINE);

    (void)state;
    assert_rate(&given, 11, 0.00059983552329515586);
    assert_rate(&given, 25, 0.00056382685902179859);
    assert_rate(&given, 55, 0.00033000000000000005);
    assert_rate(&given, 90, 7.6282992387804798e-05);
    assert_rate(&given, 100, 6e-5);
}

static void linear_is_that_of_pytorch(void **state)
{
    struct learning_rate given = schedule(DECAY_LINEAR);

    (void)state;
    assert_rate(&given, 11, 0.00059399999999999991);
    assert_rate(&given, 25, 0.00051);
    assert_rate(&given, 55, 0.00033);
    assert_rate(&given, 90, 0.00012);
    assert_rate(&given, 100, 6e-5);
}

static void wsd_is_constant_and_then_linear_over_its_last_steps(void **state)
{
    struct learning_rate given = schedule(DECAY_WSD);

    (void)state;
    given.decay_steps = 20;
    assert_rate(&given, 11, 6e-4);
    assert_rate(&given, 80, 6e-4);
    assert_rate(&given, 81, 0.00057299999999999994);
    assert_rate(&given, 90, 0.00033);
    assert_rate(&given, 100, 6e-5);
}

static void wsd_decays_over_a_tenth_when_no_length_is_given(void **state)
{
    struct learning_rate given = schedule(DECAY_WSD);

    (void)state;
    assert_rate(&given, 90, 6e-4);
    assert_rate(&given, 95, 0.00033);
    assert_rate(&given, 100, 6e-5);
}

/* By hand; a tenth of 101 and of 109 steps is 11 steps, rounded up. */
static void the_shortest_decay_and_an_odd_tenth(void **state)
{
    struct learning_rate given = schedule(DECAY_WSD);

    (void)state;
    given.decay_steps = 1;
    assert_rate(&given, 99, 6e-4);
    assert_rate(&given, 100, 6e-5);
    given.decay_steps = 0;
    for (given.steps = 101; given.steps <= 109; given.steps += 8) {
        assert_rate(&given, given.steps - 11, 6e-4);
        assert_rate(&given, given.steps - 10, 6e-4 - 5.4e-4 / 11);
        assert_rate(&given, given.steps, 6e-5);
    }
    given.decay_steps = 1;
    given.warmup = 0;
    for (given.decay = DECAY_COSINE; given.decay <= DECAY_LINEAR; given.decay++) {
        assert_rate(&given, 1, 6e-5);
        assert_rate(&given, 2, 6e-5);
    }
}

static void constant_stays_at_the_peak(void **state)
{
    struct learning_rate given = schedule(DECAY_CONSTANT);

    (void)state;
    assert_rate(&given, 11, 6e-4);
    assert_rate(&given, 100, 6e-4);
}

static void a_decay_that_ends_early_stays_at_its_end(void **state)
{
    (void)state;
    for (int decay = DECAY_COSINE; decay <= DECAY_LINEAR; decay++) {
        struct learning_rate given = schedule((enum learning_rate_decay)decay);

        given.decay_steps = 50;
        assert_rate(&given, 30, 3.3e-4); /* half of the way from step 10 to step 50 */
        assert_rate(&given, 50, 6e-5);
        assert_rate(&given, 100, 6e-5);
    }
}

static void without_warm_up_the_decay_begins_with_the_first_step(void **state)
{
    struct learning_rate given = schedule(DECAY_LINEAR);

    (void)state;
    given.warmup = 0;
    assert_rate(&given, 1, 6e-4 - 5.4e-6);
    assert_rate(&given, 50, 3.3e-4);
}

static void a_warm_up_as_long_as_the_run_has_no_decay(void **state)
{
    struct learning_rate given = schedule(DECAY_COSINE);

    (void)state;
    given.warmup = 100;
    assert_rate(&given, 50, 3e-4);
    assert_rate(&given, 100, 6e-4);
    assert_rate(&given, 101, 6e-5); /* the run was made longer */
}

static void the_schedule_is_that_of_the_config(void **state)
{
    const struct config_flag flags[] = {{"optim.decay", "wsd"}, {"optim.lr", "0.5"},        {"optim.min_lr", "0.25"},
                                        {"optim.warmup", "3"},  {"optim.decay_steps", "4"}, {"train.steps", "50"}};
    const struct config_inputs inputs = {.flags = flags, .flag_count = sizeof flags / sizeof flags[0]};
    struct config config;
    struct learning_rate schedule;
    struct error error = {0};

    (void)state;
    assert_int_equal(config_load(&config, &inputs, &error), STATUS_OK);
    learning_rate_of_config(&config, &schedule);
    assert_int_equal(schedule.decay, DECAY_WSD);
    assert_true(schedule.peak == 0.5 && schedule.final == 0.25);
    assert_int_equal(schedule.warmup, 3);
    assert_int_equal(schedule.steps, 50);
    assert_int_equal(schedule.decay_steps, 4);
    config_finish(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warm_up_rises_in_equal_steps_to_the_peak),
        cmocka_unit_test(cosine_is_that_of_pytorch),
        cmocka_unit_test(linear_is_that_of_pytorch),
        cmocka_unit_test(wsd_is_constant_and_then_linear_over_its_last_steps),
        cmocka_unit_test(wsd_decays_over_a_tenth_when_no_length_is_given),
        cmocka_unit_test(the_shortest_decay_and_an_odd_tenth),
        cmocka_unit_test(constant_stays_at_the_peak),
        cmocka_unit_test(a_decay_that_ends_early_stays_at_its_end),
        cmocka_unit_test(without_warm_up_the_decay_begins_with_the_first_step),
        cmocka_unit_test(a_warm_up_as_long_as_the_run_has_no_decay),
        cmocka_unit_test(the_schedule_is_that_of_the_config),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
