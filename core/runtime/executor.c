#include "runtime/executor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/guard.h"
#include "plugin/stream.h"
#include "runtime/device_compile.h"
#include "runtime/progress.h"
#include "runtime/section.h"

#define SETS        PLAN_INPUT_SETS
#define RESULT_SETS (SETS + 1) /* what was collected last stays while two submissions write theirs */
/* Of the next step while the one before it runs: enough to keep a device busy, and less than it takes before enqueueing
 * blocks (the CPU's takes 512). */
#define LAUNCHES_AHEAD 256
#define TRANSFER_BYTES ((int64_t)8 << 20)

/* The host's side of one submission. */
struct staging {
    struct host_buffer inputs;
    struct event uploaded; /* inputs are in the staging region */
    struct event consumed; /* the compute stream has taken them from there */
    struct event done;     /* results are in host memory */
    struct progress progress;
};

struct executor {
    struct device *device;
    struct compiled compiled;
    struct buffer arena; /* all memory on the device */
    struct stream compute, copy;
    struct staging sets[SETS];
    struct host_buffer results[RESULT_SETS];
    struct host_buffer transfer;
    struct prepared_section *sections; /* those of the program; owned */
    int64_t submitted, collected;
    int64_t step;                          /* for messages: number of the step that is submitted next */
    double section_seconds[SECTION_KINDS]; /* of one launch, at most */
    struct timeline *timeline;
};

static int64_t at_least_one(int64_t bytes)
{
    return bytes > 0 ? bytes : PLAN_ALIGNMENT;
}

static int allocate(struct executor *executor, struct error *error)
{
    const struct memory_plan *plan = &executor->compiled.plan;
    int64_t inputs = at_least_one(plan->region_bytes[REGION_INPUTS]),
            results = at_least_one(plan->region_bytes[REGION_RESULTS]);
    struct device *device = executor->device;
    int status = buffer_create(device, LLMRUN_MEMORY_DEVICE, plan->total_bytes, &executor->arena, error);

    if (status == STATUS_OK)
        status = stream_create(device, LLMRUN_LANE_COMPUTE, &executor->compute, error);
    if (status == STATUS_OK)
        status = stream_create(device, LLMRUN_LANE_COPY, &executor->copy, error);
    if (status == STATUS_OK)
        status = host_buffer_create(device, TRANSFER_BYTES, &executor->transfer, error);
    for (int i = 0; status == STATUS_OK && i < SETS; i++) {
        struct staging *set = &executor->sets[i];

        status = host_buffer_create(device, inputs, &set->inputs, error);
        if (status == STATUS_OK)
            status = event_create(device, &set->uploaded, error);
        if (status == STATUS_OK)
            status = event_create(device, &set->consumed, error);
        if (status == STATUS_OK)
            status = event_create(device, &set->done, error);
        if (status == STATUS_OK)
            status = progress_create(device, &set->progress, error);
        if (status == STATUS_OK)
            memset(set->inputs.memory, 0, (size_t)inputs);
    }
    for (int i = 0; status == STATUS_OK && i < RESULT_SETS; i++)
        status = host_buffer_create(device, results, &executor->results[i], error);
    return status;
}

