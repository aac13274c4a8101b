/* Captured work under failure: on a device that captures, a run of commands is launched, then captured, then replayed,
 * and whatever fails or hangs in that is told as a failure of its step. */
#include "calls.h"
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "every.h"
#include "runtime/progress.h"

#define STEPS  6
#define LOSSES (STEPS * TINY_BATCH)

static int submit(struct tiny *tiny, int step)
{
    executor_name_step(tiny->executor, step);
    tiny_fill(tiny, step);
    return executor_submit(tiny->executor, JOB_STEP, &tiny->error);
}

/* Submits and collects one step. */
static int train_step(struct tiny *tiny, int step)
{
    int status = submit(tiny, step);

    return status == STATUS_OK ? executor_collect(tiny->executor, &tiny->error) : status;
}

static void open_faulty(struct tiny *tiny, const char *faults)
{
    const struct compile_request request = tiny_request();

    tiny_open(tiny, "faulty", "faults", faults, &request);
}

/* ---- A failure of replayed work ---- */

static const struct backend *watched;
static uint64_t aside; /* zeros are written here while a capture records them */

static int32_t fill_aside(struct llmrun_stream *stream, uint64_t address, uint32_t pattern, int64_t bytes,
                          struct llmrun_error *error)
{
    return watched->device.fill(stream, calls.of[CALL_BEGIN] > calls.of[CALL_END] ? aside : address, pattern, bytes,
                                error);
}

static void a_failure_inside_a_replay_on_fakegpu_is_one_of_its_step(void **state)
{
    struct compile_request request = tiny_request();
    struct backend redirected;
    struct buffer buffer;
    struct tiny tiny;

    (void)state;
    request.schedule = PIPELINE_ZERO_BUBBLE; /* zeros of W stand between launches */
    request.micro_batch = request.batch_parts = 1;
    tiny_open(&tiny, "fakegpu", NULL, NULL, &request);
    tiny_ok(&tiny,
            buffer_create(tiny.device, LLMRUN_MEMORY_DEVICE, tiny.compiled.plan.total_bytes, &buffer, &tiny.error));
    aside = buffer.address;
    calls_watch(tiny.device);
    watched = tiny.device->backend;
    redirected = *watched;
    redirected.device.fill = fill_aside;
    tiny.device->backend = &redirected;
    tiny_ok(&tiny, train_step(&tiny, 1));
    tiny_ok(&tiny, train_step(&tiny, 2));
    tiny.device->backend = watched;
    buffer_destroy(&buffer); /* the graphs name it */
    tiny_ok(&tiny, submit(&tiny, 3));
    assert_int_equal(executor_collect(tiny.executor, &tiny.error), STATUS_BACKEND);
    assert_string_equal(tiny.error.message, "step 3: fakegpu: byte 0 of memory that was freed is used");
    assert_false(tiny.device->lost);
    calls_unwatch(tiny.device);
    tiny_close(&tiny);
}

/* ---- A timeline while there are graphs ---- */

static void a_timeline_sees_each_launch_though_there_are_graphs_and_changes_no_loss(void **state)
{
    const struct compile_request request = tiny_request();
    double wanted[LOSSES], found[LOSSES];
    struct timeline timeline = {0};
    struct tiny tiny;

    (void)state;
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    tiny_train(&tiny, STEPS, wanted);
    tiny_close(&tiny);
    tiny_open(&tiny, "fakegpu", NULL, NULL, &request);
    calls_watch(tiny.device);
    for (int step = 1; step <= STEPS; step++) {
        const struct calls before = calls;
        const bool observed = step == 3 || step == 4;
        int64_t ops = 0;

        executor_observe(tiny.executor, observed ? &timeline : NULL);
        tiny_fill(&tiny, step);
        tiny_submit(&tiny);
        tiny_collect(&tiny, found + (step - 1) * TINY_BATCH);
        for (int64_t i = 0; observed && i < timeline.count; i++)
            ops += timeline.marks[i].op >= 0;
        assert_int_equal(calls.of[CALL_REPLAY] > before.of[CALL_REPLAY], !observed);
        if (observed) {
            assert_int_equal(calls.of[CALL_LAUNCH] - before.of[CALL_LAUNCH], ops);
            assert_true(ops > 0);
        }
        if (step > 2)
            assert_int_equal(calls.of[CALL_BEGIN], before.of[CALL_BEGIN]); /* what was captured stays so */
    }
    calls_unwatch(tiny.device);
    timeline_destroy(&timeline);
    tiny_close(&tiny);
    assert_memory_equal(found, wanted, sizeof wanted);
}

