#include "passes/memory_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "program/op_table.h"
#include "tensor/dtype.h"

/* When an activation is alive, on the time line of the ops of its sections. */
struct lifetime {
    int32_t value;
    int64_t bytes;
    int64_t first, last; /* op indices on the time line */
    int64_t offset;
    int32_t section; /* the first that uses it */
    bool crosses;    /* another one does so too */
    uint8_t line;    /* 0: forward then backward; 1: evaluate; 2: prefill; 3: decode */
};

static enum plan_region region_of(const struct value *value)
{
    static const enum plan_region regions[VALUE_KINDS] = {[VALUE_PARAMETER] = REGION_PARAMETERS,
                                                          [VALUE_STATE] = REGION_STATE,
                                                          [VALUE_COPY] = REGION_COPIES,
                                                          [VALUE_CONSTANT] = REGION_CONSTANTS,
                                                          [VALUE_GRADIENT] = REGION_GRADIENTS,
                                                          [VALUE_PARTIAL] = REGION_GRADIENTS,
                                                          [VALUE_INPUT] = REGION_INPUTS,
                                                          [VALUE_RESULT] = REGION_RESULTS,
                                                          [VALUE_SCRATCH] = REGION_SCRATCH,
                                                          [VALUE_WAITING] = REGION_WAITING,
                                                          [VALUE_ACTIVATION] = REGION_ACTIVATIONS,
                                                          [VALUE_CACHE] = REGION_CACHES};

    return regions[value->kind];
}

static int64_t power_of_two_dividing(int64_t bytes)
{
    return bytes == 0 ? PLAN_ALIGNMENT : bytes & -bytes;
}

/* Bytes of all that stands for a value; false where they cannot be counted. */
static bool count_bytes(const struct value *value, int32_t microbatches, int64_t *bytes)
{
    int64_t copies = value->flags & VALUE_PER_MICROBATCH ? microbatches : 1;

    if (value->kind == VALUE_INPUT)
        copies *= 1 + PLAN_INPUT_SETS;
    *bytes = dtype_bytes(value->dtype);
    for (int i = 0; i < value->rank; i++)
        if (!checked_mul(*bytes, value->shape[i], bytes))
            return false;
    return checked_mul(*bytes, copies, bytes) && checked_add(*bytes, copies * PLAN_ALIGNMENT, bytes);
}

/* All values beside each other, which is more than any plan takes, fit into 63 bits: what follows is never checked. */
static int check_bytes(const struct program *program, int32_t microbatches, int64_t workspace_bytes,
                       struct error *error)
{
    int64_t total = REGIONS * (int64_t)4096, bytes;

    for (int64_t i = 0; i < program->value_count; i++)
        if (!count_bytes(&program->values[i], microbatches, &bytes) || !checked_add(total, bytes, &total))
            return error_set(error, STATUS_USAGE,
                             "the memory of a step cannot be counted in 63 bits (at %s); a smaller model, "
                             "train.micro_batch or data.seq_len is needed",
                             program->values[i].name);
    if (workspace_bytes < 0 || !checked_add(total, workspace_bytes, &total) || !checked_add(total, 2 * 4096, &total))
        return error_set(error, STATUS_BACKEND, "the backend asks for %lld bytes of workspace",
                         (long long)workspace_bytes);
    return STATUS_OK;
}

/* Values outside the activations: one after the other. One that is a part of another (losses of a microbatch) lies in
 * it. */
static void place_persistent(const struct program *program, int32_t microbatches, struct memory_plan *plan)
{
    for (int64_t i = 0; i < program->value_count; i++) {
        const struct value *value = &program->values[i];
        struct placement *at = &plan->placements[i];
        bool per_microbatch = value->flags & VALUE_PER_MICROBATCH;
        int64_t bytes = value_bytes(value);

        if (value->kind == VALUE_ACTIVATION)
            continue;
        at->region = (uint8_t)region_of(value);
        at->placed = true;
        at->stride = per_microbatch ? bytes : 0;
        at->alignment = PLAN_ALIGNMENT;
        if (per_microbatch && power_of_two_dividing(bytes) < PLAN_ALIGNMENT)
            at->alignment = power_of_two_dividing(bytes);
        if (per_microbatch && value->source != NO_VALUE) {
            at->offset = plan->placements[value->source].offset;
            continue;
        }
        at->offset = plan->region_bytes[at->region];
        plan->region_bytes[at->region] += round_up(per_microbatch ? bytes * microbatches : bytes, PLAN_ALIGNMENT);
    }
}

static int time_line(enum section_kind kind)
{
    switch (kind) {
    case SECTION_FORWARD:
    case SECTION_BACKWARD:
        return 0;
    case SECTION_EVALUATE:
        return 1;
    case SECTION_PREFILL:
        return 2;
    case SECTION_DECODE:
        return 3;
    default:
        return -1;
    }
}

