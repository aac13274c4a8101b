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
    tiny_ok(bench, stream_create(bench->device, LLMRUN_STREAM_COMPUTE, &bench->stream, &bench->error));
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

/* A host's clock that a test moves on, and a device that says what a test orders. */
static int64_t host_now, said_ns;
static int32_t elapsed_code, wait_code;

static int64_t ordered_now(const struct clock *clock)
{
    (void)clock;
    return host_now;
}

static int32_t ordered_wait(struct llmrun_event *event, int64_t timeout_ns, struct llmrun_error *error)
{
    (void)event, (void)timeout_ns, (void)error;
    return wait_code;
}

static int32_t ordered_elapsed(struct llmrun_event *start, struct llmrun_event *end, int64_t *ns,
                               struct llmrun_error *error)
{
    (void)start, (void)end, (void)error;
    *ns = said_ns;
    return elapsed_code;
}

static void order(int64_t ns, int32_t elapsed, int32_t wait)
{
    said_ns = ns;
    elapsed_code = elapsed;
    wait_code = wait;
}

/* What the clock says of a step during which the host's went on by so much. */
static int64_t step_lasting(struct bench *bench, int64_t ns)
{
    host_now += ns;
    tiny_ok(bench, step_clock_end(&bench->clock, &bench->error));
    return step_clock_read(&bench->clock);
}

/* By hand: between the marks around a step the host's clock went on by 150 ms. With a part in a hundred and 1 ms for
 * two clocks that differ, the device may say up to 152.5 ms. */
static void a_time_longer_than_the_host_saw_is_not_believed(void **state)
{
    static const struct {
        int64_t ns;
        int32_t elapsed, wait;
        bool believed;
    } cases[] = {{0, LLMRUN_OK, LLMRUN_OK, true},
                 {1, LLMRUN_OK, LLMRUN_OK, true},
                 {152500000, LLMRUN_OK, LLMRUN_OK, true},
                 {152500001, LLMRUN_OK, LLMRUN_OK, false},
                 {3600 * 1000 * MS, LLMRUN_OK, LLMRUN_OK, false},
                 {INT64_MAX, LLMRUN_OK, LLMRUN_OK, false},
                 {-1, LLMRUN_OK, LLMRUN_OK, false},
                 {120 * MS, LLMRUN_ERROR_DEVICE, LLMRUN_OK, false},
                 {120 * MS, LLMRUN_OK, LLMRUN_ERROR_DEVICE, false}};
    const struct clock host = {ordered_now, NULL};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct backend *real;
        struct backend lying;
        struct bench bench;

        host_now = 7000000 * MS;
        open_bench(&bench, &host);
        real = bench.device->backend;
        lying = *real;
        lying.device.event_wait = ordered_wait;
        lying.device.event_elapsed = ordered_elapsed;
        bench.device->backend = &lying;
        order(90 * MS, LLMRUN_OK, LLMRUN_OK); /* the first step behind a start lasts as long as the host says */
        assert_int_equal(step_lasting(&bench, 100 * MS), 100 * MS);
        order(cases[i].ns, cases[i].elapsed, cases[i].wait);
        assert_int_equal(step_lasting(&bench, 150 * MS), cases[i].believed ? cases[i].ns : 150 * MS);
        assert_int_equal(warnings, cases[i].believed ? 0 : 1);
        order(33 * MS, LLMRUN_OK, LLMRUN_OK); /* who lied once is not believed again */
        assert_int_equal(step_lasting(&bench, 40 * MS), cases[i].believed ? 33 * MS : 40 * MS);
        assert_int_equal(warnings, cases[i].believed ? 0 : 1);
        bench.device->backend = real;
        close_bench(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_lasts_from_the_end_of_the_one_before_it),
        cmocka_unit_test(steps_that_are_read_late_have_their_own_times),
        cmocka_unit_test(what_lies_between_a_step_and_a_start_is_not_counted),
        cmocka_unit_test(a_device_that_the_host_contradicts_is_said_once_and_not_believed),
        cmocka_unit_test(a_time_longer_than_the_host_saw_is_not_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
