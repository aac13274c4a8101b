#include "passes/recompute.h"

#include <stdlib.h>
#include <string.h>

#include "program/builder.h"
#include "program/op_table.h"

/* The backward section is written anew: each of its ops, preceded by the clones that its operands need. */
struct recompute_state {
    struct program *program;
    struct program *out;
    enum recompute mode;
    int64_t values;    /* of the program as it came */
    int64_t *producer; /* forward op that writes each value, or -1 */
    bool *crosses;     /* full: the value is used by the forward pass of another layer than its own */
    int32_t *clone;    /* what stands for each value in the backward section, NO_VALUE before it is made */
    struct error *error;
    int status;
};

static bool is_output(const struct op_info *info, uint32_t i)
{
    return info->operands[i].direction == OPERAND_OUT;
}

/* A norm that opens its layer and sums up the stream: in full mode its sum is what the layer is made again from. */
static bool opens_layer(const struct recompute_state *state, int64_t op)
{
    const struct op *ops = state->program->ops;
    const int32_t *operands = program_operands(state->program, &ops[op]);
    bool sums = (ops[op].op == LLMRUN_OP_LAYERNORM && operands[LLMRUN_LAYERNORM_SUM] != NO_VALUE) ||
                (ops[op].op == LLMRUN_OP_RMSNORM && operands[LLMRUN_RMSNORM_SUM] != NO_VALUE);

    return sums && (op == 0 || ops[op - 1].layer != ops[op].layer);
}

static void find_producers(struct recompute_state *state, const struct section *forward)
{
    struct program *program = state->program;

    for (int64_t i = 0; i < state->values; i++)
        state->producer[i] = -1, state->clone[i] = NO_VALUE;
    for (int32_t n = 0; n < forward->op_count; n++) {
        const struct op *op = &program->ops[forward->first_op + n];
        const struct op_info *info = op_info_find(op->op);
        const int32_t *operands = program_operands(program, op);

        for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
            if (operands[i] == NO_VALUE || program->values[operands[i]].kind != VALUE_ACTIVATION)
                continue;
            if (is_output(info, i))
                state->producer[operands[i]] = forward->first_op + n;
            else if (state->producer[operands[i]] >= 0 &&
                     program->ops[state->producer[operands[i]]].layer != op->layer &&
                     !opens_layer(state, forward->first_op + n))
                state->crosses[operands[i]] = true;
        }
    }
}

/* A layernorm's sum is kept in selective mode; in full mode only where it opens the layer. */
static bool is_kept_sum(const struct recompute_state *state, int64_t producer, int32_t value)
{
    const struct op *op = &state->program->ops[producer];

    if (op->op != LLMRUN_OP_LAYERNORM || program_operands(state->program, op)[LLMRUN_LAYERNORM_SUM] != value)
        return false;
    return state->mode == RECOMPUTE_SELECTIVE || opens_layer(state, producer);
}

static bool can_remake(const struct recompute_state *state, int32_t value)
{
    int64_t producer = value < state->values ? state->producer[value] : -1;
    const struct op *op;

    if (producer < 0 || is_kept_sum(state, producer, value))
        return false;
    op = &state->program->ops[producer];
    if (op->op == LLMRUN_OP_LINEAR_CROSS_ENTROPY)
        return false;
    if (state->mode == RECOMPUTE_FULL)
        return op->layer >= 0 && !state->crosses[value];
    return op_info_find(op->op)->flags & OP_CHEAP;
}

static int32_t remake(struct recompute_state *state, int32_t value);

/* In selective mode an input that is not cheap is kept by being used here; a norm starts from its sum. */
static void clone_inputs(struct recompute_state *state, const struct op *op, const struct op_info *info,
                         int32_t *operands)
{
    if (op->op == LLMRUN_OP_LAYERNORM && operands[LLMRUN_LAYERNORM_RESIDUAL] != NO_VALUE &&
        !can_remake(state, operands[LLMRUN_LAYERNORM_SUM])) {
        operands[LLMRUN_LAYERNORM_X] = operands[LLMRUN_LAYERNORM_SUM];
        operands[LLMRUN_LAYERNORM_RESIDUAL] = NO_VALUE;
        operands[LLMRUN_LAYERNORM_SUM] = NO_VALUE;
    }
    for (uint32_t i = 0; info->operands[i].name != NULL; i++)
        if (!is_output(info, i) && operands[i] != NO_VALUE)
            operands[i] = remake(state, operands[i]);
}

