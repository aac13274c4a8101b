#include "runtime/executor.h"

#include <stdlib.h>
#include <string.h>

#include "hal/stream.h"
#include "passes/segments.h"
#include "plugin/guard.h"
#include "program/part.h"
#include "runtime/arena.h"
#include "runtime/captures.h"
#include "runtime/prepared_exchange.h"
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
    struct event points[POINTS];
    struct progress progress;
};

struct executor {
    struct device *device;
    const struct compiled *compiled;
    struct arena arena; /* all memory on the device */
    struct stream streams[LANES];
    struct staging sets[SETS];
    struct host_buffer results[RESULT_SETS];
    struct host_buffer transfer;
    struct prepared_section *sections;   /* those of the program that are launched; owned */
    struct prepared_exchange *exchanges; /* those that are communication; owned, NULL: there are none */
    struct exchange_host exchange_host;
    struct captures captures;
    double *section_seconds;      /* of a launch of each section, at most; owned */
    int64_t first_commands[JOBS]; /* of each job: those that are enqueued first */
    int64_t marks[JOBS];          /* of each job: places for marks of progress */
    int64_t submitted, collected;
    int64_t step;     /* for messages: number of the step that is submitted next */
    double unmarked;  /* seconds of the launches since the last mark */
    double unsettled; /* seconds of those since the last communication */
    int64_t naming;   /* the step of the job that is enqueued, 0: it is of none */
    struct timeline *timeline;
};

static int64_t at_least_one(int64_t bytes)
{
    return bytes > 0 ? bytes : PLAN_ALIGNMENT;
}

static int allocate(struct executor *executor, struct error *error)
{
    const struct memory_plan *plan = &executor->compiled->plan;
    int64_t inputs = at_least_one(plan->staged_bytes), results = at_least_one(plan->region_bytes[REGION_RESULTS]);
    struct device *device = executor->device;
    int status = arena_create(device, plan, &executor->arena, error);

    if (status == STATUS_OK)
        status = stream_create(device, LLMRUN_STREAM_COMPUTE, &executor->streams[LANE_COMPUTE], error);
    if (status == STATUS_OK)
        status = stream_create(device, LLMRUN_STREAM_COPY, &executor->streams[LANE_COPY], error);
    if (status == STATUS_OK)
        status = host_buffer_create(device, TRANSFER_BYTES, &executor->transfer, error);
    for (int i = 0; status == STATUS_OK && i < SETS; i++) {
        struct staging *set = &executor->sets[i];

        status = host_buffer_create(device, inputs, &set->inputs, error);
        for (int point = 0; status == STATUS_OK && point < POINTS; point++)
            status = event_create(device, &set->points[point], error);
        if (status == STATUS_OK)
            status = progress_create(device, &set->progress, error);
        if (status == STATUS_OK)
            memset(set->inputs.memory, 0, (size_t)inputs);
    }
    for (int i = 0; status == STATUS_OK && i < RESULT_SETS; i++)
        status = host_buffer_create(device, results, &executor->results[i], error);
    return status;
}

static int prepare_section(struct executor *executor, int64_t s, struct error *error)
{
    const struct compiled *compiled = executor->compiled;
    const struct section *section = &compiled->program.sections[s];

    if (segment_communication(&compiled->program, section) != NULL)
        return prepared_exchange_create(&executor->exchange_host, compiled, s, &executor->exchanges[s], error);
    return prepared_section_create(executor->device, compiled, section, &executor->arena, &executor->sections[s],
                                   error);
}

static int prepare_sections(struct executor *executor, struct error *error)
{
    const struct program *program = &executor->compiled->program;

    executor->sections = calloc((size_t)program->section_count + 1, sizeof *executor->sections);
    if (executor->compiled->exchanges != NULL)
        executor->exchanges = calloc((size_t)program->section_count + 1, sizeof *executor->exchanges);
    if (executor->sections == NULL || (executor->compiled->exchanges != NULL && executor->exchanges == NULL))
        return error_set(error, STATUS_MEMORY, "no memory for %lld sections", (long long)program->section_count);
    for (int64_t s = 0; s < program->section_count; s++) {
        int status = prepare_section(executor, s, error);

        if (status != STATUS_OK)
            return error_prefix(error, "section %s", section_kind_name(program->sections[s].kind));
    }
    return STATUS_OK;
}

