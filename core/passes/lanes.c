#include "passes/lanes.h"

#include <stdio.h>
#include <stdlib.h>

#include "program/builder.h"
#include "program/op_table.h"

#define FEATURE_LEAVES  8
#define POSITION_CHUNKS 8

struct lanes {
    struct builder builder;
    struct program *program;
    const struct lanes_form *form;
    int32_t *uses; /* one a value: accumulators that stand for it */
};

int64_t lanes_leaves(int64_t extent, int64_t most)
{
    int64_t leaves = 1;

    while (2 * leaves <= most && extent % (2 * leaves) == 0)
        leaves *= 2;
    return leaves;
}

int64_t lanes_default(int64_t global_batch)
{
    return lanes_leaves(global_batch, 8);
}

int lanes_form_make(bool exact, int64_t sequence, int64_t global_batch, int64_t micro_batch, int64_t lanes,
                    struct lanes_form *form, struct error *error)
{
    int64_t microbatches = global_batch / micro_batch;

    *form = (struct lanes_form){.sequence = sequence, .features = 1, .chunks = 1, .lanes = 1, .units = 1};
    form->accumulate = true;
    if (!exact)
        return STATUS_OK;
    if (lanes < 1 || (lanes & (lanes - 1)) != 0 || lanes > 256 || global_batch % lanes != 0)
        return error_set(error, STATUS_USAGE,
                         "numerics.lanes is %lld; a power of two up to 256 that divides train.global_batch %lld is "
                         "wanted",
                         (long long)lanes, (long long)global_batch);
    if (microbatches % lanes != 0 && lanes % microbatches != 0)
        return error_set(
            error, STATUS_USAGE,
            "train.micro_batch %lld is neither a part nor a multiple of a lane: train.global_batch %lld in "
            "%lld lanes has lanes of %lld sequences; with numerics.lanes 1 every train.micro_batch is possible",
            (long long)micro_batch, (long long)global_batch, (long long)lanes, (long long)(global_batch / lanes));
    form->exact = true;
    form->features = FEATURE_LEAVES;
    form->chunks = lanes_leaves(sequence, POSITION_CHUNKS);
    form->lanes = lanes > microbatches ? lanes / microbatches : 1;
    form->units = lanes / form->lanes;
    form->accumulate = microbatches > form->units;
    return STATUS_OK;
}

static int64_t extent(const struct lanes *lanes, int32_t value, int dimension)
{
    return lanes->program->values[value].shape[dimension];
}

static uint32_t common_leaves(const struct lanes *lanes, const int32_t *operands, int first, int last, int step)
{
    int64_t leaves = lanes->form->features;

    for (int i = first; i <= last; i += step)
        if (operands[i] != NO_VALUE)
            leaves = lanes_leaves(extent(lanes, operands[i], 1), leaves);
    return (uint32_t)leaves;
}

static void cut_features(struct lanes *lanes, const struct op *op)
{
    const int32_t *operands = program_operands(lanes->program, op);
    void *attributes = program_attributes(lanes->program, op);

    if (op->op == LLMRUN_OP_MATMUL)
        ((struct llmrun_matmul_attributes *)attributes)->leaves =
            common_leaves(lanes, operands, LLMRUN_MATMUL_X, LLMRUN_MATMUL_X, 1);
    else if (op->op == LLMRUN_OP_MATMUL_INPUT_GRAD)
        ((struct llmrun_matmul_input_grad_attributes *)attributes)->leaves =
            common_leaves(lanes, operands, LLMRUN_MATMUL_INPUT_GRAD_DY0, LLMRUN_MATMUL_INPUT_GRAD_DY2, 2);
    else if (op->op == LLMRUN_OP_LINEAR_CROSS_ENTROPY)
        ((struct llmrun_linear_cross_entropy_attributes *)attributes)->leaves = (uint32_t)lanes_leaves(
            extent(lanes, operands[LLMRUN_LINEAR_CROSS_ENTROPY_W], 0),
            common_leaves(lanes, operands, LLMRUN_LINEAR_CROSS_ENTROPY_X, LLMRUN_LINEAR_CROSS_ENTROPY_X, 1));
}

