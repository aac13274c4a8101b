#include "runner.h"
#include "hal/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "program/verify.h"

static void check(const struct error *error, int status)
{
    if (status != STATUS_OK)
        fail_msg("status %d: %s", status, error->message);
}

struct device *runner_device(const char *name)
{
    struct plugin_search search = {.listed = LLMRUN_BUILD_DIR "/lib/llmrun:" LLMRUN_BUILD_DIR "/lib/llmrun-test"};
    const struct llmrun_option options[] = {{"threads", "2"}};
    const struct backend *backend = NULL;
    struct device *device = NULL;
    struct registry registry;
    struct error error;

    check(&error, registry_init(&search, device_trial, &registry, &error));
    check(&error, registry_open(&registry, name, &backend, &error));
    check(&error, device_open(backend, 0, options, 1, &device, &error));
    registry_finish(&registry);
    return device;
}

/* The largest workspace of any op; -1 when the device cannot do one. */
static int64_t ask_workspace(struct runner *runner)
{
    int64_t largest = 0;

    for (int64_t i = 0; i < runner->compiled.program.op_count; i++) {
        struct llmrun_op_support answer = {.size = sizeof answer};
        struct llmrun_tensor tensors[LLMRUN_MAX_OPERANDS];
        struct llmrun_op op;

        compiled_describe(&runner->compiled, &runner->compiled.program.ops[i], tensors, &op);
        check(&runner->error, capability_query(runner->device, &op, &answer, &runner->error));
        if (answer.support == LLMRUN_SUPPORT_NO) {
            error_set(&runner->error, STATUS_BACKEND, "%s", answer.reason);
            return -1;
        }
        largest = answer.workspace_bytes > largest ? answer.workspace_bytes : largest;
    }
    return largest;
}

static int64_t largest_value(const struct program *program)
{
    int64_t largest = PLAN_ALIGNMENT;

    for (int64_t i = 0; i < program->value_count; i++)
        if (value_bytes(&program->values[i]) > largest)
            largest = value_bytes(&program->values[i]);
    return largest;
}

static void allocate(struct runner *runner)
{
    struct error *error = &runner->error;

    check(error, arena_create(runner->device, &runner->compiled.plan, &runner->arena, error));
    check(error, host_buffer_create(runner->device, largest_value(&runner->compiled.program), &runner->staging, error));
    check(error, stream_create(runner->device, LLMRUN_STREAM_COMPUTE, &runner->stream, error));
    check(error, event_create(runner->device, &runner->done, error));
    for (int64_t s = 0; s < runner->compiled.program.section_count; s++) {
        const struct section *section = &runner->compiled.program.sections[s];

        check(error, prepared_section_create(runner->device, &runner->compiled, section, &runner->arena,
                                             &runner->sections[section->kind], error));
    }
}

bool runner_open(struct runner *runner, struct device *device, struct program *program, bool exact)
{
    const struct pipeline_shape shape = {.ranks = 1, .chunks = 1, .microbatches = 1, .groups = 1};
    struct compiled *compiled = &runner->compiled;
    struct error *error = &runner->error;
    int64_t workspace;

    memset(runner, 0, sizeof *runner);
    runner->device = device;
    compiled->program = *program;
    compiled->form.exact = exact;
    compiled->microbatches = 1;
    compiled->alignment = runner->device->info.alignment;
    program_init(program);
    check(error, program_verify(&compiled->program, error));
    check(error, pipeline_one_f_one_b(&shape, &compiled->pipeline, error));
    check(error, flow_make(&compiled->program, &shape, compiled->pipeline.ranks, &compiled->flow, error));
    workspace = ask_workspace(runner);
    if (workspace < 0) {
        compiled_finish(compiled);
        return false;
    }
    check(error, memory_plan_make(&compiled->program, &compiled->flow, 1, workspace, false, 0, &compiled->plan, error));
    allocate(runner);
    return true;
}

void runner_close(struct runner *runner)
{
    for (int i = 0; i < SECTION_KINDS; i++)
        prepared_section_destroy(&runner->sections[i]);
    event_destroy(&runner->done);
    stream_destroy(&runner->stream);
    host_buffer_destroy(&runner->staging);
    arena_destroy(&runner->arena);
    compiled_finish(&runner->compiled);
}

static int64_t place(const struct runner *runner, int32_t value)
{
    assert_true(runner->compiled.plan.placements[value].placed);
    return memory_plan_offset(&runner->compiled.plan, value, 0);
}

static void settle(struct runner *runner)
{
    bool ready;

    check(&runner->error, stream_record(&runner->stream, &runner->done, &runner->error));
    check(&runner->error, event_wait(&runner->done, -1, &ready, &runner->error));
}

void runner_write(struct runner *runner, int32_t value, const void *data)
{
    int64_t bytes = value_bytes(&runner->compiled.program.values[value]);

    memcpy(runner->staging.memory, data, (size_t)bytes);
    check(&runner->error, arena_upload(&runner->stream, &runner->arena, place(runner, value), &runner->staging, 0,
                                       bytes, &runner->error));
    settle(runner);
}

void runner_read(struct runner *runner, int32_t value, void *data)
{
    int64_t bytes = value_bytes(&runner->compiled.program.values[value]);

    check(&runner->error, arena_download(&runner->stream, &runner->staging, 0, &runner->arena, place(runner, value),
                                         bytes, &runner->error));
    settle(runner);
    memcpy(data, runner->staging.memory, (size_t)bytes);
}

void runner_zero(struct runner *runner)
{
    const struct memory_plan *plan = &runner->compiled.plan;

    check(&runner->error, arena_fill(&runner->stream, &runner->arena, plan->region_offset[REGION_GRADIENTS], 0,
                                     plan->region_bytes[REGION_GRADIENTS], &runner->error));
}

void runner_launch(struct runner *runner, enum section_kind kind)
{
    check(&runner->error, prepared_section_launch(&runner->sections[kind], &runner->stream, NULL, &runner->error));
}
