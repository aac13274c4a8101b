#include "passes/flops.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "program/axes.h"
#include "program/op_table.h"

/* The extents that a row of the table counts: those of the operands, but of a letter with padding only what is valid,
 * and "j+1". */
static int bind_extents(const struct program *program, const struct op *op, struct axes_binding *binding,
                        struct error *error)
{
    const struct op_info *info = op_info_find(op->op);
    const void *attributes = program_attributes(program, op);
    int status = axes_bind(program, info, program_operands(program, op), attributes, binding, error);
    uint32_t rank;
    int64_t shape[LLMRUN_MAX_RANK], valid;

    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < binding->count; i++) {
        const char role[] = {'v', 'a', 'l', 'i', 'd', ' ', binding->entries[i].name[0], '\0'};

        if (binding->entries[i].name[1] == '\0' && axes_attribute(info, attributes, role, &valid))
            binding->entries[i].extent = valid;
    }
    if (axes_shape(binding, "j", &rank, shape))
        axes_binding_add(binding, "j+1", shape[0] + 1);
    return STATUS_OK;
}

static int term_flops(const struct program *program, const struct op *op, const char *term, size_t length,
                      const struct axes_binding *binding, double *flops, struct error *error)
{
    const struct op_info *info = op_info_find(op->op);
    const char *colon = memchr(term, ':', length);
    char text[64];
    int64_t shape[LLMRUN_MAX_RANK];
    uint32_t operand, rank;
    double product = 1;

    snprintf(text, sizeof text, "%.*s", colon != NULL ? (int)(colon - term) : 0, term);
    operand = op_operand_index(info, text);
    if (colon == NULL || info->operands[operand].name == NULL)
        return error_set(error, STATUS_BUG, "%s: the op table counts FLOPs of '%s', which names no operand", info->name,
                         term);
    if (program_operands(program, op)[operand] == NO_VALUE)
        return STATUS_OK;
    snprintf(text, sizeof text, "%.*s", (int)(term + length - colon - 1), colon + 1);
    if (!axes_shape(binding, text, &rank, shape))
        return error_set(error, STATUS_BUG, "%s: the op table counts '%s' as its FLOPs, and an extent is not known",
                         info->name, text);
    for (uint32_t i = 0; i < rank; i++)
        product *= (double)shape[i];
    *flops += product;
    return STATUS_OK;
}

static int count(const struct program *program, const struct op *op, double *flops, struct error *error)
{
    const struct op_info *info = op_info_find(op->op);
    struct axes_binding binding;
    int status = STATUS_OK;

    *flops = 0;
    if (info == NULL)
        return error_set(error, STATUS_BUG, "op %u is not in the op table, so its FLOPs cannot be counted", op->op);
    if (info->flops[0] == '\0')
        return STATUS_OK;
    status = bind_extents(program, op, &binding, error);
    for (const char *term = info->flops; status == STATUS_OK && *term != '\0';) {
        const char *end = strstr(term, " + ");
        size_t length = end != NULL ? (size_t)(end - term) : strlen(term);

        status = term_flops(program, op, term, length, &binding, flops, error);
        term += length + (end != NULL ? strlen(" + ") : 0);
    }
    return status;
}

int flops_check(const struct program *program, struct error *error)
{
    int status = STATUS_OK;
    double flops;

    for (int64_t i = 0; status == STATUS_OK && i < program->op_count; i++)
        status = count(program, &program->ops[i], &flops, error);
    return status;
}

double op_flops(const struct program *program, const struct op *op)
{
    struct error error;
    double flops;

    return count(program, op, &flops, &error) == STATUS_OK ? flops : NAN;
}

double program_step_flops(const struct program *program, bool useful)
{
    static const enum section_kind kinds[] = {SECTION_FORWARD, SECTION_BACKWARD, SECTION_BACKWARD_INPUT,
                                              SECTION_BACKWARD_WEIGHT};
    double flops = 0;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        flops += program_flops(program, kinds[i], useful);
    return flops;
}

double program_flops(const struct program *program, enum section_kind kind, bool useful)
{
    double flops = 0;

    for (int64_t s = 0; s < program->section_count; s++)
        for (int32_t i = 0; program->sections[s].kind == kind && i < program->sections[s].op_count; i++) {
            const struct op *op = &program->ops[program->sections[s].first_op + i];

            if (!(useful && op->recomputed))
                flops += op_flops(program, op);
        }
    return flops;
}
