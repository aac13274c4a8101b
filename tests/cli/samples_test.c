/* Which samples of a measurement count, and what comes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "bench/samples.h"

#define LIMIT 0.05

static void samples_that_waited_too_long_are_left_out_of_the_median(void **state)
{
    struct sample samples[] = {{900, 300, 0}, {100, 5, 1}, {102, 0, 2}, {98, 4, 3}, {500, 26, 0}};
    struct samples_summary summary = samples_summarise(samples, 5, LIMIT, 1);

    (void)state;
    assert_int_equal(summary.kept, 3);
    assert_int_equal(summary.rejected, 2);
    assert_int_equal(summary.median_ns, 100);
    assert_int_equal(summary.least_ns, 98);
    assert_int_equal(summary.most_ns, 102);
    assert_int_equal(summary.faults, 1);
    assert_true(summary.waited == 5.0 / 100);
}

static void an_even_number_of_samples_has_its_median_between_two(void **state)
{
    struct sample samples[] = {{10, 0, 0}, {40, 0, 0}, {30, 0, 0}, {20, 0, 0}};

    (void)state;
    assert_int_equal(samples_summarise(samples, 4, LIMIT, 1).median_ns, 25);
}

static void where_too_few_are_clean_the_least_disturbed_ones_are_kept(void **state)
{
    struct sample samples[] = {{100, 90, 0}, {110, 11, 0}, {120, 60, 0}, {130, 26, 0}};
    struct samples_summary summary = samples_summarise(samples, 4, LIMIT, 3);

    (void)state;
    assert_int_equal(summary.kept, 3);
    assert_int_equal(summary.rejected, 1);
    assert_int_equal(summary.median_ns, 120); /* of 110, 120 and 130 */
    assert_true(summary.waited == 0.5);
}

static void fewer_samples_than_are_wanted_are_all_kept(void **state)
{
    struct sample samples[] = {{100, 90, 0}};

    (void)state;
    assert_int_equal(samples_summarise(samples, 1, LIMIT, 3).kept, 1);
}

static void a_stopwatch_tells_the_time_between_start_and_stop(void **state)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    struct stopwatch stopwatch;
    struct sample sample;

    (void)state;
    stopwatch_start(&stopwatch);
    nanosleep(&pause, NULL);
    sample = stopwatch_stop(&stopwatch);
    assert_true(sample.wall_ns >= 20000000 && sample.wall_ns < 20000000000);
    assert_true(sample.waited_ns >= 0 && sample.faults >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_that_waited_too_long_are_left_out_of_the_median),
        cmocka_unit_test(an_even_number_of_samples_has_its_median_between_two),
        cmocka_unit_test(where_too_few_are_clean_the_least_disturbed_ones_are_kept),
        cmocka_unit_test(fewer_samples_than_are_wanted_are_all_kept),
        cmocka_unit_test(a_stopwatch_tells_the_time_between_start_and_stop),
    };

    return cmocka_run_group_tests_name("samples", tests, NULL, NULL);
}
