#include "program/verify.h"

#include <stdlib.h>

#include "program/axes.h"
#include "program/op_table.h"
#include "program/sharding.h"
#include "program/text.h"
#include "tensor/dtype.h"

/* Of an op, as its operands are gone through; LLMRUN_NONE until one has been met. */
struct op_types {
    uint32_t compute;
    uint32_t sum;
};

static bool dtype_fits(enum operand_class class, uint32_t dtype, struct op_types *types)
{
    switch (class) {
    case CLASS_WIDE:
        return dtype == LLMRUN_F64 || dtype == LLMRUN_F32;
    case CLASS_F32:
        return dtype == LLMRUN_F32;
    case CLASS_I32:
        return dtype == LLMRUN_I32;
    case CLASS_U32:
        return dtype == LLMRUN_U32;
    case CLASS_ANY:
        return true;
    case CLASS_COMPUTE:
        if (types->compute == LLMRUN_NONE)
            types->compute = dtype;
        return dtype == types->compute && (dtype == LLMRUN_F32 || dtype == LLMRUN_BF16 || dtype == LLMRUN_F16);
    case CLASS_SUM:
        if (types->sum == LLMRUN_NONE)
            types->sum = dtype;
        return dtype == types->sum && (dtype == LLMRUN_F32 || dtype == types->compute);
    }
    return false;
}

/* What may be written by an op: nothing that comes from outside. */
static bool writable(const struct value *value, enum section_kind section)
{
    return value->kind != VALUE_INPUT && value->kind != VALUE_CONSTANT &&
           (value->kind != VALUE_PARAMETER || section == SECTION_INIT || section == SECTION_UPDATE);
}

/* An op that writes a slot of an output leaves the others to other ops. */
static bool writes_slot(const struct operand_info *operand)
{
    struct annotation annotation;

    axes_parse(operand->axes, &annotation);
    for (int i = 0; i < annotation.removal_count; i++)
        if (annotation.removals[i].reduction == REDUCTION_SLOT)
            return true;
    return false;
}

static int verify_operand(const struct program *program, const struct op_info *info, uint32_t i, const struct op *op,
                          enum section_kind section, bool *written, struct op_types *types, struct error *error)
{
    const struct operand_info *operand = &info->operands[i];
    int32_t id = program_operands(program, op)[i];
    bool accumulate = op->accumulate >> i & 1;
    const struct value *value;

    if (id == NO_VALUE)
        return operand->optional ? STATUS_OK : error_set(error, STATUS_BUG, "operand %s is missing", operand->name);
    if (id < 0 || id >= program->value_count)
        return error_set(error, STATUS_BUG, "operand %s names no value", operand->name);
    value = &program->values[id];
    if (!dtype_fits(operand->class, value->dtype, types))
        return error_set(error, STATUS_BUG, "operand %s (value %s) cannot be %s here", operand->name, value->name,
                         dtype_name(value->dtype));
    if (accumulate && operand->direction != OPERAND_OUT)
        return error_set(error, STATUS_BUG, "operand %s is no output and cannot be added to", operand->name);
    if (operand->direction != OPERAND_IN && !writable(value, section))
        return error_set(error, STATUS_BUG, "operand %s would write %s %s", operand->name, value_kind_name(value->kind),
                         value->name);
    if (value->kind != VALUE_ACTIVATION || writes_slot(operand))
        return STATUS_OK;
    if ((operand->direction != OPERAND_OUT || accumulate) && !written[id] && !written[program_root(program, id)])
        return error_set(error, STATUS_BUG, "operand %s (value %s) is read before it is written", operand->name,
                         value->name);
    if (operand->direction == OPERAND_OUT && !accumulate && written[id] && !(value->flags & VALUE_VIEW))
        return error_set(error, STATUS_BUG, "operand %s (value %s) is written a second time", operand->name,
                         value->name);
    return STATUS_OK;
}

static int verify_op(const struct program *program, const struct op *op, enum section_kind section, bool *written,
                     struct error *error)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(program, op);
    struct axes_binding binding;
    struct op_types types = {LLMRUN_NONE, LLMRUN_NONE};
    int status = STATUS_OK;

    if (info == NULL || op->version != info->version)
        return error_set(error, STATUS_BUG, "op %u version %u is not in the op table", op->op, op->version);
    for (uint32_t i = 0; status == STATUS_OK && info->operands[i].name != NULL; i++)
        status = verify_operand(program, info, i, op, section, written, &types, error);
    if (status == STATUS_OK)
        status = axes_bind(program, info, operands, program_attributes(program, op), &binding, error);
    if (status == STATUS_OK)
        status = sharding_check_op(program, op, error);
    for (uint32_t i = 0; status == STATUS_OK && info->operands[i].name != NULL; i++)
        if (operands[i] != NO_VALUE && info->operands[i].direction != OPERAND_IN)
            written[operands[i]] = written[program_root(program, operands[i])] = true;
    return status;
}

/* A view lies within its source, which is of its type and, like it, either rows of one another or contiguous. */
static int verify_view(const struct program *program, int64_t id, struct error *error)
{
    const struct value *value = &program->values[id], *source;
    const int64_t row = value_row_elements(value);
    int64_t rows, last;

    if (!(value->flags & VALUE_VIEW))
        return STATUS_OK;
    if (value->source == NO_VALUE || value->source >= id)
        return error_set(error, STATUS_BUG, "view %s has no source that stands above it", value->name);
    source = &program->values[value->source];
    rows = value->rank > 0 ? value->shape[0] : 1;
    last = value->view.offset + (rows > 0 ? (rows - 1) * value->view.pitch : 0) + row;
    if (source->dtype != value->dtype)
        return error_set(error, STATUS_BUG, "view %s has another element type than %s", value->name, source->name);
    if (value->view.offset < 0 || value->view.pitch < row || last > value_elements(source))
        return error_set(error, STATUS_BUG, "view %s does not lie within %s", value->name, source->name);
    if ((source->flags & VALUE_VIEW) && source->view.pitch != value_row_elements(source))
        return error_set(error, STATUS_BUG, "view %s has the source %s, whose rows lie apart", value->name,
                         source->name);
    return STATUS_OK;
}

int program_verify(const struct program *program, struct error *error)
{
    bool *written = calloc((size_t)program->value_count + 1, sizeof *written);
    int status = STATUS_OK;

    if (written == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to verify the program");
    for (int64_t i = 0; status == STATUS_OK && i < program->value_count; i++) {
        if (program->values[i].source < NO_VALUE || program->values[i].source >= program->value_count)
            status =
                error_set(error, STATUS_BUG, "value %s belongs to a value that is not there", program->values[i].name);
        if (status == STATUS_OK)
            status = sharding_check_value(&program->values[i], error);
        if (status == STATUS_OK)
            status = verify_view(program, i, error);
    }
    for (int64_t s = 0; status == STATUS_OK && s < program->section_count; s++) {
        const struct section *section = &program->sections[s];

        for (int32_t i = 0; status == STATUS_OK && i < section->op_count; i++) {
            const struct op *op = &program->ops[section->first_op + i];

            status = verify_op(program, op, section->kind, written, error);
            if (status != STATUS_OK && op_info_find(op->op) != NULL) {
                struct text text = {0};

                program_print_op(program, op, &text);
                error_prefix(error, "section %s, op %d, %.300s", section_kind_name(section->kind), i,
                             text.failed ? op_info_find(op->op)->name : text.data);
                text_finish(&text);
            }
        }
    }
    free(written);
    return status;
}
