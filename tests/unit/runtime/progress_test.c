/* Marks behind the sections of a submission, and the time that each may take. */
#include "tiny.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hal/stream.h"
#include "runtime/device_compile.h"
#include "runtime/progress.h"

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fabs(b);
}

/* 2e9 operations a second for the host's processor and for who tells no peak; else a hundredth of the peak. */
static void the_slowest_rate_is_that_of_the_host_or_a_hundredth_of_the_peak(void **state)
{
    struct device device = {.info = {.domain = "host", .flops_f32 = 1e15}};

    (void)state;
    assert_true(near(6e9 / progress_flops_per_s(&device), 3));
    device.info.flops_f32 = 0;
    assert_true(near(6e9 / progress_flops_per_s(&device), 3));
    strcpy(device.info.domain, "gpu");
    assert_true(near(6e9 / progress_flops_per_s(&device), 3));
    device.info.flops_f32 = 1e15;
    assert_true(near(6e13 / progress_flops_per_s(&device), 6));
}

/* By hand: no matrix products, but each of GPT-2's numbers drawn at 2e7 a second and written at 1e9 bytes a second. In
 * a layer 2 x 32 of norms, 16 x 48 + 48 and 16 x 16 + 16 of attention, 2 x 16 x 64 + 64 + 16 of the MLP. */
static void initial_weights_get_time_for_their_numbers(void **state)
{
    const double numbers = 16 * (TINY_VOCABULARY + TINY_SEQUENCE) + 2 * (64 + 816 + 272 + 2128) + 32;
    const double seconds = numbers / 2e7 + numbers * 4 / 1e9;
    struct device *device = tiny_device("cpu", NULL, NULL);
    const struct compile_request request = tiny_request();
    struct compiled compiled;
    struct error error = {0};
    double given;

    (void)state;
    tiny_ok_(device_compile(device, &request, &compiled, &error), &error);
    given = progress_seconds(device, &compiled.program, program_section(&compiled.program, SECTION_INIT));
    assert_true(given >= seconds && given < 1.5 * seconds); /* what else the section touches counts too */
    for (int64_t s = 0; s < compiled.program.section_count; s++)
        assert_int_equal(progress_seconds(device, &compiled.program, &compiled.program.sections[s]) > 0,
                         compiled.program.sections[s].op_count > 0);
    compiled_finish(&compiled);
    device_close(device);
}

struct marked {
    int64_t expected; /* launches that are announced */
    int launches;     /* that come */
    int marks;        /* wanted */
    int every;
};

static void marks_are_evenly_behind_the_launches_and_never_more_than_there_are(void **state)
{
    /* By hand: at most 32 marks, so from 32 launches on each second one has a mark, from 64 on each third. */
    static const struct marked cases[] = {{1, 1, 1, 1},    {31, 31, 31, 1}, {32, 32, 16, 2}, {63, 63, 31, 2},
                                          {64, 64, 21, 3}, {5, 40, 32, 1},  {5, 3, 3, 1}};
    struct device *device = tiny_device("cpu", NULL, NULL);
    struct progress progress;
    struct stream stream = {0};
    struct event done = {0};
    struct error error = {0};

    (void)state;
    tiny_ok_(stream_create(device, LLMRUN_STREAM_COMPUTE, &stream, &error), &error);
    tiny_ok_(event_create(device, &done, &error), &error);
    tiny_ok_(progress_create(device, &progress, &error), &error);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int every = cases[i].every;
        int unmarked;

        progress_begin(&progress, cases[i].expected, 7);
        for (int n = 0; n < cases[i].launches; n++)
            tiny_ok_(
                progress_mark(&progress, &stream, n % 2 == 0 ? SECTION_FORWARD : SECTION_BACKWARD, n, 1, n + 1, &error),
                &error);
        assert_int_equal(progress.count, cases[i].marks);
        for (int mark = 0; mark < progress.count; mark++) {
            const int last = (mark + 1) * every - 1; /* the launch before it */
            double seconds = 0;

            for (int n = last - every + 1; n <= last; n++)
                seconds += n + 1;
            assert_int_equal(progress.marks[mark].microbatch, last);
            assert_string_equal(progress.marks[mark].section, last % 2 == 0 ? "forward" : "backward");
            assert_true(near(progress.marks[mark].seconds, seconds));
        }
        unmarked = 0;
        for (int n = progress.count * every; n < cases[i].launches; n++)
            unmarked += n + 1;
        assert_true(unmarked == 0 ? progress.unmarked == 0 : near(progress.unmarked, unmarked));
        tiny_ok_(stream_record(&stream, &done, &error), &error);
        tiny_ok_(progress_await(&progress, &done, &error), &error);
    }
    progress_destroy(&progress);
    event_destroy(&done);
    stream_destroy(&stream);
    device_close(device);
}

