#include "compile/commands.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "passes/segments.h"
#include "program/op_table.h"
#include "program/text.h"

struct listing {
    const struct program *program;
    const struct flow *flow;
    struct command_list *list;
    struct error *error;
    int status;
};

static void put(struct listing *listing, const struct command *command)
{
    struct command_list *list = listing->list;
    struct command *commands;

    if (listing->status != STATUS_OK)
        return;
    commands = array_reserve(list->commands, list->count, 1, &list->capacity, sizeof *commands);
    if (commands == NULL) {
        listing->status = error_set(listing->error, STATUS_MEMORY, "no memory for the commands of a step");
        return;
    }
    list->commands = commands;
    commands[list->count++] = *command;
}

static void put_plain(struct listing *listing, enum command_kind kind, enum command_lane lane, int32_t what)
{
    put(listing,
        &(struct command){.kind = (uint8_t)kind, .lane = (uint8_t)lane, .what = what, .microbatch = -1, .entry = -1});
}

static void begin(struct listing *listing)
{
    put_plain(listing, COMMAND_WAIT, LANE_COPY, POINT_CONSUMED);
    put_plain(listing, COMMAND_UPLOAD, LANE_COPY, 0);
    put_plain(listing, COMMAND_RECORD, LANE_COPY, POINT_UPLOADED);
    put_plain(listing, COMMAND_WAIT, LANE_COMPUTE, POINT_UPLOADED);
    put_plain(listing, COMMAND_COPY_IN, LANE_COMPUTE, 0);
}

static void end(struct listing *listing)
{
    put_plain(listing, COMMAND_DOWNLOAD, LANE_COMPUTE, 0);
    put_plain(listing, COMMAND_RECORD, LANE_COMPUTE, POINT_DONE);
}

/* What runs a section. */
static enum command_kind runs(const struct program *program, int64_t section)
{
    return segment_communication(program, &program->sections[section]) != NULL ? COMMAND_COLLECTIVE : COMMAND_LAUNCH;
}

static void put_section(struct listing *listing, int64_t section)
{
    put_plain(listing, runs(listing->program, section), LANE_COMPUTE, (int32_t)section);
}

/* Launches the sections of one kind, in the order of the program. Returns how many there are. */
static int64_t launch_all(struct listing *listing, enum section_kind kind)
{
    int64_t count = 0;

    for (int64_t s = 0; s < listing->program->section_count; s++)
        if (listing->program->sections[s].kind == kind) {
            put_section(listing, s);
            count++;
        }
    return count;
}

/* A section of a step that writes the value, or a view of it; -1 where none does. */
static int64_t writer(const struct program *program, int32_t value)
{
    for (int64_t s = 0; value != NO_VALUE && s < program->section_count; s++)
        for (int32_t i = 0; i < program->sections[s].op_count; i++) {
            const struct op *op = &program->ops[program->sections[s].first_op + i];
            const struct op_info *info = op_info_find(op->op);

            for (uint32_t k = 0; info->operands[k].name != NULL; k++) {
                const int32_t output = program_operands(program, op)[k];

                if (info->operands[k].direction == OPERAND_OUT && output != NO_VALUE &&
                    program_root(program, output) == value)
                    return s;
            }
        }
    return -1;
}

static void launch_entry(struct listing *listing, const struct pipeline_entry *entry, int64_t number,
                         int32_t microbatch_losses, int64_t losses_section)
{
    const struct program *program = listing->program;
    struct command command = {.microbatch = entry->microbatch, .entry = number};
    bool losses = false;

    for (int64_t s = 0; s < program->section_count; s++) {
        const struct section *section = &program->sections[s];

        if (section->kind != flow_section_kind(entry) || section->chunk != entry->chunk)
            continue;
        command.kind = (uint8_t)runs(program, s);
        command.what = (int32_t)s;
        put(listing, &command);
        losses |= s == losses_section;
    }
    command.kind = COMMAND_COPY_OUT;
    command.what = microbatch_losses;
    if (losses)
        put(listing, &command);
}

