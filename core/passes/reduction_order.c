#include "passes/reduction_order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program/axes.h"
#include "program/builder.h"
#include "program/op_table.h"

#define FEATURE_PARTS       8
#define BATCH_PARTS         8 /* where the user names none */
#define BATCH_PARTS_MOST    256
#define POSITION_PARTS      8 /* where the user names none */
#define POSITION_PARTS_MOST 64

struct order {
    struct builder builder;
    struct program *program;
    const struct reduction_form *form;
    int32_t *uses; /* one a value: accumulators that stand for it */
};

int64_t reduction_parts(int64_t extent, int64_t most)
{
    int64_t parts = 1;

    while (2 * parts <= most && extent % (2 * parts) == 0)
        parts *= 2;
    return parts;
}

static bool is_power_of_two(int64_t number, int64_t most)
{
    return number >= 1 && number <= most && (number & (number - 1)) == 0;
}

int reduction_form_make(const struct reduction_request *request, struct reduction_form *form, struct error *error)
{
    const int64_t dp = request->dp > 0 ? request->dp : 1;
    const int64_t microbatches = request->global_batch / dp / request->micro_batch;
    const int64_t parts =
        request->batch_parts > 0 ? request->batch_parts : reduction_parts(request->global_batch, BATCH_PARTS);
    const int64_t mine = parts / dp; /* of this rank */
    const int64_t position_parts = request->position_parts > 0 ? request->position_parts : POSITION_PARTS;

    *form = (struct reduction_form){
        .sequence = request->sequence, .feature_parts = 1, .position_parts = 1, .batch_parts = 1, .groups = 1};
    form->accumulate = true;
    form->shared_uses = !request->exact && request->one_backward;
    if (!request->exact)
        return STATUS_OK;
    if (!is_power_of_two(parts, BATCH_PARTS_MOST) || request->global_batch % parts != 0)
        return error_set(error, STATUS_USAGE,
                         "numerics.batch_parts is %lld; expected a power of two up to %d that divides "
                         "train.global_batch %lld",
                         (long long)parts, BATCH_PARTS_MOST, (long long)request->global_batch);
    if (!is_power_of_two(position_parts, POSITION_PARTS_MOST))
        return error_set(error, STATUS_USAGE, "numerics.position_parts is %lld; expected a power of two up to %d",
                         (long long)position_parts, POSITION_PARTS_MOST);
    if (parts % dp != 0)
        return error_set(
            error, STATUS_USAGE,
            "numerics.batch_parts is %lld, and data parallelism has %lld ranks: with numerics.exact each has "
            "as many whole batch parts; %lld ranks work, or a numerics.batch_parts that %lld divides (a "
            "power of two that divides train.global_batch %lld)",
            (long long)parts, (long long)dp, (long long)(dp > parts ? parts : reduction_parts(dp, parts)),
            (long long)dp, (long long)request->global_batch);
    if (microbatches % mine != 0 && mine % microbatches != 0)
        return error_set(error, STATUS_USAGE,
                         "train.micro_batch %lld is neither a part nor a multiple of a batch part: "
                         "train.global_batch %lld in %lld batch parts has parts of %lld sequences; with "
                         "numerics.batch_parts 1 every train.micro_batch is possible",
                         (long long)request->micro_batch, (long long)request->global_batch, (long long)parts,
                         (long long)(request->global_batch / parts));
    form->exact = true;
    form->feature_parts = FEATURE_PARTS;
    form->position_parts = reduction_parts(request->sequence, position_parts);
    form->batch_parts = mine > microbatches ? mine / microbatches : 1;
    form->groups = mine / form->batch_parts;
    form->accumulate = microbatches > form->groups;
    return STATUS_OK;
}

/* The largest power of two up to `most` that divides the extents of a letter, and of those tied to it, in all operands
 * that are there. */
static int64_t letter_parts(const struct program *program, const struct op *op, char letter, int64_t most)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(program, op);

    for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
        struct annotation annotation;

        axes_parse(info->operands[i].axes, &annotation);
        for (int d = 0; operands[i] >= 0 && d < annotation.count; d++)
            if (annotation.axes[d].factor_count == 1 && annotation.axes[d].factors[0].tied == letter)
                most = reduction_parts(program->values[operands[i]].shape[d], most);
    }
    return most;
}

/* Whether the op has an output that sums over the letter, or that keeps its parts apart. An op whose gradients are not
 * there sums over no tokens. */
static bool op_sums(const struct program *program, const struct op *op, char letter)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(program, op);
    struct annotation annotation;
    bool sums = false;

    for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
        axes_parse(info->operands[i].axes, &annotation);
        for (int r = 0; operands[i] >= 0 && r < annotation.removal_count; r++)
            sums |= annotation.removals[r].letter == letter;
        for (int d = 0; operands[i] >= 0 && d < annotation.count; d++)
            for (int f = 0; f < annotation.axes[d].factor_count; f++)
                sums |= annotation.axes[d].factors[f].parts && annotation.axes[d].factors[f].letter == letter;
    }
    return sums;
}

