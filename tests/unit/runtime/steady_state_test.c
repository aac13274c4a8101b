/* Once training runs, a step allocates nothing, looks nothing up by its name and formats no text: neither the core nor,
 * on the CPU, the plugin. The plugins of other devices here are made for tests, and allocate as they like. */
#include "calls.h"
#include "counts.h"
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hal/stream.h"

#define STEPS  10
#define WARM   2 /* steps before which everything is made */
#define STEADY (STEPS - WARM)

static struct compile_request requests(int i, const char **name)
{
    static const struct {
        const char *name;
        uint32_t compute_dtype;
        enum recompute recompute;
        float dropout;
        int64_t micro_batch;
        enum pipeline_kind schedule;
        int32_t chunks;
        int64_t batch_parts; /* 1: accumulators become zero in the midst of captured launches */
    } rows[] = {{"fp32", LLMRUN_F32, RECOMPUTE_NONE, 0, 2, PIPELINE_ONE_F_ONE_B, 0, 0},
                {"bf16 with dropout and recompute", LLMRUN_BF16, RECOMPUTE_FULL, 0.1f, 2, PIPELINE_ONE_F_ONE_B, 0, 0},
                {"gpipe", LLMRUN_F32, RECOMPUTE_NONE, 0, 1, PIPELINE_GPIPE, 0, 0},
                {"zero-bubble", LLMRUN_F32, RECOMPUTE_NONE, 0, 1, PIPELINE_ZERO_BUBBLE, 0, 1},
                {"zero-bubble of two chunks", LLMRUN_BF16, RECOMPUTE_SELECTIVE, 0.1f, 1, PIPELINE_ZERO_BUBBLE, 2, 0}};
    struct compile_request request = tiny_request();

    *name = NULL;
    if (i >= (int)(sizeof rows / sizeof rows[0]))
        return request;
    *name = rows[i].name;
    request.compute_dtype = rows[i].compute_dtype;
    request.recompute = rows[i].recompute;
    request.dropout = rows[i].dropout;
    request.micro_batch = rows[i].micro_batch;
    request.schedule = rows[i].schedule;
    request.chunks = rows[i].chunks;
    request.batch_parts = rows[i].batch_parts;
    return request;
}

static void read_counts(int64_t *to)
{
    for (int i = 0; i < COUNTS; i++)
        to[i] = counted((enum count)i);
}

/* `all`: allocations of the plugin and of libraries are told too. */
static void check_counts(const int64_t *before, bool all, const char *backend, const char *name)
{
    static const char *const what[COUNTS] = {"allocations of the core", "allocations", "look-ups", "texts"};
    int64_t after[COUNTS];

    read_counts(after);
    for (int i = 0; i < COUNTS; i++)
        if (after[i] != before[i] && (all || i != COUNT_ALL_ALLOCATIONS))
            fail_msg("%s, %s: %lld %s once it runs", backend, name, (long long)(after[i] - before[i]), what[i]);
}

/* As a trainer does it: a step is collected when the next one has begun. */
static void run_step(struct tiny *tiny, int step)
{
    executor_name_step(tiny->executor, step);
    tiny_fill(tiny, step);
    tiny_ok(tiny, executor_submit_first(tiny->executor, JOB_STEP, &tiny->error));
    if (executor_pending(tiny->executor) > 0)
        tiny_collect(tiny, NULL);
    tiny_ok(tiny, executor_submit_rest(tiny->executor, JOB_STEP, &tiny->error));
}

/* What a device that captures is told in one step: a replay for each run of launches and zeros between other work of
 * the compute stream, but single kernels are launched. */
static void expect_calls(const struct compiled *compiled, int64_t *replays, int64_t *launches)
{
    const struct command_list *list = &compiled->commands.jobs[JOB_STEP];

    *replays = *launches = 0;
    for (int64_t i = 0, kernels = 0, work = 0; i <= list->count; i++) {
        const struct command *command = i < list->count ? &list->commands[i] : NULL;

        if (command != NULL && command->kind == COMMAND_LAUNCH) {
            kernels += compiled->program.sections[command->what].op_count;
            work += compiled->program.sections[command->what].op_count;
        } else if (command != NULL && (command->kind == COMMAND_ZERO || command->kind == COMMAND_FILL)) {
            work++;
        } else {
            *replays += work > 1;
            *launches += work > 1 ? 0 : kernels;
            kernels = work = 0;
        }
    }
}

static void check_calls(const struct tiny *tiny, const char *name)
{
    int64_t replays, launches;

    if (!tiny->device->backend->has_capture) {
        assert_true(calls.of[CALL_LAUNCH] + calls.of[CALL_LAUNCH_PROGRAM] > 0);
        return;
    }
    expect_calls(&tiny->compiled, &replays, &launches);
    assert_true(replays > 0);
    if (calls.of[CALL_BEGIN] != 0 || calls.of[CALL_REPLAY] != STEADY * replays ||
        calls.of[CALL_LAUNCH] != STEADY * launches)
        fail_msg("%s: %lld captures, %lld replays and %lld launches in %d steps; expected 0, %lld and %lld", name,
                 (long long)calls.of[CALL_BEGIN], (long long)calls.of[CALL_REPLAY], (long long)calls.of[CALL_LAUNCH],
                 STEADY, (long long)(STEADY * replays), (long long)(STEADY * launches));
}