/* A section with nothing to do is none. */
static void combine(struct listing *listing, enum section_kind kind, int32_t chunk, int32_t level)
{
    const struct program *program = listing->program;

    for (int64_t s = 0; s < program->section_count; s++)
        if (program->sections[s].kind == kind && program->sections[s].chunk == chunk &&
            program->sections[s].level == level)
            put_section(listing, s);
}

/* Not every chunk has some: all of it may be frozen, or W is one section with B. */
static void zero(struct listing *listing, int32_t accumulators)
{
    for (int64_t i = 0; i < listing->program->value_count; i++)
        if (listing->flow->accumulator[i] == accumulators) {
            put_plain(listing, COMMAND_ZERO, LANE_COMPUTE, accumulators);
            return;
        }
}

static void list_step(struct listing *listing, const struct pipeline_shape *shape, const struct pipeline_rank *rank,
                      int32_t microbatch_losses)
{
    const int64_t losses_section = writer(listing->program, microbatch_losses);
    int32_t begun = 0; /* microbatches whose inputs were taken in */

    begin(listing);
    for (int64_t i = 0; i < rank->count; i++) {
        const struct pipeline_entry *entry = &rank->entries[i];

        switch (entry->action) {
        case PIPELINE_ZERO_B:
        case PIPELINE_ZERO_W:
            zero(listing, flow_accumulators(entry->chunk, entry->action == PIPELINE_ZERO_W));
            break;
        case PIPELINE_COMBINE_B:
            combine(listing, SECTION_COMBINE_INPUT, entry->chunk, entry->level);
            break;
        case PIPELINE_COMBINE_W:
            combine(listing, SECTION_COMBINE_WEIGHT, entry->chunk, entry->level);
            break;
        default:
            if (entry->microbatch == begun) {
                put(listing, &(struct command){.kind = COMMAND_COPY_IN, .microbatch = begun++, .entry = i});
                if (begun == shape->microbatches)
                    put_plain(listing, COMMAND_RECORD, LANE_COMPUTE, POINT_CONSUMED);
            }
            launch_entry(listing, entry, i, microbatch_losses, losses_section);
        }
    }
    launch_all(listing, SECTION_REDUCE);
    launch_all(listing, SECTION_UPDATE);
    end(listing);
}

static bool is_slots(const struct value *value)
{
    for (int i = 0; i < MESH_AXES; i++)
        if (value->kind == VALUE_SCRATCH && value->partial[i].reduction == REDUCTION_SLOT)
            return true;
    return false;
}

/* Slots that other ranks write are zero here, and stay it. */
static void zero_slots(struct listing *listing)
{
    for (int64_t i = 0; i < listing->program->value_count; i++)
        if (is_slots(&listing->program->values[i])) {
            put_plain(listing, COMMAND_FILL, LANE_COMPUTE, REGION_SCRATCH);
            return;
        }
}

static void list_init(struct listing *listing)
{
    begin(listing);
    put_plain(listing, COMMAND_RECORD, LANE_COMPUTE, POINT_CONSUMED);
    /* Device memory holds anything at first; the optimizer's moments start from zero. */
    put_plain(listing, COMMAND_FILL, LANE_COMPUTE, REGION_STATE);
    zero_slots(listing);
    launch_all(listing, SECTION_INIT);
    launch_all(listing, SECTION_CAST_WEIGHTS);
    end(listing);
}

/* A job that is all sections of one kind; without any, the program cannot do it, and the list stays empty. */
static void list_kind(struct listing *listing, enum section_kind kind, bool always)
{
    begin(listing);
    put_plain(listing, COMMAND_RECORD, LANE_COMPUTE, POINT_CONSUMED);
    if (kind == SECTION_CAST_WEIGHTS) /* after loading, which is no init */
        zero_slots(listing);
    if (launch_all(listing, kind) == 0 && !always)
        listing->list->count = 0;
    else
        end(listing);
}