static int32_t clone_value(struct recompute_state *state, int32_t value)
{
    const struct value from = state->out->values[value];
    char name[VALUE_NAME_BYTES + 8];
    size_t length = strlen(from.name);

    memcpy(name, from.name, length);
    memcpy(name + length, ".again", 7);
    return program_add_value(state->out, name, from.kind, from.dtype, from.rank, from.shape);
}

/* What to use for `value` in the backward section: itself, or a clone that is made now. */
static int32_t remake(struct recompute_state *state, int32_t value)
{
    int32_t operands[LLMRUN_MAX_OPERANDS];
    const struct op_info *info;
    struct op op;

    if (state->status != STATUS_OK || !can_remake(state, value))
        return value;
    if (state->clone[value] != NO_VALUE)
        return state->clone[value];
    op = state->program->ops[state->producer[value]];
    info = op_info_find(op.op);
    memcpy(operands, program_operands(state->program, &op), op_operand_count(info) * sizeof *operands);
    clone_inputs(state, &op, info, operands);
    for (uint32_t i = 0; info->operands[i].name != NULL; i++)
        if (is_output(info, i) && operands[i] != NO_VALUE) {
            int32_t original = operands[i];

            operands[i] = clone_value(state, original);
            state->clone[original] = operands[i];
        }
    op.role = ROLE_BACKWARD_INPUT;
    op.recomputed = 1;
    if (program_add_op(state->out, &op, operands, program_attributes(state->program, &op)) < 0)
        state->status = error_set(state->error, STATUS_MEMORY, "no memory for the recompute pass");
    return state->clone[value];
}

static void copy_op(struct recompute_state *state, const struct op *op, bool backward)
{
    const struct op_info *info = op_info_find(op->op);
    int32_t operands[LLMRUN_MAX_OPERANDS];

    memcpy(operands, program_operands(state->program, op), op_operand_count(info) * sizeof *operands);
    for (uint32_t i = 0; backward && info->operands[i].name != NULL; i++)
        if (!is_output(info, i) && operands[i] != NO_VALUE)
            operands[i] = remake(state, operands[i]);
    if (state->status == STATUS_OK &&
        program_add_op(state->out, op, operands, program_attributes(state->program, op)) < 0)
        state->status = error_set(state->error, STATUS_MEMORY, "no memory for the recompute pass");
}

static void rewrite(struct recompute_state *state)
{
    struct program *program = state->program, *out = state->out;

    for (int64_t i = 0; state->status == STATUS_OK && i < state->values; i++) {
        const struct value *value = &program->values[i];
        int32_t id = program_add_value(out, value->name, value->kind, value->dtype, value->rank, value->shape);

        if (id == NO_VALUE)
            state->status = error_set(state->error, STATUS_MEMORY, "no memory for the recompute pass");
        else
            out->values[id] = *value;
    }
    for (int64_t s = 0; state->status == STATUS_OK && s < program->section_count; s++) {
        const struct section *section = &program->sections[s];

        state->status = program_add_section(out, section->kind, section->chunk, state->error);
        for (int32_t i = 0; state->status == STATUS_OK && i < section->op_count; i++)
            copy_op(state, &program->ops[section->first_op + i], section->kind == SECTION_BACKWARD);
    }
}

int pass_recompute(struct program *program, enum recompute mode, struct error *error)
{
    const struct section *forward = program_section(program, SECTION_FORWARD);
    struct program out;
    struct recompute_state state = {
        .program = program, .out = &out, .mode = mode, .values = program->value_count, .error = error};

    if (mode == RECOMPUTE_NONE || forward == NULL)
        return STATUS_OK;
    program_init(&out);
    state.producer = malloc((size_t)(state.values + 1) * sizeof *state.producer);
    state.clone = malloc((size_t)(state.values + 1) * sizeof *state.clone);
    state.crosses = calloc((size_t)state.values + 1, sizeof *state.crosses);
    if (state.producer == NULL || state.clone == NULL || state.crosses == NULL) {
        state.status = error_set(error, STATUS_MEMORY, "no memory for the recompute pass");
    } else {
        find_producers(&state, forward);
        rewrite(&state);
    }
    free(state.producer);
    free(state.clone);
    free(state.crosses);
    if (state.status == STATUS_OK) {
        program_free(program);
        *program = out;
    } else {
        program_free(&out);
    }
    return state.status;
}
