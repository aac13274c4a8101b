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

/* All values beside each other, which is more than any plan takes, fit into 63 bits: what follows is never checked.
 * With borders there is at most as much again between them. */
static int check_bytes(const struct program *program, const struct flow *flow, int32_t microbatches,
                       int64_t workspace_bytes, int64_t largest, struct error *error)
{
    int64_t total = REGIONS * (int64_t)4096, bytes;

    for (int64_t i = 0; i < program->value_count; i++)
        if (!count_bytes(&program->values[i], flow, flow->pool[i], microbatches, &bytes) ||
            !checked_add(total, bytes, &total) || (largest > 0 && total > INT64_MAX / 2))
            return error_set(error, STATUS_USAGE,
                             "the memory of a step cannot be counted in 63 bits (at %s); a smaller model, "
                             "train.micro_batch or data.seq_len is needed",
                             program->values[i].name);
    if (workspace_bytes < 0 || !checked_add(total, workspace_bytes, &total) || !checked_add(total, 2 * 4096, &total))
        return error_set(error, STATUS_BACKEND, "the backend asks for %lld bytes of workspace",
                         (long long)workspace_bytes);
    return STATUS_OK;
}

/* The first place from `offset` on where `bytes` bytes cross no border. */
static int64_t fit(const struct memory_plan *plan, int64_t offset, int64_t bytes)
{
    const int64_t limit = plan->buffer_bytes;

    if (limit == 0 || bytes == 0 || offset / limit == (offset + bytes - 1) / limit)
        return offset;
    return round_up(offset, limit);
}

static void place_behind(const struct value *value, enum plan_region region, struct memory_plan *plan,
                         struct placement *at)
{
    const int64_t bytes = round_up(value_bytes(value), PLAN_ALIGNMENT);

    at->region = (uint8_t)region;
    at->placed = true;
    at->offset = fit(plan, plan->region_bytes[region], bytes);
    plan->region_bytes[region] = at->offset + bytes;
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

static int32_t slots_of(const struct flow *flow, int32_t pool)
{
    return flow->group_slots[flow->group[pool]];
}

/* Behind the inputs of the step: a block for each slot, and as many as there are microbatches where they arrive. */
static void place_inputs(const struct program *program, const struct flow *flow, int32_t microbatches,
                         struct memory_plan *plan)
{
    const int32_t slots = flow->pools > 0 ? slots_of(flow, POOL_INPUT) : 0;
    int64_t block = 0, end;

    for (int64_t i = 0; i < program->value_count; i++)
        if (plan->placements[i].pool == POOL_INPUT) {
            plan->placements[i].region = REGION_INPUTS;
            plan->placements[i].placed = true;
            plan->placements[i].offset = block;
            block += round_up(value_bytes(&program->values[i]), PLAN_ALIGNMENT);
        }
    plan->step_input_bytes = end = fit(plan, plan->region_bytes[REGION_INPUTS], block);
    for (int32_t slot = 0; slot < slots; slot++) {
        plan->steps[slot] = fit(plan, end, block) - plan->step_input_bytes;
        end = plan->step_input_bytes + plan->steps[slot] + block;
    }
    for (int64_t i = 0; i < program->value_count; i++)
        if (plan->placements[i].pool == POOL_INPUT)
            plan->placements[i].offset += plan->step_input_bytes;
    plan->microbatch_input_bytes = block;
    plan->region_bytes[REGION_INPUTS] = end;
    plan->staged_bytes = plan->step_input_bytes + block * microbatches;
    plan->region_bytes[REGION_STAGING] = PLAN_INPUT_SETS * plan->staged_bytes;
}

/* Places the values of all pools of a group in one slot, from `start` on; each pool begins there. `ends` has an entry a
 * pool. Returns the end of the largest. */
static int64_t place_slot(const struct program *program, const struct flow *flow, int32_t group, int32_t slot,
                          int64_t start, int64_t *ends, struct memory_plan *plan)
{
    int64_t end = start;

    for (int32_t pool = 0; pool < flow->pools; pool++)
        ends[pool] = start;
    for (int64_t i = 0; i < program->value_count; i++) {
        struct placement *at = &plan->placements[i];
        const int64_t bytes = round_up(value_bytes(&program->values[i]), PLAN_ALIGNMENT);
        int64_t offset;

        if (at->pool == NO_POOL || at->pool == POOL_INPUT || flow->group[at->pool] != group)
            continue;
        offset = fit(plan, ends[at->pool], bytes);
        if (slot == 0)
            *at = (struct placement){
                .region = REGION_FLIGHT, .placed = true, .pool = at->pool, .offset = offset, .steps = at->steps};
        at->steps[slot] = offset - at->offset;
        ends[at->pool] = offset + bytes;
        end = ends[at->pool] > end ? ends[at->pool] : end;
    }
    return end;
}

static int place_in_flight(const struct program *program, const struct flow *flow, struct memory_plan *plan,
                           struct error *error)
{
    int64_t *ends = calloc((size_t)flow->pools + 1, sizeof *ends);