/* A plugin's call may block for a section, where the device takes no more work ahead. */
static int expect_sections(struct executor *executor, struct error *error)
{
    const struct program *program = &executor->compiled->program;
    double longest = 0;

    executor->section_seconds = calloc((size_t)program->section_count + 1, sizeof *executor->section_seconds);
    if (executor->section_seconds == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for %lld sections", (long long)program->section_count);
    for (int64_t s = 0; s < program->section_count; s++) {
        executor->section_seconds[s] = progress_seconds(executor->device, program, &program->sections[s]);
        longest = executor->section_seconds[s] > longest ? executor->section_seconds[s] : longest;
    }
    guard_allow(longest);
    return STATUS_OK;
}

/* Where a plugin's call may block until there is room for all of a replay. */
static void expect_replays(const struct executor *executor)
{
    for (int64_t k = 0; k < executor->captures.count; k++) {
        const struct captured *captured = &executor->captures.captured[k];
        const struct command *commands = executor->compiled->commands.jobs[captured->job].commands;
        double seconds = 0;

        for (int64_t i = captured->first; i < captured->end; i++)
            seconds += commands[i].kind == COMMAND_LAUNCH ? executor->section_seconds[commands[i].what] : 0;
        guard_allow(seconds);
    }
}

/* Whether command `i` launches the last section of an entry of the schedule, or of a job that has none. */
static bool ends_entry(const struct command_list *list, int64_t i)
{
    const struct command *command = &list->commands[i], *next = command + 1;

    return command->kind == COMMAND_LAUNCH &&
           (i + 1 == list->count || next->kind != COMMAND_LAUNCH || next->entry != command->entry);
}

/* Commands of a step that are enqueued ahead: as far as the first entry of the schedule, and further while these are
 * few launches. Other jobs are enqueued at once, but for their results. */
static void divide_job(struct executor *executor, enum job job)
{
    const struct command_list *list = &executor->compiled->commands.jobs[job];
    int64_t launches = 0, first = -1;
    bool busy = false;

    for (int64_t i = 0; i < list->count; i++) {
        const struct command *command = &list->commands[i];

        executor->marks[job] += ends_entry(list, i);
        if (command->kind == COMMAND_LAUNCH)
            launches += executor->compiled->program.sections[command->what].op_count;
        if (first < 0 && (command->kind == COMMAND_DOWNLOAD || (job == JOB_STEP && busy && launches > LAUNCHES_AHEAD)))
            first = i;
        busy |= ends_entry(list, i) && command->entry >= 0;
    }
    executor->first_commands[job] = captures_behind(&executor->captures, job, first < 0 ? list->count : first);
}

int executor_create(struct device *device, const struct compiled *compiled, const struct communication *communication,
                    struct executor **out, struct error *error)
{
    struct executor *executor = calloc(1, sizeof *executor);
    int status;

    if (executor == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the executor");
    executor->device = device;
    executor->compiled = compiled;
    status = expect_sections(executor, error);
    if (status == STATUS_OK)
        status = allocate(executor, error);
    if (status == STATUS_OK)
        status =
            exchange_host_create(device, compiled, &executor->arena, communication, &executor->exchange_host, error);
    if (status == STATUS_OK)
        status = prepare_sections(executor, error);
    if (status == STATUS_OK)
        status = captures_create(device, compiled, executor->sections, &executor->captures, error);
    if (status == STATUS_OK)
        expect_replays(executor);
    for (int job = 0; job < JOBS; job++)
        divide_job(executor, (enum job)job);
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
    if (executor->streams[LANE_COMPUTE].handle != NULL && !executor->device->lost)
        device_synchronize(executor->device, &ignored);
    captures_destroy(&executor->captures);
    for (int64_t i = 0; executor->sections != NULL && i < executor->compiled->program.section_count; i++)
        prepared_section_destroy(&executor->sections[i]);
    exchange_host_destroy(&executor->exchange_host); /* its thread may be at one of these */
    for (int64_t i = 0; executor->exchanges != NULL && i < executor->compiled->program.section_count; i++)
        prepared_exchange_destroy(&executor->exchanges[i]);
    free(executor->sections);
    free(executor->exchanges);
    free(executor->section_seconds);
    for (int i = 0; i < SETS; i++) {
        for (int point = 0; point < POINTS; point++)
            event_destroy(&executor->sets[i].points[point]);
        progress_destroy(&executor->sets[i].progress);
        host_buffer_destroy(&executor->sets[i].inputs);
    }
    for (int i = 0; i < RESULT_SETS; i++)
        host_buffer_destroy(&executor->results[i]);
    host_buffer_destroy(&executor->transfer);
    for (int lane = 0; lane < LANES; lane++)
        stream_destroy(&executor->streams[lane]);
    arena_destroy(&executor->arena);
    free(executor);
}

const struct compiled *executor_compiled(const struct executor *executor)
{
    return executor->compiled;
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

void *executor_input(struct executor *executor, int32_t value, int32_t microbatch)
{
    struct staging *set = &executor->sets[executor->submitted % SETS];

    return (char *)set->inputs.memory + memory_plan_staged(&executor->compiled->plan, value, microbatch);
}

const void *executor_result(const struct executor *executor, int32_t value)
{
    const struct host_buffer *results = &executor->results[(executor->collected + RESULT_SETS - 1) % RESULT_SETS];

    return (const char *)results->memory + executor->compiled->plan.placements[value].offset;
}

double executor_wide_result(const struct executor *executor, int32_t value, int64_t index)
{
    const void *data = executor_result(executor, value);

    return executor->compiled->program.values[value].dtype == LLMRUN_F32 ? ((const float *)data)[index]
                                                                         : ((const double *)data)[index];
}

static struct staging *current(struct executor *executor)
{
    return &executor->sets[executor->submitted % SETS];
}

/* Inputs go to the device on the copy stream, so that they travel while the device computes; the compute stream takes
 * them over when it gets there. Of a job without a schedule only those that are no microbatch's travel. */
static int upload(struct executor *executor, enum job job, const struct stream *stream, struct error *error)
{
    const struct memory_plan *plan = &executor->compiled->plan;
    const int64_t bytes = job == JOB_STEP ? plan->staged_bytes : plan->step_input_bytes;
    const int64_t to = plan->region_offset[REGION_STAGING] + executor->submitted % SETS * plan->staged_bytes;

    return arena_upload(stream, &executor->arena, to, &current(executor)->inputs, 0, bytes, error);
}

static int copy_in(struct executor *executor, const struct command *command, const int32_t *slots,
                   const struct stream *stream, struct error *error)
{
    const struct memory_plan *plan = &executor->compiled->plan;
    const int64_t each = plan->microbatch_input_bytes;
    int64_t from = plan->region_offset[REGION_STAGING] + executor->submitted % SETS * plan->staged_bytes,
            to = plan->region_offset[REGION_INPUTS], bytes = plan->step_input_bytes;

    if (command->microbatch >= 0) {
        from += plan->step_input_bytes + command->microbatch * each;
        to += plan->step_input_bytes + plan->steps[slots[POOL_INPUT]];
        bytes = each;
    }
    return arena_copy(stream, &executor->arena, to, from, bytes, error);
}

static int64_t arena_offset(const struct executor *executor, int32_t value)
{
    return memory_plan_offset(&executor->compiled->plan, value, 0);
}

static int copy_out(struct executor *executor, const struct command *command, const struct stream *stream,
                    struct error *error)
{
    const struct value *value = &executor->compiled->program.values[command->what];
    const int64_t bytes = value_bytes(value),
                  first = executor->compiled->mesh.index[MESH_DP] * (int64_t)executor->compiled->microbatches;

    return arena_copy(stream, &executor->arena,
                      arena_offset(executor, value->source) + (first + command->microbatch) * bytes,
                      arena_offset(executor, command->what), bytes, error);
}

static int fill(struct executor *executor, enum plan_region region, const struct plan_range *range,
                const struct stream *stream, struct error *error)
{
    const int64_t offset = executor->compiled->plan.region_offset[region] + range->offset;

    return arena_fill(stream, &executor->arena, offset, 0, range->bytes, error);
}

static int zero(struct executor *executor, int32_t accumulators, const struct stream *stream, struct error *error)
{
    const struct memory_plan *plan = &executor->compiled->plan;

    return accumulators < plan->accumulator_count
               ? fill(executor, REGION_GRADIENTS, &plan->accumulators[accumulators], stream, error)
               : STATUS_OK;
}

static int download(struct executor *executor, const struct stream *stream, struct error *error)
{
    const struct memory_plan *plan = &executor->compiled->plan;

    return arena_download(stream, &executor->results[executor->submitted % RESULT_SETS], 0, &executor->arena,
                          plan->region_offset[REGION_RESULTS], plan->region_bytes[REGION_RESULTS], error);
}

/* For a timeline: what the compute lane does from here on. Launches leave marks of their own. */
static const char *command_label(const struct command *command)
{
    static const char *const labels[] = {[COMMAND_COPY_IN] = "inputs",  [COMMAND_COLLECTIVE] = "exchange",
                                         [COMMAND_FILL] = "zeros",      [COMMAND_ZERO] = "zero gradients",
                                         [COMMAND_COPY_OUT] = "losses", [COMMAND_DOWNLOAD] = "results",
                                         [COMMAND_RECORD] = NULL,       [COMMAND_WAIT] = NULL};

    if (command->lane != LANE_COMPUTE)
        return NULL;
    return command->kind == COMMAND_RECORD && command->what == POINT_DONE ? "end" : labels[command->kind];
}

/* Blocks until the other ranks have taken part. */
static int exchange(struct executor *executor, const struct command *command, const int32_t *slots, struct error *error)
{
    const double seconds = executor->unsettled;

    executor->unsettled = 0;
    executor->exchange_host.step = executor->naming;
    return prepared_exchange_run(&executor->exchanges[command->what], &executor->exchange_host,
                                 &executor->streams[LANE_COMPUTE], slots, seconds, error);
}

static int enqueue(struct executor *executor, enum job job, const struct command *command, struct error *error)
{
    const struct flow *flow = &executor->compiled->flow;
    const int32_t *slots = command->entry >= 0 ? &flow->slots[command->entry * flow->pools] : NULL;
    const struct stream *stream = &executor->streams[command->lane];
    struct staging *set = current(executor);
    const char *label = command_label(command);
    int status = STATUS_OK;

    if (label != NULL)
        status = timeline_mark(executor->timeline, stream, label, -1, error);
    if (status != STATUS_OK)
        return status;
    switch ((enum command_kind)command->kind) {
    case COMMAND_UPLOAD:
        return upload(executor, job, stream, error);
    case COMMAND_COPY_IN:
        return copy_in(executor, command, slots, stream, error);
    case COMMAND_LAUNCH:
        return prepared_section_launch(&executor->sections[command->what], stream, slots, error);
    case COMMAND_COLLECTIVE:
        return exchange(executor, command, slots, error);
    case COMMAND_FILL:
        return fill(executor, (enum plan_region)command->what,
                    &(struct plan_range){0, executor->compiled->plan.region_bytes[command->what]}, stream, error);
    case COMMAND_ZERO:
        return zero(executor, command->what, stream, error);
    case COMMAND_COPY_OUT:
        return copy_out(executor, command, stream, error);
    case COMMAND_DOWNLOAD:
        return download(executor, stream, error);
    case COMMAND_RECORD:
        return stream_record(stream, &set->points[command->what], error);
    case COMMAND_WAIT:
        return stream_wait(stream, &set->points[command->what], error);
    }
    return error_set(error, STATUS_BUG, "unknown command %d", command->kind);
}

static enum section_kind kind_of(const struct executor *executor, const struct command *launch)
{
    return (enum section_kind)executor->compiled->program.sections[launch->what].kind;
}

/* The commands from `first` to `end` were enqueued, as one. */
static int note_progress(struct executor *executor, enum job job, int64_t first, int64_t end, struct error *error)
{
    const struct command_list *list = &executor->compiled->commands.jobs[job];
    const struct command *last = NULL;
    int64_t entries = 0;
    double seconds;

    for (int64_t i = first; i < end; i++) {
        if (list->commands[i].kind == COMMAND_LAUNCH) {
            executor->unmarked += executor->section_seconds[list->commands[i].what];
            executor->unsettled += executor->section_seconds[list->commands[i].what];
        }
        if (ends_entry(list, i)) {
            last = &list->commands[i];
            entries++;
        }
    }
    if (last == NULL)
        return STATUS_OK;
    seconds = executor->unmarked;
    executor->unmarked = 0;
    return progress_mark(&current(executor)->progress, &executor->streams[last->lane], kind_of(executor, last),
                         last->microbatch, entries, seconds, error);
}

static int capture_run(struct executor *executor, enum job job, struct captured *captured, int64_t first, int64_t end,
                       struct error *error)
{
    const struct command_list *list = &executor->compiled->commands.jobs[job];
    const struct stream *stream = &executor->streams[LANE_COMPUTE];
    int status = stream_capture_begin(stream, error);

    if (status != STATUS_OK)
        return status;
    for (int64_t i = first; status == STATUS_OK && i < end; i++)
        status = enqueue(executor, job, &list->commands[i], error);
    if (status == STATUS_OK)
        return stream_capture_end(stream, &captured->graph, error);
    stream_capture_cancel(stream);
    return status;
}

/* Replays the run of commands, which is captured when it comes for the second time. */
static int replay_run(struct executor *executor, enum job job, struct captured *captured, int64_t first, int64_t end,
                      struct error *error)
{
    const struct command *command = &executor->compiled->commands.jobs[job].commands[first];
    const struct command *last = command + (end - first - 1);
    int status = STATUS_OK;

    if (captured->graph.handle == NULL)
        status = capture_run(executor, job, captured, first, end, error);
    if (status != STATUS_OK) {
        while (command < last && command->kind != COMMAND_LAUNCH)
            command++;
        if (command->kind == COMMAND_LAUNCH)
            error_prefix(error, "section %s could not be captured", section_kind_name(kind_of(executor, command)));
        return status;
    }
    status = stream_replay(&executor->streams[LANE_COMPUTE], &captured->graph, error);
    return status == STATUS_OK ? note_progress(executor, job, first, end, error) : status;
}

/* Enqueues the commands from `first` to `end`, and leaves marks of progress. A timeline wants to see each launch. */
static int walk(struct executor *executor, enum job job, int64_t first, int64_t end, struct error *error)
{
    const struct command_list *list = &executor->compiled->commands.jobs[job];
    int status = STATUS_OK;

    for (int64_t i = first, next; status == STATUS_OK && i < end; i = next) {
        struct captured *captured = captures_find(&executor->captures, job, i, &next);

        if (captured != NULL && captured->uses++ > 0 && executor->timeline == NULL) {
            status = replay_run(executor, job, captured, i, next, error);
            continue;
        }
        next = i + 1;
        status = enqueue(executor, job, &list->commands[i], error);
        if (status == STATUS_OK)
            status = note_progress(executor, job, i, next, error);
    }
    if (status != STATUS_OK && job == JOB_STEP && executor->step > 0)
        error_prefix(error, "step %lld", (long long)executor->step);
    return status;
}

void executor_name_step(struct executor *executor, int64_t step)
{
    executor->step = step;
}

int executor_submit_first(struct executor *executor, enum job job, struct error *error)
{
    if (executor->compiled->commands.jobs[job].count == 0)
        return error_set(error, STATUS_BUG, "the program was compiled without the job %s", job_name(job));
    if (executor->timeline != NULL)
        executor->timeline->count = 0;
    executor->unmarked = 0;
    executor->naming = job == JOB_STEP ? executor->step : 0;
    progress_begin(&current(executor)->progress, executor->marks[job], job == JOB_STEP ? executor->step : 0);
    return walk(executor, job, 0, executor->first_commands[job], error);
}

int executor_submit_rest(struct executor *executor, enum job job, struct error *error)
{
    int status =
        walk(executor, job, executor->first_commands[job], executor->compiled->commands.jobs[job].count, error);

    if (status == STATUS_OK)
        executor->submitted++;
    return status;
}

int executor_submit(struct executor *executor, enum job job, struct error *error)
{
    int status = executor_submit_first(executor, job, error);

    return status == STATUS_OK ? executor_submit_rest(executor, job, error) : status;
}

const struct stream *executor_stream(const struct executor *executor)
{
    return &executor->streams[LANE_COMPUTE];
}

void executor_observe(struct executor *executor, struct timeline *timeline)
{
    executor->timeline = timeline;
    for (int64_t i = 0; i < executor->compiled->program.section_count; i++)
        executor->sections[i].timeline = timeline;
}

int executor_collect(struct executor *executor, struct error *error)
{
    const struct staging *set;

    if (executor_pending(executor) == 0)
        return error_set(error, STATUS_BUG, "nothing was submitted that could be collected");
    executor->collected++;
    set = &executor->sets[(executor->collected - 1) % SETS];
    return progress_await(&set->progress, &set->points[POINT_DONE], error);
}

/* Blocks until the compute stream has done what was enqueued. */
static int settle(struct executor *executor, int32_t value, struct error *error)
{
    struct event *event = &executor->sets[executor->submitted % SETS].points[POINT_DONE];
    const struct awaited awaited = {.what = "copying", .name = executor->compiled->program.values[value].name};
    int status = stream_record(&executor->streams[LANE_COMPUTE], event, error);

    return status == STATUS_OK ? event_finish(event, executor->device->timeout_ns, &awaited, error) : status;
}

int executor_read(struct executor *executor, int32_t value, void *data, struct error *error)
{
    int64_t bytes = value_bytes(&executor->compiled->program.values[value]), done = 0;
    int status = STATUS_OK;

    while (status == STATUS_OK && done < bytes) {
        int64_t part = bytes - done < TRANSFER_BYTES ? bytes - done : TRANSFER_BYTES;

        status = arena_download(&executor->streams[LANE_COMPUTE], &executor->transfer, 0, &executor->arena,
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
    int64_t bytes = value_bytes(&executor->compiled->program.values[value]), done = 0;
    int status = STATUS_OK;

    while (status == STATUS_OK && done < bytes) {
        int64_t part = bytes - done < TRANSFER_BYTES ? bytes - done : TRANSFER_BYTES;

        memcpy(executor->transfer.memory, (const char *)data + done, (size_t)part);
        status = arena_upload(&executor->streams[LANE_COMPUTE], &executor->arena, arena_offset(executor, value) + done,
                              &executor->transfer, 0, part, error);
        if (status == STATUS_OK)
            status = settle(executor, value, error);
        done += part;
    }
    return status;
}

int executor_write_whole(struct executor *executor, int32_t value, const void *whole, struct error *error)
{
    const struct value *form = &executor->compiled->program.values[value];
    void *part;
    int status;

    if (!value_is_split(form))
        return executor_write(executor, value, whole, error);
    part = malloc((size_t)value_bytes(form) + 1);
    if (part == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for %s, %lld bytes", form->name,
                         (long long)value_bytes(form));
    status = value_take_part(form, whole, part, error);
    if (status == STATUS_OK)
        status = executor_write(executor, value, part, error);
    free(part);
    return status;
}
