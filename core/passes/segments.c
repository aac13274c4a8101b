#include "passes/segments.h"

#include "program/op_table.h"

static bool communicates(const struct op *op)
{
    return (op_info_find(op->op)->flags & OP_COMMUNICATION) != 0;
}

const struct op *segment_communication(const struct program *program, const struct section *section)
{
    const struct op *op = &program->ops[section->first_op];

    return section->op_count == 1 && communicates(op) ? op : NULL;
}

/* A section begins with each communication op, and behind it. */
static int cut(const struct program *program, const struct section *section, struct program *out, struct error *error)
{
    struct section key = *section;
    int status = program_add_section(out, &key, error);

    for (int32_t i = 0; status == STATUS_OK && i < section->op_count; i++) {
        const struct op *op = &program->ops[section->first_op + i];

        if (i > 0 && (communicates(op) || communicates(op - 1))) {
            key.segment++;
            status = program_add_section(out, &key, error);
        }
        if (status == STATUS_OK &&
            program_add_op(out, op, program_operands(program, op), program_attributes(program, op)) < 0)
            status = error_set(error, STATUS_MEMORY, "no memory for the sections of the program");
    }
    return status;
}

int pass_segments(struct program *program, struct error *error)
{
    struct program out;
    int64_t i = 0;
    int status;

    while (i < program->op_count && !communicates(&program->ops[i]))
        i++;
    if (i == program->op_count)
        return STATUS_OK;
    program_init(&out);
    status = program_copy_values(&out, program, error);
    for (int64_t s = 0; status == STATUS_OK && s < program->section_count; s++)
        status = cut(program, &program->sections[s], &out, error);
    program_finish(status == STATUS_OK ? program : &out);
    if (status == STATUS_OK)
        *program = out;
    return status;
}
