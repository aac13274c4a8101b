/* A run whose clock is set by hand: steps of 100 ms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "train/time_limit.h"

#define MS INT64_C(1000000)

/* Asks every `step_ms` from start + step_ms on; the time of the first yes after the start, in ms. */
static int64_t stopped_after(struct time_limit *limit, int64_t start_ms, int64_t step_ms)
{
    for (int64_t now = step_ms; now <= 100000; now += step_ms)
        if (time_limit_reached(limit, (start_ms + now) * MS))
            return now;
    return -1;
}

static void a_run_stops_while_three_steps_and_a_save_still_fit(void **state)
{
    struct time_limit limit;

    (void)state;
    time_limit_start(&limit, 5000 * MS, 10, 0);
    time_limit_saved(&limit, 250 * MS);
    /* 10,000 - 3 x 100 - 250 = 9,450: at 9,400 there is time for one more. */
    assert_int_equal(stopped_after(&limit, 5000, 100), 9500);
}

static void the_longest_step_counts(void **state)
{
    struct time_limit limit;

    (void)state;
    time_limit_start(&limit, 0, 10, 0);
    assert_false(time_limit_reached(&limit, 100 * MS));
    assert_false(time_limit_reached(&limit, 1100 * MS)); /* a step of 1 s: it evaluated */
    for (int64_t now = 1200; now <= 7000; now += 100)
        assert_false(time_limit_reached(&limit, now * MS));
    assert_true(time_limit_reached(&limit, 7100 * MS)); /* less than three times 1 s is left */
}

static void the_longest_save_counts(void **state)
{
    struct time_limit limit;

    (void)state;
    time_limit_start(&limit, 0, 10, 0);
    time_limit_saved(&limit, 4000 * MS);
    time_limit_saved(&limit, 100 * MS);
    assert_int_equal(stopped_after(&limit, 0, 100), 5800);
}

static void before_the_first_save_its_time_is_estimated_from_its_size(void **state)
{
    struct time_limit limit;

    (void)state;
    time_limit_start(&limit, 0, 10, 500000000); /* 5 s at 100 MB/s */
    assert_int_equal(stopped_after(&limit, 0, 100), 4800);
    time_limit_start(&limit, 0, 10, 500000000);
    time_limit_saved(&limit, 0);
    assert_int_equal(stopped_after(&limit, 0, 100), 9800);
}

static void a_limit_of_a_second_is_one(void **state)
{
    struct time_limit limit;

    (void)state;
    time_limit_start(&limit, 5000 * MS, 1, 0);
    time_limit_saved(&limit, 0);
    /* 1,000 - 3 x 100 = 700 is the last moment at which there is time for one more. */
    assert_int_equal(stopped_after(&limit, 5000, 100), 800);
    time_limit_start(&limit, 7, 1, 0);
    assert_false(time_limit_reached(&limit, 1000000007));
    assert_true(time_limit_reached(&limit, 1000000008));
}

static void without_a_limit_nothing_stops(void **state)
{
    struct time_limit limit;

    (void)state;
    time_limit_start(&limit, 0, 0, INT64_C(1) << 40);
    assert_int_equal(stopped_after(&limit, INT64_C(9000000000), 100), -1);
}

static void a_limit_beyond_the_clock_is_none(void **state)
{
    struct time_limit limit;

    (void)state;
    time_limit_start(&limit, 1000 * MS, INT64_MAX, 0);
    assert_int_equal(stopped_after(&limit, 1000, 100), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_stops_while_three_steps_and_a_save_still_fit),
        cmocka_unit_test(the_longest_step_counts),
        cmocka_unit_test(the_longest_save_counts),
        cmocka_unit_test(before_the_first_save_its_time_is_estimated_from_its_size),
        cmocka_unit_test(a_limit_of_a_second_is_one),
        cmocka_unit_test(without_a_limit_nothing_stops),
        cmocka_unit_test(a_limit_beyond_the_clock_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
