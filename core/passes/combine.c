#include "passes/combine.h"

#include <stdio.h>
#include <stdlib.h>

#include "program/builder.h"
#include "program/op_table.h"

struct accumulator {
    int32_t value;   /* that ops of backward write */
    int32_t sum;     /* of the microbatch's batch parts: `value`, or its first rows */
    int32_t section; /* that writes it */
    bool channels;   /* rows of channels */
};

struct combine {
    struct builder builder;
    struct program *program;
    const struct reduction_form *form;
    struct accumulator *accumulators; /* in the order in which backward writes them; owned */
    int64_t count;
    int levels; /* of the tree of groups */
};

static bool is_backward(enum section_kind kind)
{
    return kind == SECTION_BACKWARD || kind == SECTION_BACKWARD_INPUT || kind == SECTION_BACKWARD_WEIGHT;
}

static bool is_known(const struct combine *combine, int32_t value)
{
    for (int64_t i = 0; i < combine->count; i++)
        if (combine->accumulators[i].value == value)
            return true;
    return false;
}

/* The gradients, and parts of gradients, that an op of backward writes. */
static void add_accumulators(struct combine *combine, int32_t section, const struct op *op)
{
    const struct program *program = combine->program;
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(program, op);

    for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
        const struct value *value = operands[i] != NO_VALUE ? &program->values[operands[i]] : NULL;

        if (info->operands[i].direction != OPERAND_OUT || value == NULL ||
            (value->kind != VALUE_GRADIENT && value->kind != VALUE_PARTIAL_ROWS) || is_known(combine, operands[i]))
            continue;
        combine->accumulators[combine->count++] = (struct accumulator){
            .value = operands[i],
            .sum = operands[i],
            .section = section,
            .channels = value->kind == VALUE_PARTIAL_ROWS && program->values[value->source].rank < value->rank};
    }
}

static void find_accumulators(struct combine *combine)
{
    const struct program *program = combine->program;

    for (int64_t s = 0; s < program->section_count; s++)
        for (int32_t i = 0; is_backward(program->sections[s].kind) && i < program->sections[s].op_count; i++)
            add_accumulators(combine, (int32_t)s, &program->ops[program->sections[s].first_op + i]);
}

/* The first rows of an accumulator of channels, where its batch parts are folded: one row a part of heads and
 * positions. */
static void make_sums(struct combine *combine)
{
    for (int64_t i = 0; i < combine->count && combine->builder.status == STATUS_OK; i++) {
        struct accumulator *accumulator = &combine->accumulators[i];
        const int64_t *from = combine->program->values[accumulator->value].shape;
        const int64_t shape[2] = {from[0] / combine->form->batch_parts, from[1]};

        if (accumulator->channels && shape[0] != from[0])
            accumulator->sum = build_view(&combine->builder, accumulator->value, "parts", 0, 2, shape);
    }
}

static void emit_reduce_rows(struct combine *combine, int32_t x, int32_t y)
{
    int32_t operands[LLMRUN_REDUCE_ROWS_OPERANDS] = {x, y};

    builder_emit(&combine->builder, LLMRUN_OP_REDUCE_ROWS, NULL, operands, 0, "reduce_rows");
}

static void emit_reduce(struct combine *combine, int32_t a, int32_t b, int32_t y)
{
    int32_t operands[LLMRUN_REDUCE_OPERANDS] = {a, b, y};

    builder_emit(&combine->builder, LLMRUN_OP_REDUCE, NULL, operands, 0, "reduce");
}

static int32_t waiting(struct combine *combine, int32_t sum, int level)
{
    const struct value *value = &combine->program->values[sum];
    char suffix[24];

    snprintf(suffix, sizeof suffix, "level%d", level);
    return build_part(&combine->builder, sum, suffix, VALUE_PENDING, LLMRUN_F32, value->rank, value->shape);
}

