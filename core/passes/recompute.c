#include "passes/recompute.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "program/op_table.h"

/* What is known of a value of the program as it came. */
struct fate {
    int64_t producer;   /* forward op that writes it; -1: none does, or it is no activation */
    bool kept;          /* is never recomputed */
    bool in_backward;   /* the backward section uses it: its memory is there anyway unless it is recomputed */
    int32_t recomputed; /* what stands for it in the backward section; NO_VALUE before that is made */
};

/* The backward section is written anew: each of its ops, preceded by the clones that its operands need. */
struct recompute_state {
    struct program *program;
    struct program *out;
    enum recompute mode;
    int64_t values; /* of the program as it came */
    struct fate *fates;
    struct error *error;
    int status;
};

static bool is_output(const struct op_info *info, uint32_t i)
{
    return info->operands[i].direction == OPERAND_OUT;
}

/* Where an op that sums up the residual stream has its operands; false for one that does not, or has nothing to add. */
static bool sums_stream(const struct program *program, const struct op *op, struct op_residual *at)
{
    return op_residual_find(op_info_find(op->op), at) && program_operands(program, op)[at->sum] != NO_VALUE;
}

/* The layer that makes an activation, -1 outside the layers. */
static int layer_of(const struct recompute_state *state, int32_t value)
{
    return state->program->ops[state->fates[value].producer].layer;
}

/* An activation that an op reads, that another layer makes and that nothing keeps so far. */
static bool crosses(const struct recompute_state *state, const struct op *op, int32_t value)
{
    return value != NO_VALUE && state->fates[value].producer >= 0 && !state->fates[value].kept &&
           layer_of(state, value) != op->layer;
}

/* Full: what one layer takes from another. Where it goes into the residual stream at once, the sum is kept in its
 * place: one value instead of two. */
static void keep_what_crosses_layers(struct recompute_state *state, const struct op *op)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(state->program, op);
    struct op_residual at;

    if (sums_stream(state->program, op, &at) &&
        (crosses(state, op, operands[at.x]) || crosses(state, op, operands[at.residual]))) {
        state->fates[operands[at.sum]].kept = true;
        return;
    }
    for (uint32_t i = 0; info->operands[i].name != NULL; i++)
        if (!is_output(info, i) && crosses(state, op, operands[i]))
            state->fates[operands[i]].kept = true;
}

/* Bytes that have to be kept for no other reason than to recompute this op. */
static int64_t bytes_kept_for(const struct recompute_state *state, const struct op *op)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(state->program, op);
    struct op_residual at;
    int64_t bytes = 0;

    if (sums_stream(state->program, op, &at))
        return 0;
    for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
        const struct fate *fate = operands[i] != NO_VALUE ? &state->fates[operands[i]] : NULL;

        if (!is_output(info, i) && fate != NULL && fate->producer >= 0 && fate->kept && !fate->in_backward)
            bytes += value_bytes(&state->program->values[operands[i]]);
    }
    return bytes;
}

/* Selective: everything but the outputs of cheap ops that keep less than they save; of these, the residual stream. */
static void keep_what_is_dear(struct recompute_state *state, const struct op *op)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(state->program, op);
    /* Without recomputation only what ranks have parts of is made whole again. */
    const uint32_t cheap = state->mode == RECOMPUTE_NONE ? OP_CHEAP | OP_COMMUNICATION : OP_CHEAP;
    struct op_residual at;
    int64_t bytes = 0, cost;
    bool dear;

    for (uint32_t i = 0; info->operands[i].name != NULL; i++)
        if (is_output(info, i) && operands[i] != NO_VALUE && state->fates[operands[i]].in_backward)
            bytes += value_bytes(&state->program->values[operands[i]]);
    cost = bytes_kept_for(state, op);
    dear = (info->flags & cheap) != cheap || (cost > 0 && cost >= bytes);
    for (uint32_t i = 0; dear && info->operands[i].name != NULL; i++)
        if (is_output(info, i) && operands[i] != NO_VALUE)
            state->fates[operands[i]].kept = true;
    if (sums_stream(state->program, op, &at))
        state->fates[operands[at.sum]].kept = true;
}

/* Only ops that write nothing but activations, each once, can run a second time. */
static bool runs_twice(const struct program *program, const struct op *op)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(program, op);

    for (uint32_t i = 0; info->operands[i].name != NULL; i++)
        if (info->operands[i].direction != OPERAND_IN && operands[i] != NO_VALUE &&
            program->values[operands[i]].kind != VALUE_ACTIVATION)
            return false;
    return op->accumulate == 0;
}

static void find_fates(struct recompute_state *state, const struct section *forward)
{
    struct program *program = state->program;
    const struct section *backward = program_section(program, SECTION_BACKWARD);

    for (int64_t i = 0; i < state->values; i++)
        state->fates[i] = (struct fate){.producer = -1, .recomputed = NO_VALUE};
    for (int32_t n = 0; backward != NULL && n < backward->op_count; n++) {
        const struct op *op = &program->ops[backward->first_op + n];
        const int32_t *operands = program_operands(program, op);

        for (uint32_t i = 0; i < op_operand_count(op_info_find(op->op)); i++)
            if (operands[i] != NO_VALUE)
                state->fates[operands[i]].in_backward = true;
    }
    for (int32_t n = 0; n < forward->op_count; n++) {
        const struct op *op = &program->ops[forward->first_op + n];
        const struct op_info *info = op_info_find(op->op);
        const int32_t *operands = program_operands(program, op);
        bool once = !runs_twice(program, op) || (state->mode == RECOMPUTE_FULL && op->layer < 0);

        for (uint32_t i = 0; info->operands[i].name != NULL; i++)
            if (is_output(info, i) && operands[i] != NO_VALUE &&
                program->values[operands[i]].kind == VALUE_ACTIVATION) {
                state->fates[operands[i]].producer = forward->first_op + n;
                state->fates[operands[i]].kept = once;
            }
        if (state->mode == RECOMPUTE_FULL)
            keep_what_crosses_layers(state, op);
        else
            keep_what_is_dear(state, op);
    }
    for (int32_t n = 0; state->mode == RECOMPUTE_FULL && backward != NULL && n < backward->op_count; n++)
        keep_what_crosses_layers(state, &program->ops[backward->first_op + n]); /* the loss */
}

