#include "passes/optimizer.h"

#include <stdlib.h>

#include "passes/reduction_order.h"
#include "program/builder.h"

struct update {
    struct builder builder;
    const struct update_policy *policy;
    int32_t *table;  /* of slot_tree: {first slot, row parts, column parts} of each gradient */
    int64_t tensors; /* gradients, and */
    int64_t slots;   /* their slots, so far */
    int32_t sums, slot_table, roots, losses, learning_rate, bias_correction, clip_scale, norm, found_inf;
};

/* Of a matrix, both axes are cut, so that a rank may hold a part along either and write the slots of it. */
#define ROW_PARTS    256
#define COLUMN_PARTS 8
#define VECTOR_PARTS 256

static struct llmrun_sum_squares_attributes squares_of(const struct value *gradient, const struct update_policy *policy)
{
    const int64_t columns = gradient->shape[gradient->rank - 1], rows = value_elements(gradient) / columns;

    if (!policy->exact)
        return (struct llmrun_sum_squares_attributes){.row_parts = 1, .column_parts = 1};
    return (struct llmrun_sum_squares_attributes){
        .row_parts = (uint32_t)reduction_parts(rows, ROW_PARTS),
        .column_parts = (uint32_t)reduction_parts(columns, gradient->rank == 1 ? VECTOR_PARTS : COLUMN_PARTS)};
}