/* Rows of channels: [lanes * chunks, channels], where the gradient that they belong to has one dimension less. */
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
static int32_t own_accumulator(struct lanes *lanes, const int32_t *operands, uint32_t operand)
{
    struct program *program = lanes->program;
    const int32_t shared = operands[operand];
    const bool rows = is_rows(program, &program->values[shared]);
    const int32_t gradient = rows ? program->values[shared].source : shared;
    char suffix[24];
    int32_t own;

    if (lanes->uses[shared] > 0 && !lanes->form->exact && !stands_before(operands, operand))
        return shared;
    if (++lanes->uses[shared] == 1)
        return shared;
    snprintf(suffix, sizeof suffix, "use%d", lanes->uses[shared]);
    own = build_part(&lanes->builder, gradient, suffix, VALUE_PARTIAL, LLMRUN_F32, program->values[gradient].rank,
                     program->values[gradient].shape);
    if (rows && own != NO_VALUE)
        own = build_part(&lanes->builder, own, "rows", VALUE_PARTIAL, LLMRUN_F32, 2, program->values[shared].shape);
    return own;
}

/* Output `operand` of an op: what it adds up in, and whether it finds a sum there. */
static void set_accumulator(struct lanes *lanes, struct op *op, uint32_t operand)
{
    int32_t *operands = program_operands(lanes->program, op), accumulator;

    if (operands[operand] == NO_VALUE)
        return;
    accumulator = own_accumulator(lanes, operands, operand);
    if (accumulator == NO_VALUE)
        return;
    operands[operand] = accumulator;
    if (is_rows(lanes->program, &lanes->program->values[accumulator]))
        program_set_extent(lanes->program, accumulator, 0, lanes->form->lanes * lanes->form->chunks);
    if (!lanes->form->accumulate)
        op->accumulate &= ~(1u << operand);
}

/* Attributes of sums over tokens: {sequence, lanes, chunks} of channels, {lanes} of matrices. */
static void cut_tokens(struct lanes *lanes, struct op *op)
{
    const struct lanes_form *form = lanes->form;
    void *attributes = program_attributes(lanes->program, op);

    switch (op->op) {
    case LLMRUN_OP_BIAS_GRAD:
        *(struct llmrun_bias_grad_attributes *)attributes =
            (struct llmrun_bias_grad_attributes){form->sequence, (uint32_t)form->lanes, (uint32_t)form->chunks};
        set_accumulator(lanes, op, LLMRUN_BIAS_GRAD_DBIAS);
        break;
    case LLMRUN_OP_LAYERNORM_GRAD:
        *(struct llmrun_layernorm_grad_attributes *)attributes =
            (struct llmrun_layernorm_grad_attributes){form->sequence, (uint32_t)form->lanes, (uint32_t)form->chunks};
        set_accumulator(lanes, op, LLMRUN_LAYERNORM_GRAD_DGAIN);
        set_accumulator(lanes, op, LLMRUN_LAYERNORM_GRAD_DBIAS);
        break;
    case LLMRUN_OP_RMSNORM_GRAD:
        *(struct llmrun_rmsnorm_grad_attributes *)attributes =
            (struct llmrun_rmsnorm_grad_attributes){form->sequence, (uint32_t)form->lanes, (uint32_t)form->chunks};
        set_accumulator(lanes, op, LLMRUN_RMSNORM_GRAD_DGAIN);
        break;
    case LLMRUN_OP_MATMUL_WEIGHT_GRAD:
        ((struct llmrun_matmul_weight_grad_attributes *)attributes)->lanes = (uint32_t)form->lanes;
        set_accumulator(lanes, op, LLMRUN_MATMUL_WEIGHT_GRAD_DW);
        break;
    case LLMRUN_OP_EMBEDDING_GRAD:
        ((struct llmrun_embedding_grad_attributes *)attributes)->lanes = (uint32_t)form->lanes;
        set_accumulator(lanes, op, LLMRUN_EMBEDDING_GRAD_DTABLE);
        break;
    case LLMRUN_OP_LINEAR_CROSS_ENTROPY:
        if (program_operands(lanes->program, op)[LLMRUN_LINEAR_CROSS_ENTROPY_DW] == NO_VALUE)
            break;
        ((struct llmrun_linear_cross_entropy_attributes *)attributes)->lanes = (uint32_t)form->lanes;
        set_accumulator(lanes, op, LLMRUN_LINEAR_CROSS_ENTROPY_DW);
        break;
    default:
        break;
    }
}

