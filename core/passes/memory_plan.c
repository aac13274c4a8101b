#include "passes/memory_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "program/op_table.h"
#include "tensor/dtype.h"

/* When an activation is alive on its line. */
struct lifetime {
    int32_t value;
    int64_t bytes;
    int64_t first, last; /* times of ops */
    int64_t offset;
    int32_t line; /* passes/flow.h */
};

static enum plan_region region_of(const struct value *value)
{
    static const enum plan_region regions[VALUE_KINDS] = {[VALUE_PARAMETER] = REGION_PARAMETERS,
                                                          [VALUE_STATE] = REGION_STATE,
                                                          [VALUE_CAST] = REGION_CAST,
                                                          [VALUE_CONSTANT] = REGION_CONSTANTS,
                                                          [VALUE_GRADIENT] = REGION_GRADIENTS,
                                                          [VALUE_PARTIAL_ROWS] = REGION_GRADIENTS,
                                                          [VALUE_INPUT] = REGION_INPUTS,
                                                          [VALUE_RESULT] = REGION_RESULTS,
                                                          [VALUE_SCRATCH] = REGION_SCRATCH,
                                                          [VALUE_PENDING] = REGION_PENDING,
                                                          [VALUE_ACTIVATION] = REGION_ACTIVATIONS,
                                                          [VALUE_CACHE] = REGION_CACHES};

    return regions[value->kind];
}

/* Bytes of all that stands for a value; false where they cannot be counted. */
static bool count_bytes(const struct value *value, const struct flow *flow, int32_t pool, int32_t microbatches,
                        int64_t *bytes)
{
    int64_t copies = pool != NO_POOL ? flow->group_slots[flow->group[pool]] : 1;

    if (value->kind == VALUE_INPUT)
        copies += PLAN_INPUT_SETS * (value->flags & VALUE_PER_MICROBATCH ? (int64_t)microbatches : 1);
    *bytes = dtype_bytes(value->dtype);
    for (int i = 0; i < value->rank; i++)
        if (!checked_mul(*bytes, value->shape[i], bytes))
            return false;
    return checked_mul(*bytes, copies, bytes) && checked_add(*bytes, copies * PLAN_ALIGNMENT, bytes);
}

/* All values beside each other, which is more than any plan takes, fit into 63 bits: what follows is never checked. */
static int check_bytes(const struct program *program, const struct flow *flow, int32_t microbatches,
                       int64_t workspace_bytes, struct error *error)
{
    int64_t total = REGIONS * (int64_t)4096, bytes;

    for (int64_t i = 0; i < program->value_count; i++)
        if (!count_bytes(&program->values[i], flow, flow->pool[i], microbatches, &bytes) ||
            !checked_add(total, bytes, &total))
            return error_set(error, STATUS_USAGE,
                             "the memory of a step cannot be counted in 63 bits (at %s); a smaller model, "
                             "train.micro_batch or data.seq_len is needed",
                             program->values[i].name);
    if (workspace_bytes < 0 || !checked_add(total, workspace_bytes, &total) || !checked_add(total, 2 * 4096, &total))
        return error_set(error, STATUS_BACKEND, "the backend asks for %lld bytes of workspace",
                         (long long)workspace_bytes);
    return STATUS_OK;
}

static void place_behind(const struct value *value, enum plan_region region, struct memory_plan *plan,
                         struct placement *at)
{
    at->region = (uint8_t)region;
    at->placed = true;
    at->offset = plan->region_bytes[region];
    plan->region_bytes[region] += round_up(value_bytes(value), PLAN_ALIGNMENT);
}

/* Values outside the activations and the inputs of microbatches, one after the other; first accumulators, each owner's
 * together. */