/* Fills the table: a slot for each part of each gradient. */
static int make_table(struct update *update, const struct program *program, struct error *error)
{
    update->table = calloc((size_t)program->value_count + 1, 3 * sizeof *update->table);
    if (update->table == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the update pass");
    for (int64_t i = 0; i < program->value_count; i++)
        if (program->values[i].kind == VALUE_GRADIENT) {
            const struct llmrun_sum_squares_attributes squares = squares_of(&program->values[i], update->policy);
            int32_t *line = update->table + 3 * update->tensors++;

            if (update->slots > INT32_MAX - ROW_PARTS * COLUMN_PARTS)
                return error_set(error, STATUS_USAGE, "the gradients have more slots of squares than 32 bits count");
            line[0] = (int32_t)update->slots;
            line[1] = (int32_t)squares.row_parts;
            line[2] = (int32_t)squares.column_parts;
            update->slots += (int64_t)squares.row_parts * squares.column_parts;
        }
    if (update->tensors == 0)
        return error_set(error, STATUS_USAGE, "no parameter is trainable, so there is nothing to train");
    return STATUS_OK;
}

static void make_values(struct update *update)
{
    struct builder *builder = &update->builder;
    const int64_t one[] = {1}, two[] = {2}, table[] = {update->tensors, 3};

    update->losses = program_find(builder->program, "losses");
    update->sums = build_value(builder, "grad_squares", VALUE_ACTIVATION, 0, LLMRUN_F64, 1, &update->slots);
    update->slot_table = build_value(builder, "grad_slots", VALUE_CONSTANT, 0, LLMRUN_I32, 2, table);
    update->roots = build_value(builder, "grad_roots", VALUE_ACTIVATION, 0, LLMRUN_F64, 1, &update->tensors);
    update->learning_rate = build_value(builder, "learning_rate", VALUE_INPUT, 0, LLMRUN_F32, 1, one);
    update->bias_correction = build_value(builder, "bias_correction", VALUE_INPUT, 0, LLMRUN_F32, 1, two);
    update->clip_scale = build_value(builder, "clip_scale", VALUE_ACTIVATION, 0, LLMRUN_F32, 1, one);
    update->norm = build_value(builder, "grad_norm", VALUE_RESULT, 0, LLMRUN_F32, 1, one);
    update->found_inf = build_value(builder, "found_inf", VALUE_RESULT, 0, LLMRUN_U32, 1, one);
    if (builder->status == STATUS_OK && !program_set_contents(builder->program, update->slot_table, update->table))
        builder->status = error_set(builder->error, STATUS_MEMORY, "no memory for the update pass");
}

static void emit_squares(struct update *update, int32_t gradient, const int32_t *line)
{
    const struct llmrun_sum_squares_attributes squares = {
        .slot = line[0], .row_parts = (uint32_t)line[1], .column_parts = (uint32_t)line[2]};
    int32_t operands[LLMRUN_SUM_SQUARES_OPERANDS] = {gradient, update->sums};

    builder_emit(&update->builder, LLMRUN_OP_SUM_SQUARES, &squares, operands, 0, "squares");
}

static void emit_slot_tree(struct update *update)
{
    int32_t operands[LLMRUN_SLOT_TREE_OPERANDS] = {update->sums, update->slot_table, update->roots};

    builder_emit(&update->builder, LLMRUN_OP_SLOT_TREE, NULL, operands, 0, "roots");
}

static void emit_clip(struct update *update)
{
    struct llmrun_clip_attributes attributes = {update->policy->clip, 0};
    int32_t operands[LLMRUN_CLIP_OPERANDS];

    operands[LLMRUN_CLIP_ROOTS] = update->roots;
    operands[LLMRUN_CLIP_LOSSES] = update->losses;
    operands[LLMRUN_CLIP_FOUND_INF] = update->found_inf;
    operands[LLMRUN_CLIP_SCALE] = update->clip_scale;
    operands[LLMRUN_CLIP_NORM] = update->norm;
    builder_emit(&update->builder, LLMRUN_OP_CLIP, &attributes, operands, 0, "clip");
}

static int32_t make_moment(struct builder *builder, int32_t parameter, const char *suffix)
{
    const struct value *value = &builder->program->values[parameter];

    return build_part(builder, parameter, suffix, VALUE_STATE, LLMRUN_F32, value->rank, value->shape);
}

static void emit_adamw(struct update *update, int32_t gradient)
{
    struct builder *builder = &update->builder;
    int32_t parameter = builder->program->values[gradient].source;
    const struct update_policy *policy = update->policy;
    bool decay = builder->program->values[parameter].flags & VALUE_DECAY;
    struct llmrun_adamw_attributes attributes = {policy->beta1, policy->beta2, policy->epsilon,
                                                 decay ? policy->weight_decay : 0};
    int32_t operands[LLMRUN_ADAMW_OPERANDS];

    operands[LLMRUN_ADAMW_GRADIENT] = gradient;
    operands[LLMRUN_ADAMW_LEARNING_RATE] = update->learning_rate;
    operands[LLMRUN_ADAMW_BIAS_CORRECTION] = update->bias_correction;
    operands[LLMRUN_ADAMW_CLIP_SCALE] = update->clip_scale;
    operands[LLMRUN_ADAMW_FOUND_INF] = update->found_inf;
    operands[LLMRUN_ADAMW_PARAMETER] = parameter;
    operands[LLMRUN_ADAMW_FIRST_MOMENT] = make_moment(builder, parameter, "m");
    operands[LLMRUN_ADAMW_SECOND_MOMENT] = make_moment(builder, parameter, "v");
    operands[LLMRUN_ADAMW_COPY] = NO_VALUE;
    if (builder->status == STATUS_OK)
        builder_emit(builder, LLMRUN_OP_ADAMW, &attributes, operands, 0, "adamw");
}

int pass_optimizer(struct program *program, const struct update_policy *policy, struct error *error)
{
    struct update update = {.policy = policy};
    const int32_t *line;
    int64_t values = program->value_count;
    int status = make_table(&update, program, error);

    if (status != STATUS_OK) {
        free(update.table);
        return status;
    }
    builder_init(&update.builder, program, error);
    builder_section(&update.builder, SECTION_UPDATE);
    update.builder.role = ROLE_UPDATE;
    make_values(&update);
    line = update.table;
    for (int32_t i = 0; i < values; i++)
        if (program->values[i].kind == VALUE_GRADIENT) {
            emit_squares(&update, i, line);
            line += 3;
        }
    emit_slot_tree(&update);
    emit_clip(&update);
    for (int32_t i = 0; i < values; i++)
        if (program->values[i].kind == VALUE_GRADIENT)
            emit_adamw(&update, i);
    free(update.table);
    return update.builder.status;
}