static int32_t wait_code;

static int32_t ordered_wait(struct llmrun_event *event, int64_t timeout_ns, struct llmrun_error *error)
{
    (void)event, (void)timeout_ns;
    snprintf(error->message, sizeof error->message, "as ordered");
    return wait_code;
}

/* A device whose events all fail with `code`, and one submission of `step`, 0 for none, with a forward section of
 * `seconds` for `microbatch` in it; `marked` says whether a mark stands behind that. */
static void fail_submission(int32_t code, int64_t step, int32_t microbatch, double seconds, bool marked,
                            const char *wanted)
{
    struct device *device = tiny_device("cpu", NULL, NULL);
    const struct backend *real = device->backend;
    struct backend failing = *real;
    struct progress progress;
    struct stream stream = {0};
    struct event done = {0};
    struct error error = {0};

    tiny_ok_(stream_create(device, LLMRUN_STREAM_COMPUTE, &stream, &error), &error);
    tiny_ok_(event_create(device, &done, &error), &error);
    tiny_ok_(progress_create(device, &progress, &error), &error);
    progress_begin(&progress, marked ? 1 : 100, step);
    tiny_ok_(progress_mark(&progress, &stream, SECTION_FORWARD, microbatch, 1, seconds, &error), &error);
    tiny_ok_(stream_record(&stream, &done, &error), &error);
    failing.device.event_wait = ordered_wait;
    device->backend = &failing;
    device->timeout_ns = 1000000;
    wait_code = code;
    assert_int_equal(progress_await(&progress, &done, &error), STATUS_BACKEND);
    assert_string_equal(error.message, wanted);
    assert_int_equal(device->lost, code == LLMRUN_ERROR_TIMEOUT);
    device->lost = false;
    device->backend = real;
    tiny_ok_(device_synchronize(device, &error), &error);
    progress_destroy(&progress);
    event_destroy(&done);
    stream_destroy(&stream);
    device_close(device);
}

static void a_failure_names_the_step_where_there_is_one(void **state)
{
    (void)state;
    for (int marked = 0; marked < 2; marked++) {
        fail_submission(LLMRUN_ERROR_DEVICE, 0, 0, 0, marked, "cpu: as ordered");
        fail_submission(LLMRUN_ERROR_DEVICE, 1, 0, 0, marked, "step 1: cpu: as ordered");
        fail_submission(LLMRUN_ERROR_DEVICE, 12, 0, 0, marked, "step 12: cpu: as ordered");
    }
}

/* Microbatches are counted from 1 for people. The time is that of the section where it is more than the limit of 1 ms.
 */
static void a_device_that_does_not_finish_is_told_with_what_and_in_which_time(void **state)
{
    static const char begin[] = "device 0 of cpu did not finish";
    static const struct {
        int64_t step;
        int32_t microbatch;
        double seconds;
        bool marked;
        const char *what;
    } cases[] = {{0, 0, 0, true, "section forward within 0.001 s"},
                 {1, 0, 0, true, "section forward of step 1 within 0.001 s"},
                 {1, 1, 0, true, "section forward of step 1, microbatch 2, within 0.001 s"},
                 {7, 2, 0.001, true, "section forward of step 7, microbatch 3, within 0.001 s"},
                 {0, 0, 0.003, true, "section forward within 0.003 s"},
                 {0, 0, 0, false, "copying the results within 0.001 s"},
                 {7, 1, 0.003, false, "copying the results within 0.003 s"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char wanted[200];

        snprintf(wanted, sizeof wanted, "%s %s (parallel.timeout)", begin, cases[i].what);
        fail_submission(LLMRUN_ERROR_TIMEOUT, cases[i].step, cases[i].microbatch, cases[i].seconds, cases[i].marked,
                        wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_slowest_rate_is_that_of_the_host_or_a_hundredth_of_the_peak),
        cmocka_unit_test(initial_weights_get_time_for_their_numbers),
        cmocka_unit_test(marks_are_evenly_behind_the_launches_and_never_more_than_there_are),
        cmocka_unit_test(a_failure_names_the_step_where_there_is_one),
        cmocka_unit_test(a_device_that_does_not_finish_is_told_with_what_and_in_which_time),
    };

    return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
