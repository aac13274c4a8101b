#include "passes/backward.h"

#include <stdlib.h>

#include "passes/backward_rules.h"
#include "program/op_table.h"

/* Marks what depends on a trainable parameter; the ops from `first` to `end` are differentiated. */
static void mark_needed(struct backward *backward, int32_t first, int32_t end)
{
    const struct program *program = backward->program;

    for (int64_t i = 0; i < program->value_count; i++) {
        backward->gradients[i] = (struct gradient){.value = NO_VALUE};
        backward->gradients[i].needed =
            program->values[i].kind == VALUE_PARAMETER && (program->values[i].flags & VALUE_TRAINABLE);
    }
    for (int32_t i = first; i < end; i++) {
        const struct op *op = &program->ops[i];
        const struct op_info *info = op_info_find(op->op);
        const int32_t *operands = program_operands(program, op);
        bool needed = false;

        for (uint32_t k = 0; info->operands[k].name != NULL; k++)
            if (info->operands[k].direction == OPERAND_IN && operands[k] != NO_VALUE)
                needed |= backward->gradients[operands[k]].needed;
        for (uint32_t k = 0; info->operands[k].name != NULL; k++)
            if (info->operands[k].direction == OPERAND_OUT && operands[k] != NO_VALUE)
                backward->gradients[operands[k]].needed |= needed;
    }
}

static bool op_needed(const struct backward *backward, const struct op *op)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(backward->program, op);

    for (uint32_t k = 0; info->operands[k].name != NULL; k++)
        if (info->operands[k].direction == OPERAND_OUT && operands[k] != NO_VALUE &&
            backward->gradients[operands[k]].needed)
            return true;
    return false;
}

static int walk(struct backward *backward, int32_t first, int32_t end)
{
    for (int32_t i = end - 1; i >= first && backward->builder.status == STATUS_OK; i--) {
        /* Copied: the array moves when ops are added. */
        struct op op = backward->program->ops[i];
        backward_rule *rule = backward_rule_of(op.op);

        if (!op_needed(backward, &op))
            continue;
        if (rule == NULL)
            return error_set(backward->builder.error, STATUS_BUG,
                             "%s lies between a trainable parameter and the loss and has no "
                             "backward rule",
                             op_info_find(op.op)->name);
        backward->builder.layer = op.layer;
        rule(backward, i);
    }
    return backward->builder.status;
}

int pass_backward(struct program *program, struct error *error)
{
    const struct section *forward = program_section(program, SECTION_FORWARD);
    const struct section *loss = program_section(program, SECTION_BACKWARD);
    const int32_t end = (int32_t)program->op_count;
    struct backward backward = {.program = program};
    int32_t first;
    int status;

    if (forward == NULL || loss == NULL || loss != forward + 1 ||
        loss != &program->sections[program->section_count - 1])
        return error_set(error, STATUS_BUG, "the program does not end with a forward section and its loss");
    first = forward->first_op;
    /* Only forward values have entries; what the pass adds is never differentiated. */
    backward.gradients = calloc((size_t)program->value_count + 1, sizeof *backward.gradients);
    if (backward.gradients == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the backward pass");
    mark_needed(&backward, first, end);
    builder_init(&backward.builder, program, error);
    status = walk(&backward, first, end);
    free(backward.gradients);
    text_finish(&backward.name);
    return status;
}
