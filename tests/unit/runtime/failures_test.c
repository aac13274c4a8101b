/* Each call of a backend that fails is told, wherever it comes. */
#include "calls.h"
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/device_compile.h"
#include "runtime/section.h"

/* Submits or transfers once; the status. */
static int work(struct tiny *tiny, int job)
{
    const int32_t value = tiny_value(tiny, "ln_f.weight");
    float data[16];

    calls.all = 0;
    if (job == JOBS)
        return executor_read(tiny->executor, value, data, &tiny->error);
    if (job > JOBS)
        return executor_write(tiny->executor, value, (const float[16]){1}, &tiny->error);
    return executor_submit(tiny->executor, (enum job)job, &tiny->error);
}

/* None of the calls of a submission or a transfer may fail unseen, with marks for a timeline between them or without.
 */
static void each_call_that_fails_fails_the_submission(void **state)
{
    static const int jobs[] = {JOB_INIT, JOB_STEP, JOB_EVALUATE, JOB_PREFILL, JOB_DECODE, JOBS, JOBS + 1};
    struct compile_request request = tiny_request();
    struct timeline timeline = {0};
    struct tiny tiny;

    (void)state;
    request.model.n_layer = 1;
    request.compute_dtype = LLMRUN_BF16; /* with weights that are refreshed */
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    tiny_fill(&tiny, 1);
    calls_watch(tiny.device);
    for (int observed = 0; observed < 2; observed++) {
        executor_observe(tiny.executor, observed ? &timeline : NULL);
        for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
            int64_t all;

            for (int again = 0; again < 2; again++) { /* a timeline makes its marks at first */
                tiny_ok(&tiny, work(&tiny, jobs[i]));
                if (executor_pending(tiny.executor) > 0)
                    tiny_ok(&tiny, executor_collect(tiny.executor, &tiny.error));
            }
            all = calls.all;
            assert_true(all > 1);
            for (calls.failing = 1; calls.failing <= all; calls.failing++) {
                if (work(&tiny, jobs[i]) != STATUS_BACKEND)
                    fail_msg("call %lld of %lld of job %d failed unseen", (long long)calls.failing, (long long)all,
                             jobs[i]);
                assert_non_null(strstr(tiny.error.message, "as ordered"));
                assert_int_equal(executor_pending(tiny.executor), 0);
                assert_int_equal(calls.all, calls.failing); /* nothing is enqueued behind it */
            }
            calls.failing = 0;
        }
    }
    calls_unwatch(tiny.device);
    executor_observe(tiny.executor, NULL);
    timeline_destroy(&timeline);
    tiny_close(&tiny);
}

/* A device with kernels, and one that compiles sections. It is opened anew for each call, since it keeps what it has
 * compiled. */
static void each_call_that_fails_fails_the_making_of_an_executor(void **state)
{
    static const char *const backends[] = {"cpu", "fakegraph"};
    struct compile_request request = tiny_request();

    (void)state;
    request.model.n_layer = 1;
    for (int i = 0; i < 2; i++) {
        struct device *device = tiny_device(backends[i], NULL, NULL);
        struct executor *executor = NULL;
        struct compiled compiled;
        struct error error = {0};
        int64_t all;

        calls_watch(device);
        tiny_ok_(tiny_create(device, &request, &compiled, &executor, &error), &error);
        executor_destroy(executor);
        compiled_finish(&compiled);
        executor = NULL;
        all = calls.all;
        assert_true(all > 8);
        for (int64_t failing = 1; failing <= all; failing++) {
            device_close(device);
            device = tiny_device(backends[i], NULL, NULL);
            calls_watch(device);
            calls.failing = failing;
            if (tiny_create(device, &request, &compiled, &executor, &error) != STATUS_BACKEND)
                fail_msg("%s: call %lld of %lld failed unseen", backends[i], (long long)failing, (long long)all);
            assert_non_null(strstr(error.message, "as ordered"));
            assert_null(executor);
            assert_int_equal(calls.all, failing);
        }
        device_close(device);
    }
}

static const struct backend *real;

static int64_t growing_workspace(const struct llmrun_program *program)
{
    return real->program.workspace(program) + (INT64_C(1) << 40);
}

/* What is compiled for one device and prepared on another. */
static void a_section_that_needs_more_than_was_planned_is_refused(void **state)
{
    struct compile_request request = tiny_request();
    struct device *planned = tiny_device("fakegraph", NULL, NULL), *larger = tiny_device("fakegraph", NULL, NULL);
    struct backend growing;
    struct prepared_section prepared;
    struct compiled compiled;
    struct error error = {0};

    (void)state;
    real = larger->backend;
    growing = *real;
    growing.program.workspace = growing_workspace;
    larger->backend = &growing;
    tiny_ok_(device_compile(planned, &request, &compiled, &error), &error);
    for (int64_t s = 0; s < compiled.program.section_count; s++) {
        const struct section *section = &compiled.program.sections[s];
        struct buffer buffer = {.address = 1 << 20};
        const struct arena arena = {.ranges = compiled.plan.buffers, .buffers = &buffer, .count = 1};

        tiny_ok_(prepared_section_create(planned, &compiled, section, &arena, &prepared, &error), &error);
        prepared_section_destroy(&prepared);
        assert_int_equal(prepared_section_create(larger, &compiled, section, &arena, &prepared, &error),
                         STATUS_BACKEND);
        assert_non_null(strstr(error.message, ", built again, needs "));
        assert_non_null(strstr(error.message, "fakegraph: section "));
    }
    compiled_finish(&compiled);
    device_close(planned);
    device_close(larger);
}

/* Builds of a plan and two runs after it. */
static int64_t builds_of_runs(float dropout)
{
    struct compile_request request = tiny_request();
    struct device *device = tiny_device("fakegraph", NULL, NULL);
    struct compiled compiled;
    struct error error = {0};
    int64_t planned;

    request.model.n_layer = 3;
    request.eval_batch = 1; /* no section of training is one of evaluation */
    request.dropout = dropout;
    calls_watch(device);
    tiny_ok_(device_compile(device, &request, &compiled, &error), &error);
    planned = calls.of[CALL_BUILD];
    /* Layers are equal, in four kinds of sections at least. */
    assert_in_range(planned, 1, compiled.program.section_count - 4);
    for (int i = 0; i < 2; i++) {
        struct executor *executor = NULL;

        tiny_ok_(executor_create(device, &compiled, NULL, &executor, &error), &error);
        executor_destroy(executor);
    }
    compiled_finish(&compiled);
    assert_int_equal(calls.of[CALL_BUILD], planned);
    calls_unwatch(device);
    device_close(device);
    return planned;
}

/* With dropout too: what tells the random numbers of two layers apart is data. */
static void a_plan_and_two_runs_after_it_build_equal_sections_once(void **state)
{
    (void)state;
    assert_int_equal(builds_of_runs(0.1f), builds_of_runs(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_that_fails_fails_the_submission),
        cmocka_unit_test(each_call_that_fails_fails_the_making_of_an_executor),
        cmocka_unit_test(a_section_that_needs_more_than_was_planned_is_refused),
        cmocka_unit_test(a_plan_and_two_runs_after_it_build_equal_sections_once),
    };

    return cmocka_run_group_tests_name("runtime failures", tests, NULL, NULL);
}