/* How many parts a sum over the letter has inside one op. */
static int64_t parts_of(const struct order *order, const struct op *op, char letter)
{
    switch (letter) {
    case 'b':
        return op_sums(order->program, op, letter) ? order->form->batch_parts : 1;
    case 's':
        return op_sums(order->program, op, letter) ? order->form->position_parts : 1;
    default:
        return letter_parts(order->program, op, letter, order->form->feature_parts);
    }
}

/* Sets what says how sums are cut; an op whose sums over positions are cut is told how long a sequence is. */
static void cut_sums(const struct order *order, const struct op *op)
{
    const struct op_info *info = op_info_find(op->op);
    void *attributes = program_attributes(order->program, op);

    for (uint32_t i = 0; info->attributes[i].name != NULL; i++) {
        const char *role = info->attributes[i].role;

        if (strncmp(role, "parts ", strlen("parts ")) == 0)
            op_attribute_set(info, i, attributes, parts_of(order, op, role[strlen("parts ")]));
        else if (strcmp(role, "extent s") == 0 && op_sums(order->program, op, 's'))
            op_attribute_set(info, i, attributes, order->form->sequence);
    }
}

/* Rows of channels, [head parts x position parts x batch parts, channels]: the gradient that they belong to has one
 * dimension less.
 */
static bool is_rows(const struct program *program, const struct value *value)
{
    return value->kind == VALUE_PARTIAL_ROWS && program->values[value->source].rank < value->rank;
}

static bool stands_before(const int32_t *operands, uint32_t operand)
{
    for (uint32_t i = 0; i < operand; i++)
        if (operands[i] == operands[operand])
            return true;
    return false;
}

/* A parameter that is used several times has a chain a use: from the second one on in a value of its own,
 * "<gradient>.use2" ..., which rows of channels are reduced into like the first ones into the gradient. Without exact
 * sums uses may share one chain, but for those of one op: it does not expect two outputs in one place. */
static int32_t own_accumulator(struct order *order, const int32_t *operands, uint32_t operand)
{
    struct program *program = order->program;
    const int32_t shared = operands[operand];
    const bool rows = is_rows(program, &program->values[shared]);
    const int32_t gradient = rows ? program->values[shared].source : shared;
    char suffix[24];
    int32_t own;

    if (order->uses[shared] > 0 && order->form->shared_uses && !stands_before(operands, operand))
        return shared;
    if (++order->uses[shared] == 1)
        return shared;
    snprintf(suffix, sizeof suffix, "use%d", order->uses[shared]);
    own = build_part(&order->builder, gradient, suffix, VALUE_PARTIAL_ROWS, LLMRUN_F32, program->values[gradient].rank,
                     program->values[gradient].shape);
    if (rows && own != NO_VALUE)
        own =
            build_part(&order->builder, own, "rows", VALUE_PARTIAL_ROWS, LLMRUN_F32, 2, program->values[shared].shape);
    return own;
}

/* Rows that an output keeps apart: one for each part of each letter that it has with a '/'. */
static int64_t rows_of(const struct order *order, const struct op *op, uint32_t operand)
{
    struct annotation annotation;
    int64_t rows = 1;

    axes_parse(op_info_find(op->op)->operands[operand].axes, &annotation);
    for (int f = 0; f < annotation.axes[0].factor_count; f++)
        if (annotation.axes[0].factors[f].parts)
            rows *= parts_of(order, op, annotation.axes[0].factors[f].letter);
    return rows;
}

/* Output `operand` of an op: what it adds up in, and whether it finds a sum there. */
static void set_accumulator(struct order *order, struct op *op, uint32_t operand)
{
    int32_t *operands = program_operands(order->program, op), accumulator;

    if (operands[operand] == NO_VALUE)
        return;
    accumulator = own_accumulator(order, operands, operand);
    if (accumulator == NO_VALUE)
        return;
    operands[operand] = accumulator;
    if (is_rows(order->program, &order->program->values[accumulator]))
        program_set_extent(order->program, accumulator, 0, rows_of(order, op, operand));
    if (!order->form->accumulate)
        op->accumulate &= ~(1u << operand);
}

/* Gradients of parameters: the outputs that the op was made to add to. */
static void set_accumulators(struct order *order, int64_t index)
{
    const uint32_t outputs = order->program->ops[index].accumulate;

    for (uint32_t i = 0; i < LLMRUN_MAX_OPERANDS; i++)
        if (outputs >> i & 1)
            set_accumulator(order, &order->program->ops[index], i);
}

int pass_reduction_order(struct program *program, const struct reduction_form *form, struct error *error)
{
    struct order order = {.program = program, .form = form};

    order.uses = calloc((size_t)program->value_count + 1, sizeof *order.uses);
    if (order.uses == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the reduction order pass");
    builder_init(&order.builder, program, error);
    order.builder.role = ROLE_UPDATE;
    for (int64_t i = 0; i < program->op_count && order.builder.status == STATUS_OK; i++) {
        cut_sums(&order, &program->ops[i]);
        set_accumulators(&order, i);
    }
    free(order.uses);
    return order.builder.status;
}