static void emit_reduce(struct lanes *lanes, int32_t a, int32_t b, int32_t y)
{
    int32_t operands[LLMRUN_REDUCE_OPERANDS] = {a, b, y};

    builder_emit(&lanes->builder, LLMRUN_OP_REDUCE, NULL, operands, 0, "reduce");
}

static int32_t waiting(struct lanes *lanes, int32_t accumulator, int level)
{
    const struct value *value = &lanes->program->values[accumulator];
    char suffix[24];

    snprintf(suffix, sizeof suffix, "lane%d", level);
    return build_part(&lanes->builder, accumulator, suffix, VALUE_WAITING, LLMRUN_F32, value->rank, value->shape);
}

static void close_accumulator(struct lanes *lanes, int32_t accumulator, int closed, bool last)
{
    if (closed == 0 && !last)
        emit_reduce(lanes, accumulator, NO_VALUE, waiting(lanes, accumulator, 0));
    for (int level = 0; level < closed; level++)
        emit_reduce(lanes, waiting(lanes, accumulator, level), accumulator,
                    level + 1 < closed || last ? accumulator : waiting(lanes, accumulator, closed));
}

static void add_close_section(struct lanes *lanes, int32_t closed, bool last, int64_t values)
{
    struct program *program = lanes->program;

    lanes->builder.status = program_add_section(program, SECTION_CLOSE, closed, lanes->builder.error);
    for (int64_t i = 0; i < values && lanes->builder.status == STATUS_OK; i++)
        if (is_rows(program, &program->values[i])) {
            int32_t operands[LLMRUN_FOLD_OPERANDS] = {(int32_t)i, program->values[i].source};

            builder_emit(&lanes->builder, LLMRUN_OP_FOLD, NULL, operands, 0, "fold");
        }
    for (int64_t i = 0; i < values && lanes->builder.status == STATUS_OK; i++)
        if (program->values[i].kind == VALUE_GRADIENT ||
            (program->values[i].kind == VALUE_PARTIAL && !is_rows(program, &program->values[i])))
            close_accumulator(lanes, (int32_t)i, closed, last);
    for (int64_t i = 0; i < values && last && lanes->builder.status == STATUS_OK; i++)
        if (program->values[i].kind == VALUE_PARTIAL && !is_rows(program, &program->values[i]))
            emit_reduce(lanes, program->values[i].source, (int32_t)i, program->values[i].source);
}

int pass_lanes(struct program *program, const struct lanes_form *form, struct error *error)
{
    struct lanes lanes = {.program = program, .form = form};
    int64_t values;
    int levels = 0;

    lanes.uses = calloc((size_t)program->value_count + 1, sizeof *lanes.uses);
    if (lanes.uses == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the lanes pass");
    builder_init(&lanes.builder, program, error);
    lanes.builder.role = ROLE_UPDATE;
    for (int64_t i = 0; i < program->op_count && lanes.builder.status == STATUS_OK; i++) {
        cut_features(&lanes, &program->ops[i]);
        cut_tokens(&lanes, &program->ops[i]);
    }
    values = program->value_count;
    while ((int64_t)1 << levels < form->units)
        levels++;
    for (int closed = 0; closed <= levels && program_section(program, SECTION_BACKWARD) != NULL; closed++)
        add_close_section(&lanes, closed, closed == levels, values);
    free(lanes.uses);
    return lanes.builder.status;
}
