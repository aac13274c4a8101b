#include "passes/drop_unused.h"

#include "program/op_table.h"

/* Marks what stays with 0. */
static void mark_used(const struct program *program, int32_t *new_ids)
{
    for (int64_t i = 0; i < program->value_count; i++)
        new_ids[i] = NO_VALUE;
    for (int64_t i = 0; i < program->op_count; i++) {
        const int32_t *operands = program_operands(program, &program->ops[i]);

        for (uint32_t k = 0; k < op_operand_count(op_info_find(program->ops[i].op)); k++)
            for (int32_t v = operands[k]; v != NO_VALUE && new_ids[v] == NO_VALUE; v = program->values[v].source)
                new_ids[v] = 0;
    }
}

static int copy_value(struct program *out, const struct value *value, int32_t *new_id)
{
    const char *name;

    *new_id = program_add_value(out, value->name, value->kind, value->dtype, value->rank, value->shape);
    if (*new_id == NO_VALUE)
        return STATUS_MEMORY;
    name = out->values[*new_id].name;
    out->values[*new_id] = *value;
    out->values[*new_id].name = name;
    out->values[*new_id].contents = NULL;
    return value->contents == NULL || program_set_contents(out, *new_id, value->contents) ? STATUS_OK : STATUS_MEMORY;
}

static int copy_op(const struct program *program, struct program *out, const struct op *op, const int32_t *new_ids)
{
    const int32_t *operands = program_operands(program, op);
    int32_t mapped[LLMRUN_MAX_OPERANDS];

    for (uint32_t k = 0; k < op_operand_count(op_info_find(op->op)); k++)
        mapped[k] = operands[k] != NO_VALUE ? new_ids[operands[k]] : NO_VALUE;
    return program_add_op(out, op, mapped, program_attributes(program, op)) < 0 ? STATUS_MEMORY : STATUS_OK;
}

int pass_drop_unused(struct program *program, int32_t *new_ids, struct error *error)
{
    struct program out;
    int status = STATUS_OK;

    program_init(&out);
    mark_used(program, new_ids);
    for (int64_t i = 0; status == STATUS_OK && i < program->value_count; i++)
        if (new_ids[i] != NO_VALUE)
            status = copy_value(&out, &program->values[i], &new_ids[i]);
    for (int64_t i = 0; status == STATUS_OK && i < out.value_count; i++)
        if (out.values[i].source != NO_VALUE)
            out.values[i].source = new_ids[out.values[i].source];
    for (int64_t s = 0; status == STATUS_OK && s < program->section_count; s++) {
        const struct section *section = &program->sections[s];

        status = program_add_section(&out, section, error);
        for (int32_t i = 0; status == STATUS_OK && i < section->op_count; i++)
            status = copy_op(program, &out, &program->ops[section->first_op + i], new_ids);
    }
    if (status != STATUS_OK) {
        program_finish(&out);
        return error_set(error, STATUS_MEMORY, "no memory for the values of the program");
    }
    program_finish(program);
    *program = out;
    return STATUS_OK;
}
