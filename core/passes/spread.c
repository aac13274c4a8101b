#include "passes/spread.h"

#include <stdio.h>
#include <string.h>

#include "program/op_table.h"

static void emit_all_reduce(struct projection *projection, int32_t slots, int32_t value)
{
    const struct communication_attributes attributes = {.axis = MESH_PP};
    int32_t operands[] = {slots, value};

    builder_emit(&projection->builder, OP_ALL_REDUCE, &attributes, operands, 0, "all_reduce");
}

/* Makes "<value>.stage", unless a pass before has made the value a term over pp. */
static void add_slots(struct projection *projection, int32_t id, enum way way)
{
    const struct value from = projection->out->values[id];
    struct value *slots;
    int32_t made;

    projection->ways[id] |= 1u << way;
    if (projection->builder.status != STATUS_OK || projection->slots[id] != NO_VALUE ||
        from.partial[MESH_PP].reduction != REDUCTION_NONE)
        return;
    made = build_part(&projection->builder, id, "stage", VALUE_SCRATCH, from.dtype, from.rank, from.shape);
    if (made == NO_VALUE)
        return;
    slots = &projection->out->values[made];
    memcpy(slots->full, from.full, sizeof slots->full);
    memcpy(slots->splits, from.splits, sizeof slots->splits);
    memcpy(slots->partial, from.partial, sizeof slots->partial);
    slots->split_count = from.split_count;
    slots->partial[MESH_PP] = (struct partial){.reduction = REDUCTION_SLOT};
    projection->slots[id] = made;
}

/* What is written to a part of a result goes to the same part of its slots. */
static void add_view(struct projection *projection, int32_t view, int32_t root)
{
    const struct value *from = &projection->program->values[view];
    char suffix[32];
    int32_t made;

    if (view == root || projection->slots[root] == NO_VALUE || projection->slots[view] != NO_VALUE)
        return;
    snprintf(suffix, sizeof suffix, "at%lld", (long long)program_root_offset(projection->program, view));
    made = build_view(&projection->builder, projection->slots[root], suffix,
                      program_root_offset(projection->program, view), from->rank, from->shape);
    if (made == NO_VALUE)
        return;
    projection->out->values[made].partial[MESH_PP] = (struct partial){.reduction = REDUCTION_SLOT};
    projection->slots[view] = made;
}

/* A result, or the slots of one that a pass before has made. */
static bool is_of_all_ranks(const struct value *value)
{
    bool slots = value->kind == VALUE_RESULT;

    for (int axis = 0; axis < MESH_AXES; axis++)
        slots = slots || value->partial[axis].reduction == REDUCTION_SLOT;
    return slots;
}

static void find_slots_of_op(struct projection *projection, const struct op *op, enum way way)
{
    const struct program *program = projection->program;
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(program, op);

    if (way == WAYS && op->op == LLMRUN_OP_SUM_SQUARES)
        add_slots(projection, operands[LLMRUN_SUM_SQUARES_SUMS], WAYS);
    for (uint32_t i = 0; way < WAYS && info->operands[i].name != NULL; i++) {
        /* Chunks of losses are views. */
        const int32_t root = operands[i] != NO_VALUE ? program_root(program, operands[i]) : NO_VALUE;
        const struct value *value = root != NO_VALUE ? &program->values[root] : NULL;

        if (value == NULL || info->operands[i].direction == OPERAND_IN)
            continue;
        if (value->kind == VALUE_RESULT) {
            add_slots(projection, root, way);
            add_view(projection, operands[i], root);
        }
        /* Those of a microbatch, which are copied to where they belong. */
        if (value->kind == VALUE_SCRATCH && value->source != NO_VALUE &&
            is_of_all_ranks(&program->values[value->source])) {
            add_slots(projection, value->source, WAYS);
            if (projection->slots[value->source] != NO_VALUE)
                projection->out->values[root].source = projection->slots[value->source];
        }
    }
}

void spread_find(struct projection *projection)
{
    const struct program *program = projection->program;

    for (int64_t i = 0; i < program->value_count; i++)
        projection->slots[i] = NO_VALUE;
    for (int64_t s = 0; s < program->section_count; s++) {
        const struct section *section = &program->sections[s];

        for (int32_t i = 0; i < section->op_count; i++)
            find_slots_of_op(projection, &program->ops[section->first_op + i],
                             way_of((enum section_kind)section->kind));
    }
}

void spread_emit(struct projection *projection, enum way way)
{
    for (int32_t i = 0; i < projection->program->value_count; i++)
        if (projection->slots[i] != NO_VALUE && (projection->ways[i] >> way & 1))
            emit_all_reduce(projection, projection->slots[i], i);
}
