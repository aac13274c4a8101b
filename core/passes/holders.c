#include "passes/holders.h"

#include <stdlib.h>
#include <string.h>

#include "passes/boundary.h"
#include "program/op_table.h"

int32_t parameter_of(const struct program *program, int32_t value)
{
    while (value != NO_VALUE &&
           (program->values[value].kind != VALUE_PARAMETER || (program->values[value].flags & VALUE_VIEW) != 0))
        value = program->values[value].source;
    return value;
}

int32_t op_parameter(const struct program *program, const struct op *op)
{
    const int32_t *operands = program_operands(program, op);
    int32_t parameter = NO_VALUE;

    for (uint32_t i = 0; parameter == NO_VALUE && i < op_operand_count(op_info_find(op->op)); i++)
        parameter = parameter_of(program, operands[i]);
    return parameter;
}

static int add_holder(struct holders *holders, const struct program *program, int32_t parameter, int32_t rank,
                      struct error *error)
{
    if (holders->first[parameter] < 0)
        holders->first[parameter] = rank;
    else if (holders->first[parameter] != rank && holders->second[parameter] < 0)
        holders->second[parameter] = rank;
    if (holders_have(holders, parameter, rank))
        return STATUS_OK;
    return error_set(error, STATUS_BUG, "ranks %d, %d and %d of the pipeline use %s, where two can",
                     holders->first[parameter], holders->second[parameter], rank, program->values[parameter].name);
}

/* The ops of one stage, whichever section they stand in. */
static int find_in_stage(struct holders *holders, const struct program *program, int32_t stage, int32_t rank,
                         struct error *error)
{
    int status = STATUS_OK;

    for (int64_t s = 0; s < program->section_count; s++) {
        const struct section *section = &program->sections[s];
        const enum way way = way_of((enum section_kind)section->kind);

        for (int32_t n = 0; way < WAYS && section->chunk == stage && n < section->op_count; n++) {
            const struct op *op = &program->ops[section->first_op + n];
            const struct op_info *info = op_info_find(op->op);
            const int32_t *operands = program_operands(program, op);

            for (uint32_t i = 0; status == STATUS_OK && info->operands[i].name != NULL; i++) {
                const int32_t parameter = parameter_of(program, operands[i]);

                if (parameter != NO_VALUE)
                    status = add_holder(holders, program, parameter, rank, error);
                if (parameter != NO_VALUE && way == WAY_BACKWARD && info->operands[i].direction != OPERAND_IN)
                    holders->home[operands[i]] = rank;
            }
        }
    }
    return status;
}

int holders_find(const struct program *program, const struct pipeline *pipeline, struct holders *holders,
                 struct error *error)
{
    const size_t values = (size_t)program->value_count + 1;
    int status = STATUS_OK;

    *holders = (struct holders){.first = malloc(values * sizeof *holders->first),
                                .second = malloc(values * sizeof *holders->second),
                                .home = malloc(values * sizeof *holders->home)};
    if (holders->first == NULL || holders->second == NULL || holders->home == NULL) {
        holders_finish(holders);
        return error_set(error, STATUS_MEMORY, "no memory for who holds the parameters");
    }
    for (size_t i = 0; i < values; i++)
        holders->first[i] = holders->second[i] = holders->home[i] = HOME_NONE;
    for (int32_t stage = 0; status == STATUS_OK && stage < pipeline->shape.ranks * pipeline->shape.chunks; stage++)
        status = find_in_stage(holders, program, stage, pipeline_holder(pipeline, stage), error);
    for (size_t i = 0; i < values; i++)
        holders->first[i] = holders->first[i] < 0 ? 0 : holders->first[i];
    if (status != STATUS_OK)
        holders_finish(holders);
    return status;
}

void holders_finish(struct holders *holders)
{
    free(holders->first);
    free(holders->second);
    free(holders->home);
    memset(holders, 0, sizeof *holders);
}

bool holders_have(const struct holders *holders, int32_t parameter, int32_t rank)
{
    return holders->first[parameter] == rank || holders->second[parameter] == rank;
}

int32_t holders_place(const struct holders *holders, const struct program *program, const struct op *op)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(program, op);
    int32_t place = HOME_NONE;

    for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
        const int32_t home = operands[i] != NO_VALUE && info->operands[i].direction != OPERAND_OUT
                                 ? holders->home[operands[i]]
                                 : HOME_NONE;

        if (home == HOME_NONE || home == place)
            continue;
        place = place == HOME_NONE ? home : HOME_BOTH;
    }
    return place == HOME_NONE ? HOME_BOTH : place;
}

void holders_ran(struct holders *holders, const struct program *program, const struct op *op, int32_t place)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(program, op);

    for (uint32_t i = 0; info->operands[i].name != NULL; i++)
        if (operands[i] != NO_VALUE && info->operands[i].direction != OPERAND_IN &&
            parameter_of(program, operands[i]) != NO_VALUE)
            holders->home[operands[i]] = place;
}