static int prepare_sections(struct executor *executor, struct error *error)
{
    const struct program *program = &executor->compiled.program;

    executor->sections = calloc((size_t)program->section_count + 1, sizeof *executor->sections);
    if (executor->sections == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for %lld sections", (long long)program->section_count);
    for (int64_t s = 0; s < program->section_count; s++) {
        const struct section *section = &program->sections[s];
        int status = prepared_section_create(executor->device, &executor->compiled, section, executor->arena.address,
                                             &executor->sections[s], error);

        if (status != STATUS_OK)
            return error_prefix(error, "section %s", section_kind_name(section->kind));
    }
    return STATUS_OK;
}

/* A plugin's call may block for a section, where the device takes no more work ahead. */
static void expect_sections(struct executor *executor)
{
    double longest = 0;

    for (int kind = 0; kind < SECTION_KINDS; kind++) {
        double seconds = progress_seconds(executor->device, &executor->compiled.program, (enum section_kind)kind);

        executor->section_seconds[kind] = seconds;
        longest = seconds > longest ? seconds : longest;
    }
    guard_allow(longest);
}

int executor_create(struct device *device, const struct compile_request *request, struct executor **out,
                    struct error *error)
{
    struct executor *executor = calloc(1, sizeof *executor);
    int status;

    if (executor == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the executor");
    executor->device = device;
    status = device_compile(device, request, &executor->compiled, error);
    if (status == STATUS_OK)
        expect_sections(executor);
    if (status == STATUS_OK)
        status = allocate(executor, error);
    if (status == STATUS_OK)
        status = prepare_sections(executor, error);
    if (status != STATUS_OK)
        executor_destroy(executor);
    else
        *out = executor;
    return status;
}

void executor_destroy(struct executor *executor)
{
    struct error ignored;

    if (executor == NULL)
        return;
    while (executor_pending(executor) > 0 && !executor->device->lost)
        executor_collect(executor, &ignored); /* each section in its time; what is left of the device's work is short */
    if (executor->compute.handle != NULL && !executor->device->lost)
        device_quiesce(executor->device, &ignored);
    for (int64_t i = 0; executor->sections != NULL && i < executor->compiled.program.section_count; i++)
        prepared_section_destroy(&executor->sections[i]);
    free(executor->sections);
    for (int i = 0; i < SETS; i++) {
        event_destroy(&executor->sets[i].uploaded);
        event_destroy(&executor->sets[i].consumed);
        event_destroy(&executor->sets[i].done);
        progress_destroy(&executor->sets[i].progress);
        host_buffer_destroy(&executor->sets[i].inputs);
    }
    for (int i = 0; i < RESULT_SETS; i++)
        host_buffer_destroy(&executor->results[i]);
    host_buffer_destroy(&executor->transfer);
    stream_destroy(&executor->copy);
    stream_destroy(&executor->compute);
    buffer_destroy(&executor->arena);
    compiled_free(&executor->compiled);
    free(executor);
}

const struct compiled *executor_compiled(const struct executor *executor)
{
    return &executor->compiled;
}

int executor_pending(const struct executor *executor)
{
    return (int)(executor->submitted - executor->collected);
}

int executor_begin(struct executor *executor, struct error *error)
{
    if (executor_pending(executor) >= SETS)
        return error_set(error, STATUS_BUG, "a third submission before the first was collected");
    return STATUS_OK;
}

void *executor_input(struct executor *executor, int32_t value)
{
    struct staging *set = &executor->sets[executor->submitted % SETS];

    return (char *)set->inputs.memory + executor->compiled.plan.placements[value].offset;
}

const void *executor_result(const struct executor *executor, int32_t value)
{
    const struct host_buffer *results = &executor->results[(executor->collected + RESULT_SETS - 1) % RESULT_SETS];

    return (const char *)results->memory + executor->compiled.plan.placements[value].offset;
}

/* Inputs go to the device on the copy stream, so that they travel while the device computes; the compute stream takes
 * them over when it gets there. */
static int upload_inputs(struct executor *executor, int i, struct error *error)
{
    const struct memory_plan *plan = &executor->compiled.plan;
    int64_t bytes = plan->region_bytes[REGION_INPUTS], staging = plan->region_offset[REGION_STAGING] + i * bytes;
    struct staging *set = &executor->sets[i];
    int status = timeline_mark(executor->timeline, &executor->compute, "inputs", -1, error);

    if (bytes == 0 || status != STATUS_OK)
        return status;
    status = stream_wait(&executor->copy, &set->consumed, error);
    if (status == STATUS_OK)
        status = stream_upload(&executor->copy, &executor->arena, staging, &set->inputs, 0, bytes, error);
    if (status == STATUS_OK)
        status = stream_record(&executor->copy, &set->uploaded, error);
    if (status == STATUS_OK)
        status = stream_wait(&executor->compute, &set->uploaded, error);
    if (status == STATUS_OK)
        status = stream_copy(&executor->compute, &executor->arena, plan->region_offset[REGION_INPUTS], &executor->arena,
                             staging, bytes, error);
    if (status == STATUS_OK)
        status = stream_record(&executor->compute, &set->consumed, error);
    return status;
}

/* Only what is derived from parameters may be nothing. */
static int launch(struct executor *executor, enum section_kind kind, int32_t chunk, int32_t microbatch,
                  struct error *error)
{
    const struct program *program = &executor->compiled.program;
    int64_t i;
    int status;

    for (i = 0; i < program->section_count; i++)
        if (program->sections[i].kind == kind && program->sections[i].chunk == chunk)
            break;
    if (i == program->section_count)
        return kind == SECTION_REFRESH
                   ? STATUS_OK
                   : error_set(error, STATUS_BUG, "the program was compiled without a section %s %d",
                               section_kind_name(kind), chunk);
    status = prepared_section_launch(&executor->sections[i], &executor->compute, microbatch, error);
    return status == STATUS_OK ? progress_mark(&executor->sets[executor->submitted % SETS].progress, &executor->compute,
                                               kind, microbatch, executor->section_seconds[kind], error)
                               : status;
}

static int zero_gradients(struct executor *executor, struct error *error)
{
    const struct memory_plan *plan = &executor->compiled.plan;
    int status = timeline_mark(executor->timeline, &executor->compute, "zero gradients", -1, error);

    return status == STATUS_OK
               ? stream_fill(&executor->compute, &executor->arena, plan->region_offset[REGION_GRADIENTS], 0,
                             plan->region_bytes[REGION_GRADIENTS], error)
               : status;
}

static int launch_entry(struct executor *executor, const struct schedule_entry *entry, struct error *error)
{
    switch (entry->action) {
    case SCHEDULE_ZERO:
        return zero_gradients(executor, error);
    case SCHEDULE_CLOSE:
        return launch(executor, SECTION_CLOSE, entry->chunk, 0, error);
    case SCHEDULE_FORWARD:
        return launch(executor, SECTION_FORWARD, entry->chunk, entry->microbatch, error);
    default:
        return launch(executor, SECTION_BACKWARD, entry->chunk, entry->microbatch, error);
    }
}

/* Launches of an entry of the schedule. */
static int64_t entry_launches(const struct executor *executor, const struct schedule_entry *entry)
{
    const struct program *program = &executor->compiled.program;
    const enum section_kind kind = entry->action == SCHEDULE_FORWARD    ? SECTION_FORWARD
                                   : entry->action == SCHEDULE_BACKWARD ? SECTION_BACKWARD
                                                                        : SECTION_CLOSE;

    for (int64_t i = 0; entry->action != SCHEDULE_ZERO && i < program->section_count; i++)
        if (program->sections[i].kind == kind && program->sections[i].chunk == entry->chunk)
            return program->sections[i].op_count;
    return 1;
}

/* Entries of the schedule that are launched ahead: as far as the first forward section, and further while these are few
 * launches. */
static int64_t first_entries(const struct executor *executor)
{
    const struct schedule *schedule = &executor->compiled.schedule;
    int64_t launches = 0, i = 0;
    bool busy = false;

    for (; i < schedule->count; i++) {
        launches += entry_launches(executor, &schedule->entries[i]);
        if (busy && launches > LAUNCHES_AHEAD)
            break;
        busy |= schedule->entries[i].action == SCHEDULE_FORWARD;
    }
    return i;
}

static int launch_entries(struct executor *executor, int64_t first, int64_t end, struct error *error)
{
    int status = STATUS_OK;

    for (int64_t i = first; status == STATUS_OK && i < end; i++)
        status = launch_entry(executor, &executor->compiled.schedule.entries[i], error);
    return status;
}

static int launch_rest_of_step(struct executor *executor, struct error *error)
{
    int status = launch_entries(executor, first_entries(executor), executor->compiled.schedule.count, error);

    return status == STATUS_OK ? launch(executor, SECTION_UPDATE, 0, 0, error) : status;
}

/* Device memory holds anything at first; the optimizer's moments start from zero. */
static int launch_init(struct executor *executor, struct error *error)
{
    const struct memory_plan *plan = &executor->compiled.plan;
    int status = STATUS_OK;

    if (plan->region_bytes[REGION_STATE] > 0)
        status = stream_fill(&executor->compute, &executor->arena, plan->region_offset[REGION_STATE], 0,
                             plan->region_bytes[REGION_STATE], error);
    if (status == STATUS_OK)
        status = launch(executor, SECTION_INIT, 0, 0, error);
    return status == STATUS_OK ? launch(executor, SECTION_REFRESH, 0, 0, error) : status;
}

/* Of a step its first part. */
static int launch_job(struct executor *executor, enum executor_job job, struct error *error)
{
    switch (job) {
    case EXECUTOR_INIT:
        return launch_init(executor, error);
    case EXECUTOR_REFRESH:
        return launch(executor, SECTION_REFRESH, 0, 0, error);
    case EXECUTOR_STEP:
        return launch_entries(executor, 0, first_entries(executor), error);
    case EXECUTOR_EVALUATE:
        return launch(executor, SECTION_EVALUATE, 0, 0, error);
    case EXECUTOR_PREFILL:
        return launch(executor, SECTION_PREFILL, 0, 0, error);
    case EXECUTOR_DECODE:
        return launch(executor, SECTION_DECODE, 0, 0, error);
    }
    return error_set(error, STATUS_BUG, "unknown job %d", (int)job);
}

static int download_results(struct executor *executor, int i, struct error *error)
{
    const struct memory_plan *plan = &executor->compiled.plan;
    int status = timeline_mark(executor->timeline, &executor->compute, "results", -1, error);

    if (status == STATUS_OK && plan->region_bytes[REGION_RESULTS] > 0)
        status = stream_download(&executor->compute, &executor->results[executor->submitted % RESULT_SETS], 0,
                                 &executor->arena, plan->region_offset[REGION_RESULTS],
                                 plan->region_bytes[REGION_RESULTS], error);
    if (status == STATUS_OK)
        status = timeline_mark(executor->timeline, &executor->compute, "end", -1, error);
    return status == STATUS_OK ? stream_record(&executor->compute, &executor->sets[i].done, error) : status;
}

void executor_name_step(struct executor *executor, int64_t step)
{
    executor->step = step;
}

int executor_submit_first(struct executor *executor, enum executor_job job, struct error *error)
{
    int status;

    if (executor->timeline != NULL)
        executor->timeline->count = 0;
    progress_begin(&executor->sets[executor->submitted % SETS].progress, executor->compiled.schedule.count + 1,
                   job == EXECUTOR_STEP ? executor->step : 0);
    status = upload_inputs(executor, (int)(executor->submitted % SETS), error);
    return status == STATUS_OK ? launch_job(executor, job, error) : status;
}

int executor_submit_rest(struct executor *executor, enum executor_job job, struct error *error)
{
    int status = job == EXECUTOR_STEP ? launch_rest_of_step(executor, error) : STATUS_OK;

    if (status == STATUS_OK)
        status = download_results(executor, (int)(executor->submitted % SETS), error);
    if (status == STATUS_OK)
        executor->submitted++;
    return status;
}

int executor_submit(struct executor *executor, enum executor_job job, struct error *error)
{
    int status = executor_submit_first(executor, job, error);

    return status == STATUS_OK ? executor_submit_rest(executor, job, error) : status;
}

const struct stream *executor_stream(const struct executor *executor)
{
    return &executor->compute;
}

void executor_observe(struct executor *executor, struct timeline *timeline)
{
    executor->timeline = timeline;
    for (int64_t i = 0; i < executor->compiled.program.section_count; i++)
        executor->sections[i].timeline = timeline;
}

int executor_collect(struct executor *executor, struct error *error)
{
    const struct staging *set;

    if (executor_pending(executor) == 0)
        return error_set(error, STATUS_BUG, "nothing was submitted that could be collected");
    executor->collected++;
    set = &executor->sets[(executor->collected - 1) % SETS];
    return progress_await(&set->progress, &set->done, error);
}

/* Blocks until the compute stream has done what was enqueued. */
static int settle(struct executor *executor, int32_t value, struct error *error)
{
    struct event *event = &executor->sets[executor->submitted % SETS].done;
    int status = stream_record(&executor->compute, event, error);

    char what[96];

    snprintf(what, sizeof what, "copying %.80s", executor->compiled.program.values[value].name);
    return status == STATUS_OK ? event_finish(event, executor->device->timeout_ns, what, error) : status;
}

static int64_t arena_offset(const struct executor *executor, int32_t value)
{
    const struct placement *at = &executor->compiled.plan.placements[value];

    return executor->compiled.plan.region_offset[at->region] + at->offset;
}

int executor_read(struct executor *executor, int32_t value, void *data, struct error *error)
{
    int64_t bytes = value_bytes(&executor->compiled.program.values[value]), done = 0;
    int status = STATUS_OK;

    while (status == STATUS_OK && done < bytes) {
        int64_t part = bytes - done < TRANSFER_BYTES ? bytes - done : TRANSFER_BYTES;

        status = stream_download(&executor->compute, &executor->transfer, 0, &executor->arena,
                                 arena_offset(executor, value) + done, part, error);
        if (status == STATUS_OK)
            status = settle(executor, value, error);
        if (status == STATUS_OK)
            memcpy((char *)data + done, executor->transfer.memory, (size_t)part);
        done += part;
    }
    return status;
}

int executor_write(struct executor *executor, int32_t value, const void *data, struct error *error)
{
    int64_t bytes = value_bytes(&executor->compiled.program.values[value]), done = 0;
    int status = STATUS_OK;

    while (status == STATUS_OK && done < bytes) {
        int64_t part = bytes - done < TRANSFER_BYTES ? bytes - done : TRANSFER_BYTES;

        memcpy(executor->transfer.memory, (const char *)data + done, (size_t)part);
        status = stream_upload(&executor->compute, &executor->arena, arena_offset(executor, value) + done,
                               &executor->transfer, 0, part, error);
        if (status == STATUS_OK)
            status = settle(executor, value, error);
        done += part;
    }
    return status;
}
