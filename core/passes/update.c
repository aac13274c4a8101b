#include "passes/update.h"

#include "passes/reduction_order.h"
#include "program/builder.h"

struct update {
    struct builder builder;
    const struct update_policy *policy;
    int32_t sums, losses, learning_rate, bias_correction, clip_scale, norm, finite;
};

/* Both axes of a matrix are cut, so that a rank may hold a part along either and write the slots of it. */
static struct llmrun_sum_squares_attributes squares_of(const struct value *gradient, const struct update_policy *policy)
{
    int64_t columns = gradient->shape[gradient->rank - 1], rows = value_elements(gradient) / columns;

    return (struct llmrun_sum_squares_attributes){0, (uint32_t)reduction_parts(rows, policy->leaves),
                                                  (uint32_t)reduction_parts(columns, policy->leaves)};
}

static int64_t slots_of(const struct llmrun_sum_squares_attributes *squares)
{
    return (int64_t)squares->row_parts * squares->column_parts;
}

/* One a block of each gradient. */
static int64_t count_slots(const struct program *program, const struct update_policy *policy)
{
    int64_t count = 0;

    for (int64_t i = 0; i < program->value_count; i++)
        if (program->values[i].kind == VALUE_GRADIENT) {
            struct llmrun_sum_squares_attributes squares = squares_of(&program->values[i], policy);

            count += slots_of(&squares);
        }
    return count;
}

static void make_values(struct update *update, int64_t slots)
{
    struct builder *builder = &update->builder;
    const int64_t one[] = {1}, two[] = {2};

    update->losses = program_find(builder->program, "losses");
    update->sums = build_value(builder, "grad_squares", VALUE_SCRATCH, 0, LLMRUN_F64, 1, &slots);
    update->learning_rate = build_value(builder, "learning_rate", VALUE_INPUT, 0, LLMRUN_F32, 1, one);
    update->bias_correction = build_value(builder, "bias_correction", VALUE_INPUT, 0, LLMRUN_F32, 1, two);
    update->clip_scale = build_value(builder, "clip_scale", VALUE_SCRATCH, 0, LLMRUN_F32, 1, one);
    update->norm = build_value(builder, "grad_norm", VALUE_RESULT, 0, LLMRUN_F32, 1, one);
    update->finite = build_value(builder, "finite", VALUE_RESULT, 0, LLMRUN_U32, 1, one);
}

/* Returns the next free slot. */
static int64_t emit_squares(struct update *update, int32_t gradient, int64_t slot)
{
    struct llmrun_sum_squares_attributes squares =
        squares_of(&update->builder.program->values[gradient], update->policy);
    int32_t operands[LLMRUN_SUM_SQUARES_OPERANDS] = {gradient, update->sums};

    squares.slot = slot;
    builder_emit(&update->builder, LLMRUN_OP_SUM_SQUARES, &squares, operands, 0, "squares");
    return slot + slots_of(&squares);
}

static void emit_clip(struct update *update)
{
    struct llmrun_clip_attributes attributes = {update->policy->clip, 0};
    int32_t operands[LLMRUN_CLIP_OPERANDS];

    operands[LLMRUN_CLIP_SUMS] = update->sums;
    operands[LLMRUN_CLIP_LOSSES] = update->losses;
    operands[LLMRUN_CLIP_FINITE] = update->finite;
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
    operands[LLMRUN_ADAMW_FINITE] = update->finite;
    operands[LLMRUN_ADAMW_PARAMETER] = parameter;
    operands[LLMRUN_ADAMW_FIRST_MOMENT] = make_moment(builder, parameter, "m");
    operands[LLMRUN_ADAMW_SECOND_MOMENT] = make_moment(builder, parameter, "v");
    operands[LLMRUN_ADAMW_COPY] = NO_VALUE;
    if (builder->status == STATUS_OK)
        builder_emit(builder, LLMRUN_OP_ADAMW, &attributes, operands, 0, "adamw");
}

int pass_update(struct program *program, const struct update_policy *policy, struct error *error)
{
    struct update update = {.policy = policy};
    int64_t values = program->value_count, slot = 0, slots = count_slots(program, policy);

    if (slots == 0)
        return error_set(error, STATUS_USAGE, "no parameter is trainable, so there is nothing to train");
    builder_init(&update.builder, program, error);
    builder_section(&update.builder, SECTION_UPDATE);
    update.builder.role = ROLE_UPDATE;
    make_values(&update, slots);
    for (int64_t i = 0; i < values; i++)
        if (program->values[i].kind == VALUE_GRADIENT)
            slot = emit_squares(&update, (int32_t)i, slot);
    emit_clip(&update);
    for (int64_t i = 0; i < values; i++)
        if (program->values[i].kind == VALUE_GRADIENT)
            emit_adamw(&update, (int32_t)i);
    return update.builder.status;
}
