#include "compile/compiled.h"

#include <stdlib.h>
#include <string.h>

#include "program/op_table.h"

void compiled_finish(struct compiled *compiled)
{
    for (int64_t s = 0; compiled->exchanges != NULL && s < compiled->program.section_count; s++)
        exchange_finish(&compiled->exchanges[s]);
    free(compiled->exchanges);
    compiled->exchanges = NULL;
    program_finish(&compiled->program);
    pipeline_finish(&compiled->pipeline);
    flow_finish(&compiled->flow);
    commands_finish(&compiled->commands);
    memory_plan_finish(&compiled->plan);
}

int64_t compiled_alignment(const struct compiled *compiled)
{
    return compiled->alignment < PLAN_ALIGNMENT ? compiled->alignment : PLAN_ALIGNMENT;
}

void compiled_describe(const struct compiled *compiled, const struct op *op, struct llmrun_tensor *tensors,
                       struct llmrun_op *out)
{
    const struct program *program = &compiled->program;
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(program, op);

    memset(out, 0, sizeof *out);
    out->size = sizeof *out;
    out->op = op->op;
    out->version = op->version;
    out->flags = LLMRUN_OP_DETERMINISTIC | (compiled->form.exact ? LLMRUN_OP_EXACT : 0);
    out->accumulate = op->accumulate;
    out->attributes = program_attributes(program, op);
    out->attribute_bytes = op_attribute_bytes(info);
    out->operand_count = op_operand_count(info);
    out->operands = tensors;
    out->operand_stride = sizeof *tensors;
    for (uint32_t i = 0; i < out->operand_count; i++)
        program_tensor(program, operands[i], operands[i] != NO_VALUE ? compiled_alignment(compiled) : 0, &tensors[i]);
    op_lower(info, out);
}