/* ---- A device that cannot capture ---- */

static void a_device_that_cannot_capture_is_asked_for_launches_only(void **state)
{
    const struct compile_request request = tiny_request();
    int64_t launches = 0;
    struct tiny tiny;

    (void)state;
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    for (int64_t i = 0; i < tiny.compiled.commands.jobs[JOB_STEP].count; i++) {
        const struct command *command = &tiny.compiled.commands.jobs[JOB_STEP].commands[i];

        if (command->kind == COMMAND_LAUNCH)
            launches += tiny.compiled.program.sections[command->what].op_count;
    }
    calls_watch(tiny.device);
    for (int step = 1; step <= STEPS; step++) {
        tiny_ok(&tiny, train_step(&tiny, step));
        assert_int_equal(calls.of[CALL_LAUNCH], step * launches);
    }
    assert_int_equal(calls.of[CALL_BEGIN] + calls.of[CALL_END] + calls.of[CALL_REPLAY], 0);
    calls_unwatch(tiny.device);
    tiny_close(&tiny);
}

/* ---- Failures by order ---- */

static void a_capture_or_replay_that_the_device_refuses_ends_the_step_with_its_sentence(void **state)
{
    static const struct {
        const char *faults, *wanted;
    } cases[] = {
        {"begin=1", "step 1: section forward could not be captured: faulty: capture 1 did not begin, as ordered (code "
                    "5, vendor code 999)"},
        {"end=1", "step 1: section forward could not be captured: faulty: capture 1 did not end in a graph, as ordered "
                  "(code 5, vendor code 999)"},
        {"end_null=1",
         "step 1: section forward could not be captured: faulty: end on device 0 succeeded and gave NULL"},
        {"replay=1", "step 1: faulty: replay 1 was refused, as ordered (code 5, vendor code 999)"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tiny tiny;

        open_faulty(&tiny, cases[i].faults);
        assert_int_equal(submit(&tiny, 1), STATUS_BACKEND); /* its second microbatch is captured */
        assert_string_equal(tiny.error.message, cases[i].wanted);
        assert_int_equal(executor_pending(tiny.executor), 0);
        tiny_close(&tiny);
    }
}

static void replayed_work_that_fails_is_told_with_the_step(void **state)
{
    struct tiny tiny;

    (void)state;
    open_faulty(&tiny, "replayed=4");
    for (int step = 1;; step++) {
        char wanted[96];

        assert_in_range(step, 1, 4); /* there is a replay a step at least */
        if (train_step(&tiny, step) == STATUS_OK)
            continue;
        snprintf(wanted, sizeof wanted, "step %d: faulty: the work before event record ", step);
        assert_int_equal(tiny.error.status, STATUS_BACKEND);
        assert_memory_equal(tiny.error.message, wanted, strlen(wanted));
        break;
    }
    tiny_close(&tiny);
}

static void expect_hang(struct tiny *tiny, const char *wanted)
{
    const int64_t timeout_ns = tiny->device->timeout_ns;

    tiny->device->timeout_ns = 50000000;
    assert_int_equal(train_step(tiny, 1), STATUS_BACKEND);
    if (strstr(tiny->error.message, wanted) == NULL)
        fail_msg("\"%s\" does not contain \"%s\"", tiny->error.message, wanted);
    assert_non_null(strstr(tiny->error.message, " s (parallel.timeout)"));
    assert_true(tiny->device->lost);
    tiny->device->lost = false; /* it is none that hangs, so all of it can go */
    tiny->device->timeout_ns = timeout_ns;
    tiny_ok(tiny, device_synchronize(tiny->device, &tiny->error));
    tiny_close(tiny);
}

static void a_hang_inside_a_replay_is_told_with_the_section(void **state)
{
    struct tiny tiny;

    (void)state;
    open_faulty(&tiny, "replay_hang=1");
    expect_hang(&tiny, "device 0 of faulty did not finish section backward of step 1, microbatch 2, within ");
}

/* There are more sections in a replay here than marks are apart. */
static void a_hang_inside_replays_of_many_sections_is_told_with_one_of_them(void **state)
{
    struct compile_request request = tiny_request();
    struct tiny tiny;

    (void)state;
    request.model.n_layer = request.chunks = 48;
    request.schedule = PIPELINE_INTERLEAVED;
    request.micro_batch = 4;
    tiny_open(&tiny, "faulty", "faults", "replay_hang=1", &request);
    tiny_ok(&tiny, train_step(&tiny, 1)); /* nothing comes twice */
    expect_hang(&tiny, "device 0 of faulty did not finish section ");
}

/* Whichever call of the submissions that capture fails: it is told, nothing more is enqueued, and the stream works. */
static void each_call_that_fails_while_work_is_captured_fails_the_step(void **state)
{
    struct compile_request request = tiny_request();
    struct tiny tiny = {0};
    int64_t all = 1;

    (void)state;
    request.model.n_layer = 1;
    tiny.request = request;
    tiny.device = tiny_device("fakegpu", NULL, NULL);
    for (int64_t failing = 0; failing <= all; failing += failing == 0 ? 1 : EVERY(7)) {
        bool failed = false, captured;

        tiny_ok(&tiny, tiny_create(tiny.device, &request, &tiny.compiled, &tiny.executor, &tiny.error));
        tiny_initialise(&tiny);
        calls_watch(tiny.device);
        calls.failing = failing;
        for (int step = 1; step <= 2 && !failed; step++) {
            failed = submit(&tiny, step) != STATUS_OK;
            if (!failed)
                tiny_ok(&tiny, executor_collect(tiny.executor, &tiny.error));
        }
        if (failed != (failing > 0))
            fail_msg("call %lld of %lld failed unseen", (long long)failing, (long long)all);
        if (failing == 0)
            all = calls.all;
        captured = calls.of[CALL_BEGIN] > 0;
        assert_true(!failed || strstr(tiny.error.message, "as ordered") != NULL);
        assert_true(!failed || calls.all <= failing + captured); /* the end of a capture may come after it */
        assert_int_equal(executor_pending(tiny.executor), 0);
        for (int step = 3; step <= 4; step++)
            tiny_ok(&tiny, train_step(&tiny, step));
        assert_true(calls.of[CALL_BEGIN] > 0);
        calls_unwatch(tiny.device);
        executor_destroy(tiny.executor);
        compiled_finish(&tiny.compiled);
    }
    device_close(tiny.device);
}

/* ---- What a replay may take ---- */

static double allowed_seconds;

void __wrap_guard_allow(double seconds);
void __wrap_guard_allow(double seconds)
{
    allowed_seconds = seconds > allowed_seconds ? seconds : allowed_seconds;
}

/* A call that blocks until a run has room may take as long as all its sections. */
static void a_call_may_take_as_long_as_the_longest_run(void **state)
{
    struct compile_request request = tiny_request();
    double longest = 0, seconds = 0;
    const struct command_list *list;
    struct tiny tiny;

    (void)state;
    request.schedule = PIPELINE_GPIPE;
    allowed_seconds = 0;
    tiny_open(&tiny, "fakegpu", NULL, NULL, &request);
    list = &tiny.compiled.commands.jobs[JOB_STEP];
    for (int64_t i = 0; i < list->count; i++) {
        const struct program *program = &tiny.compiled.program;

        if (list->commands[i].kind == COMMAND_LAUNCH)
            seconds += progress_seconds(tiny.device, program, &program->sections[list->commands[i].what]);
        else if (list->commands[i].kind != COMMAND_ZERO)
            seconds = 0;
        longest = seconds > longest ? seconds : longest;
    }
    assert_true(allowed_seconds >= longest * (1 - 1e-9));
    tiny_close(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_inside_a_replay_on_fakegpu_is_one_of_its_step),
        cmocka_unit_test(a_timeline_sees_each_launch_though_there_are_graphs_and_changes_no_loss),
        cmocka_unit_test(a_device_that_cannot_capture_is_asked_for_launches_only),
        cmocka_unit_test(a_capture_or_replay_that_the_device_refuses_ends_the_step_with_its_sentence),
        cmocka_unit_test(replayed_work_that_fails_is_told_with_the_step),
        cmocka_unit_test(a_hang_inside_a_replay_is_told_with_the_section),
        cmocka_unit_test(a_hang_inside_replays_of_many_sections_is_told_with_one_of_them),
        cmocka_unit_test(each_call_that_fails_while_work_is_captured_fails_the_step),
        cmocka_unit_test(a_call_may_take_as_long_as_the_longest_run),
    };

    return cmocka_run_group_tests_name("runtime captures", tests, NULL, NULL);
}
