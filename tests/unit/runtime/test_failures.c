/* Each call of a backend that fails is told, wherever it comes. */
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/device_compile.h"
#include "runtime/section.h"

/* Calls of a backend, of which one fails. */
static const struct backend *real;
static int64_t call, failing_call;

static bool fails(struct llmrun_error *error)
{
    if (++call != failing_call)
        return false;
    snprintf(error->message, sizeof error->message, "as ordered");
    return true;
}

#define FAILING(table, entry, parameters, ...)                                                                         \
    static int32_t failing_##entry parameters                                                                          \
    {                                                                                                                  \
        return fails(error) ? LLMRUN_ERROR_DEVICE : real->table.entry(__VA_ARGS__);                                    \
    }
FAILING(device, copy, (struct llmrun_stream * stream, const struct llmrun_copy *what, struct llmrun_error *error),
        stream, what, error)
FAILING(device, fill,
        (struct llmrun_stream * stream, uint64_t address, uint32_t pattern, int64_t bytes, struct llmrun_error *error),
        stream, address, pattern, bytes, error)
FAILING(device, event_record, (struct llmrun_stream * stream, struct llmrun_event *event, struct llmrun_error *error),
        stream, event, error)
FAILING(device, stream_wait, (struct llmrun_stream * stream, struct llmrun_event *event, struct llmrun_error *error),
        stream, event, error)
FAILING(kernel, launch,
        (struct llmrun_stream * stream, struct llmrun_kernel *kernel, const uint64_t *addresses, uint32_t count,
         uint64_t workspace, struct llmrun_error *error),
        stream, kernel, addresses, count, workspace, error)

FAILING(device, memory_alloc,
        (struct llmrun_device * device, uint32_t kind, int64_t bytes, uint64_t *address, struct llmrun_error *error),
        device, kind, bytes, address, error)
FAILING(device, host_alloc, (struct llmrun_device * device, int64_t bytes, void **memory, struct llmrun_error *error),
        device, bytes, memory, error)
FAILING(device, stream_create,
        (struct llmrun_device * device, uint32_t lane, struct llmrun_stream **stream, struct llmrun_error *error),
        device, lane, stream, error)
FAILING(device, event_create, (struct llmrun_device * device, struct llmrun_event **event, struct llmrun_error *error),
        device, event, error)
FAILING(kernel, prepare,
        (struct llmrun_device * device, const struct llmrun_op *op, int64_t workspace, struct llmrun_kernel **kernel,
         struct llmrun_error *error),
        device, op, workspace, kernel, error)
FAILING(program, build,
        (struct llmrun_device * device, const struct llmrun_program_desc *desc, struct llmrun_program **program,
         struct llmrun_error *error),
        device, desc, program, error)

/* Submits or transfers once; the status. */
static int work(struct tiny *tiny, int job)
{
    const int32_t value = tiny_value(tiny, "ln_f.weight");
    float data[16];

    call = 0;
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
    struct backend failing;
    struct tiny tiny;

    (void)state;
    request.model.n_layer = 1;
    request.compute_dtype = LLMRUN_BF16; /* with weights that are refreshed */
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    real = tiny.device->backend;
    failing = *real;
    failing.device.copy = failing_copy;
    failing.device.fill = failing_fill;
    failing.device.event_record = failing_event_record;
    failing.device.stream_wait = failing_stream_wait;
    failing.kernel.launch = failing_launch;
    tiny_fill(&tiny, 1);
    tiny.device->backend = &failing;
    for (int observed = 0; observed < 2; observed++) {
        executor_observe(tiny.executor, observed ? &timeline : NULL);
        for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
            int64_t calls;

            failing_call = 0;
            tiny_ok(&tiny, work(&tiny, jobs[i]));
            calls = call;
            assert_true(calls > 1);
            if (executor_pending(tiny.executor) > 0)
                tiny_ok(&tiny, executor_collect(tiny.executor, &tiny.error));
            for (failing_call = 1; failing_call <= calls; failing_call++) {
                if (work(&tiny, jobs[i]) != STATUS_BACKEND)
                    fail_msg("call %lld of %lld of job %d failed unseen", (long long)failing_call, (long long)calls,
                             jobs[i]);
                assert_non_null(strstr(tiny.error.message, "as ordered"));
                assert_int_equal(executor_pending(tiny.executor), 0);
                assert_int_equal(call, failing_call); /* nothing is enqueued behind it */
            }
            failing_call = 0;
        }
    }
    tiny.device->backend = real;
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
        struct backend failing;
        struct error error = {0};
        int64_t calls;

        real = device->backend;
        failing = *real;
        failing.device.memory_alloc = failing_memory_alloc;
        failing.device.host_alloc = failing_host_alloc;
        failing.device.stream_create = failing_stream_create;
        failing.device.event_create = failing_event_create;
        failing.kernel.prepare = failing_prepare;
        failing.program.build = failing_build;
        device->backend = &failing;
        call = failing_call = 0;
        tiny_ok_(tiny_create(device, &request, &compiled, &executor, &error), &error);
        executor_destroy(executor);
        compiled_free(&compiled);
        executor = NULL;
        calls = call;
        assert_true(calls > 8);
        for (failing_call = 1; failing_call <= calls; failing_call++) {
            device_close(device);
            device = tiny_device(backends[i], NULL, NULL);
            device->backend = &failing;
            call = 0;
            if (tiny_create(device, &request, &compiled, &executor, &error) != STATUS_BACKEND)
                fail_msg("%s: call %lld of %lld failed unseen", backends[i], (long long)failing_call, (long long)calls);
            assert_non_null(strstr(error.message, "as ordered"));
            assert_null(executor);
            assert_int_equal(call, failing_call);
        }
        device_close(device);
    }
}

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

        tiny_ok_(prepared_section_create(planned, &compiled, section, 1 << 20, &prepared, &error), &error);
        prepared_section_destroy(&prepared);
        assert_int_equal(prepared_section_create(larger, &compiled, section, 1 << 20, &prepared, &error),
                         STATUS_BACKEND);
        assert_non_null(strstr(error.message, ", built again, needs "));
        assert_non_null(strstr(error.message, "fakegraph: section "));
    }
    compiled_free(&compiled);
    device_close(planned);
    device_close(larger);
}

static int64_t builds;

static int32_t counted_build(struct llmrun_device *device, const struct llmrun_program_desc *desc,
                             struct llmrun_program **program, struct llmrun_error *error)
{
    builds++;
    return real->program.build(device, desc, program, error);
}

static void a_plan_and_two_runs_after_it_build_equal_sections_once(void **state)
{
    struct compile_request request = tiny_request();
    struct device *device = tiny_device("fakegraph", NULL, NULL);
    struct backend counted;
    struct compiled compiled;
    struct error error = {0};
    int64_t planned;

    (void)state;
    real = device->backend;
    counted = *real;
    counted.program.build = counted_build;
    device->backend = &counted;
    builds = 0;
    tiny_ok_(device_compile(device, &request, &compiled, &error), &error);
    planned = builds;
    /* Two layers are equal, in four kinds of sections at least. */
    assert_in_range(planned, 1, compiled.program.section_count - 4);
    for (int i = 0; i < 2; i++) {
        struct executor *executor = NULL;

        tiny_ok_(executor_create(device, &compiled, &executor, &error), &error);
        executor_destroy(executor);
    }
    compiled_free(&compiled);
    assert_int_equal(builds, planned);
    device_close(device);
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
