#include "runtime/captures.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

struct search {
    const struct compiled *compiled;
    const struct prepared_section *sections;
    struct captures *captures;
    struct error *error;
};

static bool is_captured(const struct command *command)
{
    return command->lane == LANE_COMPUTE &&
           (command->kind == COMMAND_LAUNCH || command->kind == COMMAND_FILL || command->kind == COMMAND_ZERO);
}

static int32_t slot_of(const struct search *search, const struct command *command, const struct binding *binding)
{
    const struct flow *flow = &search->compiled->flow;

    return binding->pool == NO_POOL ? 0 : flow->slots[command->entry * flow->pools + binding->pool];
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    return (hash ^ word) * UINT64_C(0x100000001b3); /* FNV-1a, over words */
}

static uint64_t hash_run(const struct search *search, const struct command *commands, int64_t count)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (int64_t i = 0; i < count; i++) {
        const struct prepared_section *section =
            commands[i].kind == COMMAND_LAUNCH ? &search->sections[commands[i].what] : NULL;

        hash = mix(mix(hash, commands[i].kind), (uint64_t)commands[i].what);
        for (int64_t k = 0; section != NULL && k < section->address_count; k++)
            hash = mix(hash, (uint64_t)slot_of(search, &commands[i], &section->bindings[k]));
    }
    return hash;
}

static bool same_run(const struct search *search, const struct command *a, const struct command *b, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const struct prepared_section *section = a[i].kind == COMMAND_LAUNCH ? &search->sections[a[i].what] : NULL;

        if (a[i].kind != b[i].kind || a[i].what != b[i].what)
            return false;
        for (int64_t k = 0; section != NULL && k < section->address_count; k++)
            if (slot_of(search, &a[i], &section->bindings[k]) != slot_of(search, &b[i], &section->bindings[k]))
                return false;
    }
    return true;
}

/* The graph of the commands from `first` to `end`: that of an equal run, or a new one; -1 without memory. */
static int32_t graph_of(const struct search *search, enum job job, int64_t first, int64_t end)
{
    const struct command_list *lists = search->compiled->commands.jobs;
    struct captures *captures = search->captures;
    const uint64_t hash = hash_run(search, &lists[job].commands[first], end - first);
    struct captured *captured;

    for (int64_t i = 0; i < captures->count; i++) {
        const struct captured *other = &captures->captured[i];

        if (other->hash == hash && other->end - other->first == end - first &&
            same_run(search, &lists[other->job].commands[other->first], &lists[job].commands[first], end - first))
            return (int32_t)i;
    }
    captured = array_reserve(captures->captured, captures->count, 1, &captures->capacity, sizeof *captured);
    if (captured == NULL)
        return -1;
    captures->captured = captured;
    captured[captures->count] = (struct captured){.hash = hash, .job = (int32_t)job, .first = first, .end = end};
    return (int32_t)captures->count++;
}

/* A run of one kernel gains nothing. */
static int64_t work_of(const struct search *search, const struct command *command)
{
    return command->kind == COMMAND_LAUNCH ? search->compiled->program.sections[command->what].op_count : 1;
}

static int find_runs(const struct search *search, enum job job)
{
    const struct command_list *list = &search->compiled->commands.jobs[job];
    int32_t *starts = malloc(((size_t)list->count + 1) * sizeof *starts);
    int64_t *ends = malloc(((size_t)list->count + 1) * sizeof *ends);

    search->captures->starts[job] = starts;
    search->captures->ends[job] = ends;
    if (starts == NULL || ends == NULL)
        return error_set(search->error, STATUS_MEMORY, "no memory for the captures of a job");
    for (int64_t i = 0, end; i < list->count; i = end) {
        int64_t work = 0;

        for (end = i; end < list->count && is_captured(&list->commands[end]); end++)
            work += work_of(search, &list->commands[end]);
        if (end == i)
            end++;
        for (int64_t k = i; k < end; k++)
            starts[k] = -1;
        ends[i] = end;
        if (work < 2)
            continue;
        starts[i] = graph_of(search, job, i, end);
        if (starts[i] < 0)
            return error_set(search->error, STATUS_MEMORY, "no memory for the captures of a job");
    }
    return STATUS_OK;
}

int captures_create(const struct device *device, const struct compiled *compiled,
                    const struct prepared_section *sections, struct captures *captures, struct error *error)
{
    static const enum job jobs[] = {JOB_STEP, JOB_EVALUATE, JOB_PREFILL, JOB_DECODE}; /* those that are repeated */
    const struct search search = {.compiled = compiled, .sections = sections, .captures = captures, .error = error};
    int status = STATUS_OK;

    memset(captures, 0, sizeof *captures);
    for (size_t i = 0; device_captures(device) && status == STATUS_OK && i < sizeof jobs / sizeof *jobs; i++)
        status = find_runs(&search, jobs[i]);
    return status;
}

void captures_destroy(struct captures *captures)
{
    for (int64_t i = 0; i < captures->count; i++)
        graph_destroy(&captures->captured[i].graph);
    for (int job = 0; job < JOBS; job++) {
        free(captures->starts[job]);
        free(captures->ends[job]);
    }
    free(captures->captured);
    memset(captures, 0, sizeof *captures);
}

struct captured *captures_find(const struct captures *captures, enum job job, int64_t i, int64_t *end)
{
    if (captures->starts[job] == NULL || captures->starts[job][i] < 0)
        return NULL;
    *end = captures->ends[job][i];
    return &captures->captured[captures->starts[job][i]];
}

int64_t captures_behind(const struct captures *captures, enum job job, int64_t i)
{
    int64_t first = i - 1, end;

    while (first > 0 && captures->starts[job] != NULL && captures->starts[job][first] < 0)
        first--;
    return first >= 0 && captures_find(captures, job, first, &end) != NULL && end > i ? end : i;
}