static int place_persistent(const struct program *program, const struct flow *flow, struct memory_plan *plan,
                            struct error *error)
{
    for (int64_t i = 0; i < program->value_count; i++)
        if (flow->accumulator[i] >= plan->accumulator_count)
            plan->accumulator_count = flow->accumulator[i] + 1;
    plan->accumulators = calloc((size_t)plan->accumulator_count + 1, sizeof *plan->accumulators);
    if (plan->accumulators == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to plan memory");
    for (int32_t owner = 0; owner < plan->accumulator_count; owner++) {
        plan->accumulators[owner].offset = plan->region_bytes[REGION_GRADIENTS];
        for (int64_t i = 0; i < program->value_count; i++)
            if (flow->accumulator[i] == owner)
                place_behind(&program->values[i], REGION_GRADIENTS, plan, &plan->placements[i]);
        plan->accumulators[owner].bytes = plan->region_bytes[REGION_GRADIENTS] - plan->accumulators[owner].offset;
    }
    for (int64_t i = 0; i < program->value_count; i++) {
        const struct value *value = &program->values[i];

        if (value->kind != VALUE_ACTIVATION && !(value->flags & VALUE_VIEW) && flow->pool[i] == NO_POOL &&
            flow->accumulator[i] < 0)
            place_behind(value, region_of(value), plan, &plan->placements[i]);
    }
    return STATUS_OK;
}

/* Behind the inputs of the step: a block for each slot, and as many as there are microbatches where they arrive. */
static void place_inputs(const struct program *program, const struct flow *flow, int32_t microbatches,
                         struct memory_plan *plan)
{
    plan->step_input_bytes = plan->region_bytes[REGION_INPUTS];
    for (int64_t i = 0; i < program->value_count; i++) {
        struct placement *at = &plan->placements[i];

        if (at->pool != POOL_INPUT)
            continue;
        at->region = REGION_INPUTS;
        at->placed = true;
        at->offset = plan->step_input_bytes + plan->microbatch_input_bytes;
        plan->microbatch_input_bytes += round_up(value_bytes(&program->values[i]), PLAN_ALIGNMENT);
    }
    for (int64_t i = 0; i < program->value_count; i++)
        if (plan->placements[i].pool == POOL_INPUT)
            plan->placements[i].stride = plan->microbatch_input_bytes;
    if (flow->pools > 0)
        plan->region_bytes[REGION_INPUTS] += plan->microbatch_input_bytes * flow->group_slots[flow->group[POOL_INPUT]];
    plan->staged_bytes = plan->step_input_bytes + plan->microbatch_input_bytes * microbatches;
    plan->region_bytes[REGION_STAGING] = PLAN_INPUT_SETS * plan->staged_bytes;
}

/* The slots of a group have the size of its largest pool. */
static int place_in_flight(const struct program *program, const struct flow *flow, struct memory_plan *plan,
                           struct error *error)
{
    int64_t *bytes = calloc((size_t)(flow->pools + 2 * flow->groups) + 1, sizeof *bytes);
    int64_t *strides = bytes + flow->pools, *offsets = strides + flow->groups; /* of each group */

    if (bytes == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to plan memory");
    for (int64_t i = 0; i < program->value_count; i++) {
        struct placement *at = &plan->placements[i];

        if (at->pool == NO_POOL || at->pool == POOL_INPUT)
            continue;
        at->offset = bytes[at->pool];
        bytes[at->pool] += round_up(value_bytes(&program->values[i]), PLAN_ALIGNMENT);
        if (bytes[at->pool] > strides[flow->group[at->pool]])
            strides[flow->group[at->pool]] = bytes[at->pool];
    }
    for (int32_t g = 0; g < flow->groups; g++) {
        offsets[g] = plan->region_bytes[REGION_FLIGHT];
        plan->region_bytes[REGION_FLIGHT] += strides[g] * flow->group_slots[g];
    }
    for (int64_t i = 0; i < program->value_count; i++) {
        struct placement *at = &plan->placements[i];

        if (at->pool == NO_POOL || at->pool == POOL_INPUT)
            continue;
        at->region = REGION_FLIGHT;
        at->placed = true;
        at->offset += offsets[flow->group[at->pool]];
        at->stride = strides[flow->group[at->pool]];
    }
    free(bytes);
    return STATUS_OK;
}

/* Fills the lifetimes of the activations that stay on one line. */
static void find_lifetimes(const struct program *program, const struct flow *flow, struct lifetime *lifetimes)
{
    for (int64_t i = 0; i < program->value_count; i++)
        lifetimes[i] = (struct lifetime){.value = (int32_t)i, .first = INT64_MAX, .last = -1};
    for (int64_t s = 0; s < program->section_count; s++) {
        const struct section *section = &program->sections[s];

        for (int32_t n = 0; flow->line[s] != NO_LINE && n < section->op_count; n++) {
            const struct op *op = &program->ops[section->first_op + n];
            const int32_t *operands = program_operands(program, op);
            uint32_t count = op_operand_count(op_info_find(op->op));
            int64_t now = flow->time[s] + n;

            for (uint32_t k = 0; k < count; k++) {
                const int32_t root = operands[k] != NO_VALUE ? program_root(program, operands[k]) : NO_VALUE;
                struct lifetime *life;

                if (root == NO_VALUE || program->values[root].kind != VALUE_ACTIVATION || flow->pool[root] != NO_POOL)
                    continue;
                life = &lifetimes[root];
                life->line = flow->line[s];
                life->first = now < life->first ? now : life->first;
                life->last = now > life->last ? now : life->last;
                life->bytes = round_up(value_bytes(&program->values[root]), PLAN_ALIGNMENT);
            }
        }
    }
}

static int larger_first(const void *a, const void *b)
{
    const struct lifetime *x = a, *y = b;

    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x->value < y->value ? -1 : 1;
}

/* The lowest offset at which `life` does not meet any of the placed values that are alive with it; these are sorted by
 * offset. */
static int64_t lowest_gap(const struct lifetime *life, struct lifetime *const *placed, int64_t count)
{
    int64_t offset = 0;

    for (int64_t i = 0; i < count; i++) {
        const struct lifetime *other = placed[i];

        if (other->line != life->line || other->last < life->first || other->first > life->last)
            continue;
        if (other->offset >= offset + life->bytes)
            break;
        if (other->offset + other->bytes > offset)
            offset = other->offset + other->bytes;
    }
    return offset;
}

/* Greedy by size: larger values first, each at the lowest offset that is free during its life (Pisarchyk and Lee 2020).
 */
static int64_t pack(struct lifetime *lifetimes, int64_t count, struct lifetime **placed)
{
    int64_t total = 0;

    qsort(lifetimes, (size_t)count, sizeof *lifetimes, larger_first);
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i;

        lifetimes[i].offset = lowest_gap(&lifetimes[i], placed, i);
        while (at > 0 && placed[at - 1]->offset > lifetimes[i].offset) {
            placed[at] = placed[at - 1];
            at--;
        }
        placed[at] = &lifetimes[i];
        if (lifetimes[i].offset + lifetimes[i].bytes > total)
            total = lifetimes[i].offset + lifetimes[i].bytes;
    }
    return total;
}

static int place_activations(const struct program *program, const struct flow *flow, bool internal,
                             struct memory_plan *plan, struct error *error)
{
    size_t values = (size_t)program->value_count + 1;
    struct lifetime *lifetimes = malloc(values * sizeof *lifetimes);
    struct lifetime **placed = malloc(values * sizeof *placed);
    int64_t count = 0;
    int status = STATUS_OK;

