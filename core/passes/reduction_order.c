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
    int32_t *uses;  /* one a value: accumulators that stand for it */
    bool *has_rows; /* one a value: its sum comes from rows of channels */
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
    const int64_t microbatches = request->global_batch / request->micro_batch;
    const int64_t parts =
        request->batch_parts > 0 ? request->batch_parts : reduction_parts(request->global_batch, BATCH_PARTS);
    const int64_t position_parts = request->position_parts > 0 ? request->position_parts : POSITION_PARTS;

    *form = (struct reduction_form){
        .sequence = request->sequence, .feature_parts = 1, .position_parts = 1, .batch_parts = 1, .groups = 1};
    form->accumulate = true;
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
    if (microbatches % parts != 0 && parts % microbatches != 0)
        return error_set(error, STATUS_USAGE,
                         "train.micro_batch %lld is neither a part nor a multiple of a batch part: "
                         "train.global_batch %lld in %lld batch parts has parts of %lld sequences; with "
                         "numerics.batch_parts 1 every train.micro_batch is possible",
                         (long long)request->micro_batch, (long long)request->global_batch, (long long)parts,
                         (long long)(request->global_batch / parts));
    form->exact = true;
    form->feature_parts = FEATURE_PARTS;
    form->position_parts = reduction_parts(request->sequence, position_parts);
    form->batch_parts = parts > microbatches ? parts / microbatches : 1;
    form->groups = parts / form->batch_parts;
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

/* Rows of channels, [position parts x batch parts, channels]: the gradient that they belong to has one dimension less.
 */
static bool is_rows(const struct program *program, const struct value *value)
{
    return value->kind == VALUE_PARTIAL && program->values[value->source].rank < value->rank;
}

static bool stands_before(const int32_t *operands, uint32_t operand)
{
    for (uint32_t i = 0; i < operand; i++)
        if (operands[i] == operands[operand])
            return true;
    return false;
}

/* A parameter that is used several times has a chain a use: from the second one on in a value of its own,
 * "<gradient>.use2" ..., which rows of channels are folded into like the first ones into the gradient. Without exact
 * sums uses share one chain, but for those of one op: it does not expect two outputs in one place. */
static int32_t own_accumulator(struct order *order, const int32_t *operands, uint32_t operand)
{
    struct program *program = order->program;
    const int32_t shared = operands[operand];
    const bool rows = is_rows(program, &program->values[shared]);
    const int32_t gradient = rows ? program->values[shared].source : shared;
    char suffix[24];
    int32_t own;

    if (order->uses[shared] > 0 && !order->form->exact && !stands_before(operands, operand))
        return shared;
    if (++order->uses[shared] == 1)
        return shared;
    snprintf(suffix, sizeof suffix, "use%d", order->uses[shared]);
    own = build_part(&order->builder, gradient, suffix, VALUE_PARTIAL, LLMRUN_F32, program->values[gradient].rank,
                     program->values[gradient].shape);
    if (rows && own != NO_VALUE)
        own = build_part(&order->builder, own, "rows", VALUE_PARTIAL, LLMRUN_F32, 2, program->values[shared].shape);
    return own;
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
        program_set_extent(order->program, accumulator, 0, order->form->batch_parts * order->form->position_parts);
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

static void emit_reduce(struct order *order, int32_t a, int32_t b, int32_t y)
{
    int32_t operands[LLMRUN_REDUCE_OPERANDS] = {a, b, y};

    builder_emit(&order->builder, LLMRUN_OP_REDUCE, NULL, operands, 0, "reduce");
}

static int32_t waiting(struct order *order, int32_t accumulator, int level)
{
    const struct value *value = &order->program->values[accumulator];
    char suffix[24];

    snprintf(suffix, sizeof suffix, "level%d", level);
    return build_part(&order->builder, accumulator, suffix, VALUE_WAITING, LLMRUN_F32, value->rank, value->shape);
}

static void close_accumulator(struct order *order, int32_t accumulator, int closed, bool last)
{
    if (closed == 0 && !last)
        emit_reduce(order, accumulator, NO_VALUE, waiting(order, accumulator, 0));
    for (int level = 0; level < closed; level++)
        emit_reduce(order, waiting(order, accumulator, level), accumulator,
                    level + 1 < closed || last ? accumulator : waiting(order, accumulator, closed));
}

static void emit_fold(struct order *order, int32_t x, int32_t y)
{
    int32_t operands[LLMRUN_FOLD_OPERANDS] = {x, y};

    builder_emit(&order->builder, LLMRUN_OP_FOLD, NULL, operands, 0, "fold");
}

/* What groups add up: an accumulator, or of rows of channels a row for each position part, "<rows>.positions". */
static int32_t sum_of_group(struct order *order, int32_t accumulator)
{
    const struct value *value = &order->program->values[accumulator];
    const int64_t shape[] = {order->form->position_parts, value->shape[1]};

    if (!is_rows(order->program, value) || order->form->batch_parts == 1)
        return accumulator;
    return build_part(&order->builder, accumulator, "positions", VALUE_SCRATCH, LLMRUN_F32, 2, shape);
}

static void add_close_section(struct order *order, int32_t closed, bool last, int64_t values)
{
    struct program *program = order->program;
    const int *status = &order->builder.status;

    order->builder.status = program_add_section(program, SECTION_CLOSE, closed, order->builder.error);
    /* Batch parts meet first, those inside a group before others. */
    for (int32_t i = 0; i < values && *status == STATUS_OK; i++)
        if (is_rows(program, &program->values[i]) && sum_of_group(order, i) != i)
            emit_fold(order, i, sum_of_group(order, i));
    for (int32_t i = 0; i < values && *status == STATUS_OK; i++)
        if ((program->values[i].kind == VALUE_GRADIENT || program->values[i].kind == VALUE_PARTIAL) &&
            !order->has_rows[i])
            close_accumulator(order, sum_of_group(order, i), closed, last);
    /* Then position parts, then uses of a parameter. */
    for (int32_t i = 0; i < values && last && *status == STATUS_OK; i++)
        if (is_rows(program, &program->values[i]))
            emit_fold(order, sum_of_group(order, i), program->values[i].source);
    for (int32_t i = 0; i < values && last && *status == STATUS_OK; i++)
        if (program->values[i].kind == VALUE_PARTIAL && !is_rows(program, &program->values[i]))
            emit_reduce(order, program->values[i].source, i, program->values[i].source);
}

static void add_close_sections(struct order *order)
{
    const struct program *program = order->program;
    const int64_t values = program->value_count;
    int levels = 0;

    order->has_rows = calloc((size_t)values + 1, sizeof *order->has_rows);
    if (order->has_rows == NULL) {
        order->builder.status =
            error_set(order->builder.error, STATUS_MEMORY, "no memory for the reduction order pass");
        return;
    }
    for (int64_t i = 0; i < values; i++)
        if (is_rows(program, &program->values[i]))
            order->has_rows[program->values[i].source] = true;
    while ((int64_t)1 << levels < order->form->groups)
        levels++;
    for (int closed = 0; closed <= levels && order->builder.status == STATUS_OK; closed++)
        add_close_section(order, closed, closed == levels, values);
    free(order->has_rows);
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
    if (order.builder.status == STATUS_OK && program_section(program, SECTION_BACKWARD) != NULL)
        add_close_sections(&order);
    free(order.uses);
    return order.builder.status;
}
