#include "compile/timeline.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

static const struct pipeline_costs units = {1, 1, 1, 0};

/* When each entry of each rank runs: spans[rank], which lie in one array behind them. NULL without memory. */
static struct pipeline_span **allocate_spans(const struct pipeline *pipeline)
{
    const int32_t ranks = pipeline->shape.ranks;
    struct pipeline_span **spans = calloc((size_t)ranks, sizeof *spans);
    int64_t count = 0;

    for (int32_t rank = 0; rank < ranks; rank++)
        count += pipeline->ranks[rank].count;
    if (spans == NULL || (spans[0] = calloc((size_t)count + 1, sizeof **spans)) == NULL) {
        free(spans);
        return NULL;
    }
    for (int32_t rank = 1; rank < ranks; rank++)
        spans[rank] = spans[rank - 1] + pipeline->ranks[rank - 1].count;
    return spans;
}

static void free_spans(struct pipeline_span **spans)
{
    if (spans != NULL)
        free(spans[0]);
    free(spans);
}

static bool combines(int kind)
{
    return kind == SECTION_COMBINE_INPUT || kind == SECTION_COMBINE_WEIGHT;
}

/* Whether the command's section belongs to the box before it, of entry `entry`. */
static bool continues(const struct timeline_box *box, int64_t entry, const struct command *command,
                      const struct section *section)
{
    if (command->entry >= 0 || entry >= 0)
        return command->entry == entry;
    return box->kind == section->kind || (combines(box->kind) && combines(section->kind));
}

static int add_box(struct timeline *timeline, const struct command *command, const struct section *section,
                   const struct pipeline_span *spans, struct error *error)
{
    struct timeline_box *boxes = array_reserve(timeline->boxes, timeline->count, 1, &timeline->capacity, sizeof *boxes);
    struct timeline_box *box;
    int64_t now = timeline->makespan;

    if (boxes == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the times of a step");
    timeline->boxes = boxes;
    if (combines(section->kind) && timeline->count > 0)
        now = boxes[timeline->count - 1].end;
    box = &boxes[timeline->count++];
    *box = (struct timeline_box){
        .kind = section->kind, .chunk = -1, .microbatch = command->microbatch, .begin = now, .end = now, .to = -1};
    if (command->entry >= 0) {
        box->chunk = section->chunk;
        box->begin = spans[command->entry].begin;
        box->end = spans[command->entry].end;
    }
    return STATUS_OK;
}

/* A send of an entry is its output; others are part of what a box sends. */
static void add_command(const struct compiled *compiled, const struct command *command, struct timeline_box *box)
{
    const struct exchange *exchange;

    if (command->kind == COMMAND_LAUNCH) {
        box->launches++;
        return;
    }
    exchange = &compiled->exchanges[command->what];
    traffic_add(compiled, command, &box->sent);
    for (int s = 0; command->entry >= 0 && s < exchange->count; s++)
        if (exchange->steps[s].kind == EXCHANGE_SEND) {
            box->to = exchange->peer;
            box->to_bytes += exchange->steps[s].sent_bytes;
        }
}

int timeline_make(const struct compiled *compiled, struct timeline *timeline, struct error *error)
{
    const struct command_list *list = &compiled->commands.jobs[JOB_STEP];
    struct pipeline_span **spans;
    struct pipeline_times times = {0, 0};
    int64_t entry = -1;
    int status;

    memset(timeline, 0, sizeof *timeline);
    if (compiled->pipeline.ranks == NULL)
        return STATUS_OK;
    spans = allocate_spans(&compiled->pipeline);
    status = spans != NULL ? pipeline_spans(&compiled->pipeline, &units, &times, spans, error)
                           : error_set(error, STATUS_MEMORY, "no memory for the times of a step");
    timeline->makespan = times.makespan;
    for (int64_t i = 0; status == STATUS_OK && i < list->count; i++) {
        const struct command *command = &list->commands[i];
        const struct section *section;

        if (command->kind != COMMAND_LAUNCH && command->kind != COMMAND_COLLECTIVE)
            continue;
        section = &compiled->program.sections[command->what];
        if (timeline->count == 0 || !continues(&timeline->boxes[timeline->count - 1], entry, command, section))
            status = add_box(timeline, command, section, spans[compiled->mesh.index[MESH_PP]], error);
        if (status == STATUS_OK)
            add_command(compiled, command, &timeline->boxes[timeline->count - 1]);
        entry = command->entry;
    }
    free_spans(spans);
    if (status != STATUS_OK)
        timeline_finish(timeline);
    return status;
}

void timeline_finish(struct timeline *timeline)
{
    free(timeline->boxes);
    memset(timeline, 0, sizeof *timeline);
}