    if (ends == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to plan memory");
    for (int32_t group = 0; group < flow->groups; group++)
        for (int32_t slot = 0; slot < flow->group_slots[group]; slot++)
            plan->region_bytes[REGION_FLIGHT] =
                place_slot(program, flow, group, slot, plan->region_bytes[REGION_FLIGHT], ends, plan);
    free(ends);
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

/* The lowest offset at which `life` does not meet any of the placed values that are alive with it, nor a border; they
 * are sorted by offset. */
static int64_t lowest_gap(const struct memory_plan *plan, const struct lifetime *life, struct lifetime *const *placed,
                          int64_t count)
{
    int64_t offset = 0;

    for (int64_t i = 0; i < count; i++) {
        const struct lifetime *other = placed[i];

        if (other->line != life->line || other->last < life->first || other->first > life->last)
            continue;
        if (other->offset >= offset + life->bytes)
            break;
        if (other->offset + other->bytes > offset)
            offset = fit(plan, other->offset + other->bytes, life->bytes);
    }
    return offset;
}

/* Greedy by size: larger values first, each at the lowest offset that is free during its life (Pisarchyk and Lee 2020).
 */
static int64_t pack(const struct memory_plan *plan, struct lifetime *lifetimes, int64_t count, struct lifetime **placed)
{
    int64_t total = 0;

    qsort(lifetimes, (size_t)count, sizeof *lifetimes, larger_first);
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i;

        lifetimes[i].offset = lowest_gap(plan, &lifetimes[i], placed, i);
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
        plan->region_bytes[REGION_ACTIVATIONS] = pack(plan, lifetimes, count, placed);
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

/* The values of pools get room for their steps. */
static int make_steps(const struct program *program, const struct flow *flow, struct memory_plan *plan)
{
    const int64_t inputs = flow->pools > 0 ? slots_of(flow, POOL_INPUT) : 0;
    int64_t count = inputs;

    for (int64_t i = 0; i < program->value_count; i++)
        if (flow->pool[i] != NO_POOL && flow->pool[i] != POOL_INPUT)
            count += slots_of(flow, flow->pool[i]);
    plan->steps = calloc((size_t)count + 1, sizeof *plan->steps);
    if (plan->steps == NULL)
        return STATUS_MEMORY;
    count = inputs;
    for (int64_t i = 0; i < program->value_count; i++) {
        plan->placements[i].pool = flow->pool[i];
        if (flow->pool[i] == POOL_INPUT) {
            plan->placements[i].steps = plan->steps;
        } else if (flow->pool[i] != NO_POOL) {
            plan->placements[i].steps = plan->steps + count;
            count += slots_of(flow, flow->pool[i]);
        }
    }
    return STATUS_OK;
}

/* Everything but the buffers. */
static int place_all(const struct program *program, const struct flow *flow, int32_t microbatches,
                     int64_t workspace_bytes, bool internal, struct memory_plan *plan, struct error *error)
{
    int status;

    plan->placements = calloc((size_t)program->value_count + 1, sizeof *plan->placements);
    if (plan->placements == NULL || make_steps(program, flow, plan) != STATUS_OK)
        return error_set(error, STATUS_MEMORY, "no memory to plan memory");
    status = place_persistent(program, flow, plan, error);
    if (status == STATUS_OK) {
        place_inputs(program, flow, microbatches, plan);
        status = place_in_flight(program, flow, plan, error);
    }
    if (status == STATUS_OK)
        status = place_activations(program, flow, internal, plan, error);
    if (status != STATUS_OK)
        return status;
    place_views(program, plan);
    plan->region_bytes[REGION_WORKSPACE] = round_up(workspace_bytes, PLAN_ALIGNMENT);
    for (int r = 0; r < REGIONS; r++) {
        plan->region_offset[r] = plan->total_bytes;
        plan->total_bytes += round_up(plan->region_bytes[r], PLAN_PAGE);
    }
    return STATUS_OK;
}

/* Nothing that stands in one piece is larger than a buffer of `limit` bytes. */
static int check_pieces(const struct program *program, const struct memory_plan *plan, int64_t limit,
                        struct error *error)
{
    const struct {
        const char *name;
        int64_t bytes;
    } blocks[] = {{"the workspace", plan->region_bytes[REGION_WORKSPACE]},
                  {"the block of the inputs of a step", plan->step_input_bytes},
                  {"the block of the inputs of a microbatch", plan->microbatch_input_bytes}};
    const int64_t count = program->value_count, all = count + (int64_t)(sizeof blocks / sizeof blocks[0]);

    for (int64_t i = 0; i < all; i++) {
        const char *name = i < count ? program->values[i].name : blocks[i - count].name;
        const int64_t bytes = i < count ? value_bytes(&program->values[i]) : blocks[i - count].bytes;

        if ((i >= count || plan->placements[i].placed) && bytes > limit)
            return error_set(error, STATUS_MEMORY, "%s has %lld bytes, one allocation of the device at most %lld", name,
                             (long long)bytes, (long long)limit);
    }
    return STATUS_OK;
}

/* Cuts the arena between regions, and those that are larger than a buffer at its multiples. */
static int64_t cut(const struct memory_plan *plan, struct plan_range *buffers)
{
    int64_t count = 0, start = 0;

    for (int r = 0; plan->buffer_bytes > 0 && r < REGIONS; r++) {
        const int64_t first = plan->region_offset[r], end = first + plan->region_bytes[r];

        if (end - start > plan->buffer_bytes && first > start) {
            if (buffers != NULL)
                buffers[count] = (struct plan_range){start, first - start};
            count++;
            start = first;
        }
        for (; end - start > plan->buffer_bytes; start += plan->buffer_bytes) {
            if (buffers != NULL)
                buffers[count] = (struct plan_range){start, plan->buffer_bytes};
            count++;
        }
    }
    if (buffers != NULL)
        buffers[count] = (struct plan_range){start, plan->total_bytes - start};
    return count + 1;
}

int memory_plan_make(const struct program *program, const struct flow *flow, int32_t microbatches,
                     int64_t workspace_bytes, bool internal, int64_t largest, struct memory_plan *plan,
                     struct error *error)
{
    int status;

    memset(plan, 0, sizeof *plan);
    status = check_bytes(program, flow, microbatches, workspace_bytes, largest, error);
    if (status == STATUS_OK)
        status = place_all(program, flow, microbatches, workspace_bytes, internal, plan, error);
    if (status == STATUS_OK && largest > 0 && plan->total_bytes > largest) {
        status = check_pieces(program, plan, largest / PLAN_PAGE * PLAN_PAGE, error);
        memory_plan_finish(plan);
        plan->buffer_bytes = largest / PLAN_PAGE * PLAN_PAGE;
        if (status == STATUS_OK)
            status = place_all(program, flow, microbatches, workspace_bytes, internal, plan, error);
    }
    if (status == STATUS_OK) {
        plan->buffers = malloc((size_t)cut(plan, NULL) * sizeof *plan->buffers);
        if (plan->buffers == NULL)
            status = error_set(error, STATUS_MEMORY, "no memory to plan memory");
        else
            plan->buffer_count = cut(plan, plan->buffers);
    }
    if (status != STATUS_OK)
        memory_plan_finish(plan);
    return status;
}

int64_t memory_plan_offset(const struct memory_plan *plan, int32_t value, int32_t slot)
{
    const struct placement *at = &plan->placements[value];

    return plan->region_offset[at->region] + at->offset + (at->pool != NO_POOL ? at->steps[slot] : 0);
}

int64_t memory_plan_staged(const struct memory_plan *plan, int32_t value, int32_t microbatch)
{
    const struct placement *at = &plan->placements[value];

    return at->offset + (at->pool == POOL_INPUT ? microbatch * plan->microbatch_input_bytes : 0);
}

void memory_plan_finish(struct memory_plan *plan)
{
    free(plan->placements);
    free(plan->steps);
    free(plan->buffers);
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