/* Fills the lifetimes of activations. STATUS_BUG for one that is to outlive its time line. */
static int find_lifetimes(const struct program *program, struct lifetime *lifetimes, struct error *error)
{
    for (int64_t i = 0; i < program->value_count; i++)
        lifetimes[i] = (struct lifetime){.value = (int32_t)i, .first = INT64_MAX, .last = -1, .section = -1};
    for (int64_t s = 0; s < program->section_count; s++) {
        const struct section *section = &program->sections[s];
        int line = time_line(section->kind);

        for (int32_t n = 0; line >= 0 && n < section->op_count; n++) {
            const struct op *op = &program->ops[section->first_op + n];
            const int32_t *operands = program_operands(program, op);
            uint32_t count = op_operand_count(op_info_find(op->op));
            int64_t now = section->first_op + n;

            for (uint32_t k = 0; k < count; k++) {
                struct lifetime *life;

                if (operands[k] == NO_VALUE || program->values[operands[k]].kind != VALUE_ACTIVATION)
                    continue;
                life = &lifetimes[operands[k]];
                if (life->last >= 0 && life->line != line)
                    return error_set(error, STATUS_BUG, "%s is used by sections that do not run together, like %s",
                                     program->values[operands[k]].name, section_kind_name(section->kind));
                life->line = (uint8_t)line;
                life->first = now < life->first ? now : life->first;
                life->last = now > life->last ? now : life->last;
                life->bytes = round_up(value_bytes(&program->values[operands[k]]), PLAN_ALIGNMENT);
                life->section = life->section < 0 ? (int32_t)s : life->section;
                life->crosses |= life->section != (int32_t)s;
            }
        }
    }
    return STATUS_OK;
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

static int place_activations(const struct program *program, bool internal, struct memory_plan *plan,
                             struct error *error)
{
    size_t values = (size_t)program->value_count + 1;
    struct lifetime *lifetimes = malloc(values * sizeof *lifetimes);
    struct lifetime **placed = malloc(values * sizeof *placed);
    int64_t count = 0;
    int status = STATUS_OK;

    if (lifetimes == NULL || placed == NULL)
        status = error_set(error, STATUS_MEMORY, "no memory to plan memory");
    else
        status = find_lifetimes(program, lifetimes, error);
    if (status == STATUS_OK) {
        for (int64_t i = 0; i < program->value_count; i++)
            if (lifetimes[i].last >= 0 && (!internal || lifetimes[i].crosses))
                lifetimes[count++] = lifetimes[i];
        plan->region_bytes[REGION_ACTIVATIONS] = pack(lifetimes, count, placed);
        for (int64_t i = 0; i < count; i++)
            plan->placements[lifetimes[i].value] =
                (struct placement){REGION_ACTIVATIONS, true, lifetimes[i].offset, 0, PLAN_ALIGNMENT};
    }
    free(lifetimes);
    free(placed);
    return status;
}

int memory_plan_make(const struct program *program, int32_t microbatches, int64_t workspace_bytes, bool internal,
                     struct memory_plan *plan, struct error *error)
{
    int status;

    memset(plan, 0, sizeof *plan);
    status = check_bytes(program, microbatches, workspace_bytes, error);
    if (status != STATUS_OK)
        return status;
    plan->placements = calloc((size_t)program->value_count + 1, sizeof *plan->placements);
    if (plan->placements == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to plan memory");
    place_persistent(program, microbatches, plan);
    status = place_activations(program, internal, plan, error);
    if (status != STATUS_OK) {
        memory_plan_free(plan);
        return status;
    }
    plan->region_bytes[REGION_STAGING] = PLAN_INPUT_SETS * plan->region_bytes[REGION_INPUTS];
    plan->region_bytes[REGION_WORKSPACE] = round_up(workspace_bytes, PLAN_ALIGNMENT);
    for (int r = 0; r < REGIONS; r++) {
        plan->region_offset[r] = plan->total_bytes;
        plan->total_bytes += round_up(plan->region_bytes[r], 4096);
    }
    return STATUS_OK;
}

void memory_plan_free(struct memory_plan *plan)
{
    free(plan->placements);
    memset(plan, 0, sizeof *plan);
}

const char *plan_region_name(enum plan_region region)
{
    static const char *const names[REGIONS] = {
        "parameters",    "optimizer state", "compute copies", "constants", "gradients",   "waiting sums", "inputs",
        "input staging", "results",         "scratch",        "caches",    "activations", "workspace"};

    return region < REGIONS ? names[region] : "?";
}
