/* Times of steps, with sleeps for steps on a real stream: an event there is reached as soon as it is recorded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/log.h"
#include "tiny.h"
#include "train/step_clock.h"

#define MS INT64_C(1000000)

struct bench {
    struct device *device;
    struct stream stream;
    struct step_clock clock;
    struct error error;
};

static int warnings;

static void count_warning(void *context, enum log_level level, const char *line)
{
    (void)context;
    warnings += level == LOG_WARNING && strstr(line, "the device's clock") != NULL;
}

static void open_bench(struct bench *bench, const struct clock *host)
{
    warnings = 0;
    log_set_sink(count_warning, NULL);
    bench->device = tiny_device("cpu", NULL, NULL);
    tiny_ok(bench, stream_create(bench->device, LLMRUN_LANE_COMPUTE, &bench->stream, &bench->error));
    tiny_ok(bench, step_clock_open(&bench->clock, &bench->stream, host, &bench->error));
    tiny_ok(bench, step_clock_start(&bench->clock, &bench->error));
}

static void close_bench(struct bench *bench)
{
    step_clock_close(&bench->clock);
    stream_destroy(&bench->stream);
    device_close(bench->device);
    log_set_sink(NULL, NULL);
}

/* On a busy machine a sleep is longer than it was told, and the stream reaches an event late: bounds are wide. */
static void step_of(struct bench *bench, int milliseconds)
{
    const struct timespec span = {0, milliseconds * MS};

    nanosleep(&span, NULL);
    tiny_ok(bench, step_clock_end(&bench->clock, &bench->error));
}

static void assert_about(int64_t ns, int64_t milliseconds)
{
    if (ns < milliseconds * MS / 2 || ns > (milliseconds + 400) * MS)
        fail_msg("%lld ns for a step of %lld ms", (long long)ns, (long long)milliseconds);
}

static void a_step_lasts_from_the_end_of_the_one_before_it(void **state)
{
    struct bench bench;

    (void)state;
    open_bench(&bench, &clock_system);
    for (int i = 0; i < 6; i++) {
        step_of(&bench, 20);
        assert_about(step_clock_read(&bench.clock), 20);
    }
    assert_int_equal(warnings, 0);
    close_bench(&bench);
}

static void steps_that_are_read_late_have_their_own_times(void **state)
{
    struct bench bench;
    int64_t first, second;

    (void)state;
    open_bench(&bench, &clock_system);
    step_of(&bench, 1);
    (void)step_clock_read(&bench.clock);
    step_of(&bench, 20);
    step_of(&bench, 120);
    first = step_clock_read(&bench.clock);
    second = step_clock_read(&bench.clock);
    assert_about(first, 20);
    assert_about(second, 120);
    assert_true(second > first && first + second > 120 * MS);
    close_bench(&bench);
}

static void what_lies_between_a_step_and_a_start_is_not_counted(void **state)
{
    const struct timespec evaluation = {0, 150 * MS};
    struct bench bench;
    int64_t ns;

    (void)state;
    open_bench(&bench, &clock_system);
    step_of(&bench, 5);
    (void)step_clock_read(&bench.clock);
    nanosleep(&evaluation, NULL);
    tiny_ok(&bench, step_clock_start(&bench.clock, &bench.error));
    step_of(&bench, 5);
    ns = step_clock_read(&bench.clock);
    assert_true(ns >= 2 * MS && ns < 145 * MS);
    close_bench(&bench);
}

/* One that ticks 1 us at each look: by it no step can have lasted 20 ms. */
static int64_t tick(const struct clock *clock)
{
    static int64_t now = 1000;

    (void)clock;
    return now += 1000;
}

static void a_device_that_the_host_contradicts_is_said_once_and_not_believed(void **state)
{
    const struct clock slow = {tick, NULL};
    struct bench bench;

    (void)state;
    open_bench(&bench, &slow);
    for (int i = 0; i < 4; i++) {
        step_of(&bench, 20);
        assert_true(step_clock_read(&bench.clock) < MS);
    }
    assert_int_equal(warnings, 1);
    close_bench(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_lasts_from_the_end_of_the_one_before_it),
        cmocka_unit_test(steps_that_are_read_late_have_their_own_times),
        cmocka_unit_test(what_lies_between_a_step_and_a_start_is_not_counted),
        cmocka_unit_test(a_device_that_the_host_contradicts_is_said_once_and_not_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