int commands_make(const struct program *program, const struct pipeline_shape *shape, const struct pipeline_rank *rank,
                  const struct flow *flow, int32_t microbatch_losses, struct commands *commands, struct error *error)
{
    struct listing listing = {.program = program, .flow = flow, .error = error};

    memset(commands, 0, sizeof *commands);
    for (int job = 0; job < JOBS && listing.status == STATUS_OK; job++) {
        listing.list = &commands->jobs[job];
        switch ((enum job)job) {
        case JOB_INIT:
            list_init(&listing);
            break;
        case JOB_CAST_WEIGHTS:
            list_kind(&listing, SECTION_CAST_WEIGHTS, true);
            break;
        case JOB_STEP:
            if (rank != NULL)
                list_step(&listing, shape, rank, microbatch_losses);
            break;
        case JOB_EVALUATE:
            list_kind(&listing, SECTION_EVALUATE, false);
            break;
        case JOB_PREFILL:
            list_kind(&listing, SECTION_PREFILL, false);
            break;
        case JOB_DECODE:
            list_kind(&listing, SECTION_DECODE, false);
            break;
        case JOBS:
            break;
        }
    }
    if (listing.status != STATUS_OK)
        commands_finish(commands);
    return listing.status;
}

void commands_finish(struct commands *commands)
{
    for (int job = 0; job < JOBS; job++)
        free(commands->jobs[job].commands);
    memset(commands, 0, sizeof *commands);
}

const char *job_name(enum job job)
{
    static const char *const names[JOBS] = {"init", "cast_weights", "step", "evaluate", "prefill", "decode"};

    return job < JOBS ? names[job] : "?";
}

static void print_collective(const struct program *program, const struct section *section, struct text *text)
{
    const struct op *op = &program->ops[section->first_op];
    const struct communication_attributes *attributes = program_attributes(program, op);

    text_add(text, " %s %s %s in ", op_info_find(op->op)->name, mesh_axis_name((enum mesh_axis)attributes->axis),
             program->values[program_operands(program, op)[op->op == OP_SEND ? SEND_X : 1]].name);
    program_print_section(section, text);
}

static void print_what(const struct program *program, const struct command *command, struct text *text)
{
    static const char *const points[POINTS] = {"uploaded", "consumed", "done"};

    switch (command->kind) {
    case COMMAND_COLLECTIVE:
        print_collective(program, &program->sections[command->what], text);
        break;
    case COMMAND_LAUNCH:
        text_add(text, " ");
        program_print_section(&program->sections[command->what], text);
        break;
    case COMMAND_FILL:
        text_add(text, " %s", plan_region_name((enum plan_region)command->what));
        break;
    case COMMAND_ZERO:
        text_add(text, " %s %d", command->what % 2 == 0 ? "B" : "W", command->what / 2);
        break;
    case COMMAND_COPY_OUT:
        text_add(text, " %s", program->values[command->what].name);
        break;
    case COMMAND_RECORD:
    case COMMAND_WAIT:
        text_add(text, " %s", points[command->what]);
        break;
    default:
        break;
    }
}

static void print_slots(const struct flow *flow, const struct command *command, struct text *text)
{
    const int32_t *slots = &flow->slots[command->entry * flow->pools];

    text_add(text, " slots");
    for (int32_t p = 0; p < flow->pools; p++)
        if (slots[p] >= 0)
            text_add(text, " %d:%d", p, slots[p]);
}

void commands_print(const struct program *program, const struct flow *flow, const struct commands *commands,
                    struct text *text)
{
    static const char *const kinds[] = {"upload", "copy in",  "launch",   "collective", "fill",
                                        "zero",   "copy out", "download", "record",     "wait"};
    static const char *const lanes[LANES] = {"compute", "copy"};

    for (int job = 0; job < JOBS; job++) {
        const struct command_list *list = &commands->jobs[job];

        if (list->count > 0)
            text_add(text, "job %s\n", job_name((enum job)job));
        for (int64_t i = 0; i < list->count; i++) {
            const struct command *command = &list->commands[i];

            text_add(text, "  %-8s%s", lanes[command->lane], kinds[command->kind]);
            print_what(program, command, text);
            if (command->microbatch >= 0)
                text_add(text, " microbatch %d", command->microbatch);
            if (command->entry >= 0)
                print_slots(flow, command, text);
            text_add(text, "\n");
        }
    }
}