    if (lifetimes == NULL || placed == NULL) {
        status = error_set(error, STATUS_MEMORY, "no memory to plan memory");
    } else {
        find_lifetimes(program, flow, lifetimes);
        for (int64_t i = 0; i < program->value_count; i++)
            if (lifetimes[i].last >= 0 && !(internal && flow->section[i] >= 0))
                lifetimes[count++] = lifetimes[i];
        plan->region_bytes[REGION_ACTIVATIONS] = pack(lifetimes, count, placed);
        for (int64_t i = 0; i < count; i++)
            plan->placements[lifetimes[i].value] = (struct placement){
                .region = REGION_ACTIVATIONS, .placed = true, .pool = NO_POOL, .offset = lifetimes[i].offset};
    }
    free(lifetimes);
    free(placed);
    return status;
}

static void place_views(const struct program *program, struct memory_plan *plan)
{
    for (int64_t i = 0; i < program->value_count; i++)
        if (program->values[i].flags & VALUE_VIEW) {
            plan->placements[i] = plan->placements[program_root(program, (int32_t)i)];
            plan->placements[i].offset +=
                program_root_offset(program, (int32_t)i) * dtype_bytes(program->values[i].dtype);
        }
}

int memory_plan_make(const struct program *program, const struct flow *flow, int32_t microbatches,
                     int64_t workspace_bytes, bool internal, struct memory_plan *plan, struct error *error)
{
    int status;

    memset(plan, 0, sizeof *plan);
    status = check_bytes(program, flow, microbatches, workspace_bytes, error);
    if (status != STATUS_OK)
        return status;
    plan->placements = calloc((size_t)program->value_count + 1, sizeof *plan->placements);
    if (plan->placements == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to plan memory");
    for (int64_t i = 0; i < program->value_count; i++)
        plan->placements[i].pool = flow->pool[i];
    status = place_persistent(program, flow, plan, error);
    if (status == STATUS_OK) {
        place_inputs(program, flow, microbatches, plan);
        status = place_in_flight(program, flow, plan, error);
    }
    if (status == STATUS_OK)
        status = place_activations(program, flow, internal, plan, error);
    if (status == STATUS_OK)
        place_views(program, plan);
    if (status != STATUS_OK) {
        memory_plan_free(plan);
        return status;
    }
    plan->region_bytes[REGION_WORKSPACE] = round_up(workspace_bytes, PLAN_ALIGNMENT);
    for (int r = 0; r < REGIONS; r++) {
        plan->region_offset[r] = plan->total_bytes;
        plan->total_bytes += round_up(plan->region_bytes[r], 4096);
    }
    return STATUS_OK;
}

int64_t memory_plan_staged(const struct memory_plan *plan, int32_t value, int32_t microbatch)
{
    const struct placement *at = &plan->placements[value];

    return at->offset + (at->pool == POOL_INPUT ? microbatch * plan->microbatch_input_bytes : 0);
}

void memory_plan_free(struct memory_plan *plan)
{
    free(plan->placements);
    free(plan->accumulators);
    memset(plan, 0, sizeof *plan);
}

const char *plan_region_name(enum plan_region region)
{
    static const char *const names[REGIONS] = {
        "parameters",    "optimizer state", "cast weights", "constants", "gradients", "pending sums", "inputs",
        "input staging", "results",         "scratch",      "caches",    "in flight", "activations",  "workspace"};

    return region < REGIONS ? names[region] : "?";
}
