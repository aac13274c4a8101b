#include "passes/precision.h"

#include <stdlib.h>

#include "program/builder.h"
#include "program/op_table.h"
#include "tensor/dtype.h"

struct precision {
    struct builder builder;
    uint32_t dtype;
    int32_t *copies; /* of each value: its copy, or NO_VALUE */
};

static int32_t copy_of(struct precision *precision, int32_t parameter)
{
    struct program *program = precision->builder.program;

    if (precision->copies[parameter] == NO_VALUE) {
        const struct value *value = &program->values[parameter];

        precision->copies[parameter] = build_part(&precision->builder, parameter, dtype_name(precision->dtype),
                                                  VALUE_CAST, precision->dtype, value->rank, value->shape);
    }
    return precision->copies[parameter];
}

static void retype_operands(struct precision *precision, const struct op *op)
{
    struct program *program = precision->builder.program;
    const struct op_info *info = op_info_find(op->op);
    int32_t *operands = program_operands(program, op);

    for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
        const enum operand_class class = info->operands[i].class;

        if ((class != CLASS_COMPUTE && class != CLASS_SUM) || operands[i] == NO_VALUE)
            continue;
        if (program->values[operands[i]].kind == VALUE_PARAMETER)
            operands[i] = copy_of(precision, operands[i]);
        else if (program->values[operands[i]].kind == VALUE_ACTIVATION ||
                 program->values[operands[i]].kind == VALUE_CACHE)
            program->values[operands[i]].dtype = (uint8_t)precision->dtype;
    }
}

static void add_cast_weights(struct precision *precision, int64_t parameters)
{
    builder_section(&precision->builder, SECTION_CAST_WEIGHTS);
    precision->builder.role = ROLE_UPDATE;
    for (int64_t i = 0; i < parameters; i++)
        if (precision->copies[i] != NO_VALUE) {
            int32_t operands[LLMRUN_CAST_OPERANDS] = {(int32_t)i, precision->copies[i]};

            builder_emit(&precision->builder, LLMRUN_OP_CAST, NULL, operands, 0, "cast_weights");
        }
}

int pass_precision(struct program *program, uint32_t compute_dtype, struct error *error)
{
    struct precision precision = {.dtype = compute_dtype};
    int64_t values = program->value_count;

    if (compute_dtype == LLMRUN_F32)
        return STATUS_OK;
    precision.copies = malloc((size_t)(values + 1) * sizeof *precision.copies);
    if (precision.copies == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the precision pass");
    for (int64_t i = 0; i < values; i++)
        precision.copies[i] = NO_VALUE;
    builder_init(&precision.builder, program, error);
    for (int64_t i = 0; i < program->op_count; i++)
        retype_operands(&precision, &program->ops[i]);
    for (int64_t i = 0; i < program->op_count; i++) {
        int32_t *operands = program_operands(program, &program->ops[i]);

        if (program->ops[i].op == LLMRUN_OP_ADAMW)
            operands[LLMRUN_ADAMW_COPY] = precision.copies[operands[LLMRUN_ADAMW_PARAMETER]];
    }
    add_cast_weights(&precision, values);
    free(precision.copies);
    return precision.builder.status;
}

void pass_narrow(struct program *program)
{
    for (int64_t i = 0; i < program->value_count; i++)
        if (program->values[i].dtype == LLMRUN_F64)
            program->values[i].dtype = LLMRUN_F32;
}