static void check_steps(const char *backend, bool all)
{
    const char *name;

    for (int i = 0;; i++) {
        const struct compile_request request = requests(i, &name);
        int64_t before[COUNTS];
        struct tiny tiny;

        if (name == NULL)
            break;
        tiny_open(&tiny, backend, NULL, NULL, &request);
        for (int step = 1; step <= WARM; step++)
            run_step(&tiny, step);
        calls_watch(tiny.device);
        read_counts(before);
        for (int step = WARM + 1; step <= STEPS; step++)
            run_step(&tiny, step);
        check_counts(before, all, backend, name);
        check_calls(&tiny, name);
        calls_unwatch(tiny.device);
        tiny_collect(&tiny, NULL);
        tiny_close(&tiny);
    }
}

static void say_what_is_not_counted(void)
{
    if (!COUNTS_ALL_ALLOCATIONS)
        print_message("allocations of plugins are not counted: a sanitizer replaces the allocator itself\n");
}

static void steps_3_to_10_on_cpu_allocate_nothing_and_look_nothing_up(void **state)
{
    (void)state;
    say_what_is_not_counted();
    check_steps("cpu", COUNTS_ALL_ALLOCATIONS);
}

static void on_a_device_that_captures_they_are_replays_only(void **state)
{
    (void)state;
    check_steps("fakegpu", false);
}

static void on_a_device_that_compiles_sections_they_need_no_more(void **state)
{
    (void)state;
    check_steps("fakegraph", false);
}

/* With the inputs as they are at first, all zero. */
static void an_evaluation_and_a_generation_need_no_more(void **state)
{
    static const char *const backends[] = {"cpu", "fakegpu", "fakegraph"};
    static const enum job jobs[] = {JOB_EVALUATE, JOB_PREFILL, JOB_DECODE};
    const struct compile_request request = tiny_request();

    (void)state;
    for (int i = 0; i < 3; i++) {
        int64_t before[COUNTS];
        struct tiny tiny;

        tiny_open(&tiny, backends[i], NULL, NULL, &request);
        for (int run = 1; run <= 2 * WARM + STEADY; run++) { /* there are two sets of inputs */
            if (run == 2 * WARM + 1)
                read_counts(before);
            for (int job = 0; job < 3; job++) {
                tiny_ok(&tiny, executor_begin(tiny.executor, &tiny.error));
                tiny_ok(&tiny, executor_submit(tiny.executor, jobs[job], &tiny.error));
                tiny_ok(&tiny, executor_collect(tiny.executor, &tiny.error));
            }
        }
        check_counts(before, COUNTS_ALL_ALLOCATIONS && i == 0, backends[i], "evaluation and generation");
        tiny_close(&tiny);
    }
}

static void allocations_look_ups_and_texts_of_the_core_are_counted(void **state)
{
    int64_t before[COUNTS], after[COUNTS];
    struct program program;
    struct error error;

    (void)state;
    program_init(&program);
    read_counts(before);
    assert_true(program_add_value(&program, "x", VALUE_STATE, LLMRUN_F32, 1, (const int64_t[]){1}) != NO_VALUE);
    read_counts(after);
    assert_true(after[COUNT_ALLOCATIONS] > before[COUNT_ALLOCATIONS]);
    read_counts(before);
    assert_int_equal(program_find(&program, "x"), 0);
    read_counts(after);
    assert_true(after[COUNT_LOOKUPS] >= before[COUNT_LOOKUPS] + 3); /* itself, value_index_slot, and its strcmp */
    assert_int_equal(after[COUNT_ALLOCATIONS], before[COUNT_ALLOCATIONS]);
    assert_int_equal(after[COUNT_TEXTS], before[COUNT_TEXTS]);
    error_set(&error, STATUS_BUG, "a text");
    assert_true(counted(COUNT_TEXTS) > after[COUNT_TEXTS]);
    program_finish(&program);
}

static void an_allocation_inside_the_plugin_is_counted(void **state)
{
    struct device *device;
    struct event event;
    struct error error;
    int64_t core, all;

    (void)state;
    say_what_is_not_counted();
    if (!COUNTS_ALL_ALLOCATIONS)
        skip();
    device = tiny_device("cpu", NULL, NULL);
    core = counted(COUNT_ALLOCATIONS);
    all = counted(COUNT_ALL_ALLOCATIONS);
    tiny_ok_(event_create(device, &event, &error), &error); /* the plugin's calloc; the core makes none of its own */
    assert_true(counted(COUNT_ALL_ALLOCATIONS) > all);
    assert_int_equal(counted(COUNT_ALLOCATIONS), core);
    event_destroy(&event);
    device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_look_ups_and_texts_of_the_core_are_counted),
        cmocka_unit_test(an_allocation_inside_the_plugin_is_counted),
        cmocka_unit_test(steps_3_to_10_on_cpu_allocate_nothing_and_look_nothing_up),
        cmocka_unit_test(on_a_device_that_captures_they_are_replays_only),
        cmocka_unit_test(on_a_device_that_compiles_sections_they_need_no_more),
        cmocka_unit_test(an_evaluation_and_a_generation_need_no_more),
    };

    return cmocka_run_group_tests_name("runtime steady state", tests, NULL, NULL);
}
