#include "passes/shared_terms.h"

#include "program/op_table.h"

/* A value that one of two holders has goes to the other; both ranks count the link. `sends`: of the two passes over
 * what is exchanged at once, the first. */
static void exchange(struct projection *projection, int32_t value, uint32_t link, bool sends)
{
    const int32_t parameter = parameter_of(projection->program, value), home = projection->holders.home[value];
    const int32_t first = projection->holders.first[parameter], second = projection->holders.second[parameter];

    if (sends && home == projection->rank)
        projection_send(projection, value, false, home == first ? second : first, link);
    if (!sends && home != projection->rank && holders_have(&projection->holders, parameter, projection->rank))
        projection_receive(projection, value, false, home, link);
}

static bool is_apart(const struct projection *projection, int32_t value)
{
    return value != NO_VALUE && projection->holders.home[value] >= 0;
}

/* What only one holder has of what the op reads. */
static void exchange_inputs(struct projection *projection, const struct op *op)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(projection->program, op);
    uint32_t link = projection->next_link;

    for (int sends = 1; sends >= 0; sends--) {
        link = projection->next_link;
        for (uint32_t i = 0; info->operands[i].name != NULL; i++)
            if (info->operands[i].direction != OPERAND_OUT && is_apart(projection, operands[i]))
                exchange(projection, operands[i], link++, sends);
    }
    projection->next_link = link;
    for (uint32_t i = 0; info->operands[i].name != NULL; i++)
        if (info->operands[i].direction != OPERAND_OUT && is_apart(projection, operands[i]))
            projection->holders.home[operands[i]] = HOME_BOTH;
}

void terms_project(struct projection *projection, const struct section *section)
{
    const struct program *program = projection->program;
    bool begun = false;

    for (int32_t i = 0; i < section->op_count; i++) {
        const struct op *op = &program->ops[section->first_op + i];
        const int32_t parameter = op_parameter(program, op);
        const bool mine = parameter == NO_VALUE || holders_have(&projection->holders, parameter, projection->rank);
        int32_t place = HOME_BOTH;

        if (mine && !begun)
            projection_begin(projection, section);
        begun |= mine;
        if (parameter != NO_VALUE && projection->holders.second[parameter] >= 0) {
            place = holders_place(&projection->holders, program, op);
            if (place == HOME_BOTH)
                exchange_inputs(projection, op);
            holders_ran(&projection->holders, program, op, place);
        }
        if (mine && (place == HOME_BOTH || place == projection->rank))
            projection_copy(projection, op);
    }
}

static void exchange_gradients(struct projection *projection, const struct op *op)
{
    const struct program *program = projection->program;
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(program, op);

    for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
        const int32_t value = info->operands[i].direction == OPERAND_IN ? operands[i] : NO_VALUE;
        const int32_t parameter = value != NO_VALUE && program->values[value].kind == VALUE_GRADIENT
                                      ? parameter_of(program, value)
                                      : NO_VALUE;

        if (parameter == NO_VALUE || projection->holders.second[parameter] < 0 || !is_apart(projection, value))
            continue;
        exchange(projection, value, projection->next_link, true);
        exchange(projection, value, projection->next_link++, false);
        projection->holders.home[value] = HOME_BOTH;
    }
}

void terms_exchange_rest(struct projection *projection, const struct section *update)
{
    for (int32_t i = 0; i < update->op_count; i++)
        exchange_gradients(projection, &projection->program->ops[update->first_op + i]);
}

void terms_set_replica(struct projection *projection, int32_t parameter, const struct op *op)
{
    struct llmrun_sum_squares_attributes *attributes;

    if (op == NULL || op->op != LLMRUN_OP_SUM_SQUARES || projection->holders.second[parameter] != projection->rank)
        return;
    attributes = program_attributes(projection->out, op);
    attributes->replica = 1;
}