static bool is_recomputed(const struct recompute_state *state, int32_t value)
{
    return value < state->values && state->fates[value].producer >= 0 && !state->fates[value].kept;
}

static int32_t recompute(struct recompute_state *state, int32_t value);

/* An input that is not recomputed is kept by being used here. */
static void clone_inputs(struct recompute_state *state, const struct op *op, const struct op_info *info,
                         int32_t *operands)
{
    struct op_residual at;

    if (sums_stream(state->program, op, &at) && !is_recomputed(state, operands[at.sum])) {
        operands[at.x] = operands[at.sum];
        operands[at.residual] = NO_VALUE;
        operands[at.sum] = NO_VALUE;
    }
    for (uint32_t i = 0; info->operands[i].name != NULL; i++)
        if (!is_output(info, i) && operands[i] != NO_VALUE)
            operands[i] = recompute(state, operands[i]);
}

static int32_t clone_value(struct recompute_state *state, int32_t value)
{
    const struct value *from = &state->program->values[value];
    struct text name = {0};
    int32_t clone = NO_VALUE;

    text_add(&name, "%s.again", from->name);
    if (!name.failed)
        clone = program_add_value(state->out, name.data, from->kind, from->dtype, from->rank, from->shape);
    if (clone == NO_VALUE)
        state->status = error_set(state->error, STATUS_MEMORY, "no memory for the recompute pass");
    else
        value_copy_type(&state->out->values[clone], from);
    text_finish(&name);
    return clone;
}

/* What to use for `value` in the backward section: itself, or a clone that is made now. */
static int32_t recompute(struct recompute_state *state, int32_t value)
{
    int32_t operands[LLMRUN_MAX_OPERANDS];
    const struct op_info *info;
    struct op op;

    if (state->status != STATUS_OK || !is_recomputed(state, value))
        return value;
    if (state->fates[value].recomputed != NO_VALUE)
        return state->fates[value].recomputed;
    op = state->program->ops[state->fates[value].producer];
    info = op_info_find(op.op);
    memcpy(operands, program_operands(state->program, &op), op_operand_count(info) * sizeof *operands);
    clone_inputs(state, &op, info, operands);
    for (uint32_t i = 0; info->operands[i].name != NULL; i++)
        if (is_output(info, i) && operands[i] != NO_VALUE) {
            int32_t original = operands[i];

            operands[i] = clone_value(state, original);
            state->fates[original].recomputed = operands[i];
        }
    op.role = ROLE_BACKWARD_INPUT;
    op.recomputed = 1;
    if (state->status == STATUS_OK &&
        program_add_op(state->out, &op, operands, program_attributes(state->program, &op)) < 0)
        state->status = error_set(state->error, STATUS_MEMORY, "no memory for the recompute pass");
    return state->fates[value].recomputed;
}

static void copy_op(struct recompute_state *state, const struct op *op, bool backward)
{
    const struct op_info *info = op_info_find(op->op);
    int32_t operands[LLMRUN_MAX_OPERANDS];

    memcpy(operands, program_operands(state->program, op), op_operand_count(info) * sizeof *operands);
    for (uint32_t i = 0; backward && info->operands[i].name != NULL; i++)
        if (!is_output(info, i) && operands[i] != NO_VALUE)
            operands[i] = recompute(state, operands[i]);
    if (state->status == STATUS_OK &&
        program_add_op(state->out, op, operands, program_attributes(state->program, op)) < 0)
        state->status = error_set(state->error, STATUS_MEMORY, "no memory for the recompute pass");
}

static void rewrite(struct recompute_state *state)
{
    struct program *program = state->program, *out = state->out;

    state->status = program_copy_values(out, program, state->error);
    for (int64_t s = 0; state->status == STATUS_OK && s < program->section_count; s++) {
        const struct section *section = &program->sections[s];

        state->status = program_add_section(out, section, state->error);
        for (int32_t i = 0; state->status == STATUS_OK && i < section->op_count; i++)
            copy_op(state, &program->ops[section->first_op + i], section->kind == SECTION_BACKWARD);
    }
}

static bool communicates(const struct program *program, const struct section *forward)
{
    for (int32_t i = 0; i < forward->op_count; i++)
        if ((op_info_find(program->ops[forward->first_op + i].op)->flags & OP_COMMUNICATION) != 0)
            return true;
    return false;
}

int pass_recompute(struct program *program, enum recompute mode, struct error *error)
{
    const struct section *forward = program_section(program, SECTION_FORWARD);
    struct program out;
    struct recompute_state state = {
        .program = program, .out = &out, .mode = mode, .values = program->value_count, .error = error};

    if (forward == NULL || (mode == RECOMPUTE_NONE && !communicates(program, forward)))
        return STATUS_OK;
    program_init(&out);
    state.fates = malloc((size_t)(state.values + 1) * sizeof *state.fates);
    if (state.fates == NULL) {
        state.status = error_set(error, STATUS_MEMORY, "no memory for the recompute pass");
    } else {
        find_fates(&state, forward);
        rewrite(&state);
    }
    free(state.fates);
    if (state.status == STATUS_OK) {
        program_finish(program);
        *program = out;
    } else {
        program_finish(&out);
    }
    return state.status;
}