static void combine_one(struct combine *combine, const struct accumulator *accumulator, int level)
{
    const int32_t sum = accumulator->sum;
    const bool last = level == combine->levels;

    if (sum != accumulator->value)
        emit_reduce_rows(combine, accumulator->value, sum);
    if (level == 0 && !last)
        emit_reduce(combine, sum, NO_VALUE, waiting(combine, sum, 0));
    for (int below = 0; below < level; below++)
        emit_reduce(combine, waiting(combine, sum, below), sum,
                    below + 1 < level || last ? sum : waiting(combine, sum, level));
}

/* Into the gradient, or into the further use of a parameter that the channels belong to; a use then into the gradient.
 */
static void reduce_one(struct combine *combine, const struct accumulator *accumulator)
{
    const struct program *program = combine->program;
    int32_t term = accumulator->value;

    if (accumulator->channels) {
        term = program->values[accumulator->value].source;
        emit_reduce_rows(combine, accumulator->sum, term);
    }
    if (program->values[term].kind == VALUE_PARTIAL_ROWS)
        emit_reduce(combine, program->values[term].source, term, program->values[term].source);
}

static bool has_work(const struct combine *combine, const struct accumulator *accumulator, bool reduces)
{
    const bool partial = combine->program->values[accumulator->value].kind == VALUE_PARTIAL_ROWS;

    return reduces ? partial : combine->levels > 0 || accumulator->sum != accumulator->value;
}

/* The section that an accumulator's terms meet in; `level` -1: reduce. */
static struct section key_of(const struct combine *combine, const struct accumulator *accumulator, int level)
{
    const struct section *of = &combine->program->sections[accumulator->section];
    const enum section_kind kind = level < 0                             ? SECTION_REDUCE
                                   : of->kind == SECTION_BACKWARD_WEIGHT ? SECTION_COMBINE_WEIGHT
                                                                         : SECTION_COMBINE_INPUT;

    return (struct section){
        .kind = (uint8_t)kind, .level = (uint8_t)(level < 0 ? 0 : level), .layer = of->layer, .chunk = of->chunk};
}

static bool same_key(const struct section *a, const struct section *b)
{
    return a->kind == b->kind && a->level == b->level && a->layer == b->layer && a->chunk == b->chunk;
}

static bool has_section(const struct combine *combine, const struct section *key)
{
    for (int64_t s = 0; s < combine->program->section_count; s++)
        if (same_key(&combine->program->sections[s], key))
            return true;
    return false;
}

/* A section for each key that accumulators have, in the order in which they are written. */
static void add_sections(struct combine *combine, int level)
{
    for (int64_t i = 0; i < combine->count && combine->builder.status == STATUS_OK; i++) {
        const struct section key = key_of(combine, &combine->accumulators[i], level);

        if (!has_work(combine, &combine->accumulators[i], level < 0) || has_section(combine, &key))
            continue;
        combine->builder.status = program_add_section(combine->program, &key, combine->builder.error);
        combine->builder.layer = key.layer;
        for (int64_t k = i; k < combine->count && combine->builder.status == STATUS_OK; k++) {
            const struct section other = key_of(combine, &combine->accumulators[k], level);

            if (!same_key(&key, &other) || !has_work(combine, &combine->accumulators[k], level < 0))
                continue;
            if (level < 0)
                reduce_one(combine, &combine->accumulators[k]);
            else
                combine_one(combine, &combine->accumulators[k], level);
        }
    }
}

int pass_combine(struct program *program, const struct reduction_form *form, struct error *error)
{
    struct combine combine = {.program = program, .form = form};

    builder_init(&combine.builder, program, error);
    combine.builder.role = ROLE_UPDATE;
    combine.accumulators = malloc(((size_t)program->value_count + 1) * sizeof *combine.accumulators);
    if (combine.accumulators == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the combine pass");
    while ((int64_t)1 << combine.levels < form->groups)
        combine.levels++;
    find_accumulators(&combine);
    make_sums(&combine);
    for (int level = 0; level <= combine.levels; level++)
        add_sections(&combine, level);
    add_sections(&combine, -1);
    free(combine.accumulators);
    return combine.builder.status;
}
