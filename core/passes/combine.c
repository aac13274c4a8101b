#include "passes/combine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program/builder.h"
#include "program/op_table.h"

struct accumulator {
    int32_t value;   /* that ops of backward write */
    int32_t rows;    /* of channels: `value`, as rows that are one factor; else `value` */
    int32_t sum;     /* of the microbatch's batch parts: `rows`, or its first rows */
    int32_t section; /* that writes it */
    bool channels;   /* rows of channels */
    bool folded;     /* `sum` has fewer of them */
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
            .rows = operands[i],
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

/* Rows of channels are parts of heads, positions and sequences, in this order. Where ranks of tp have a part of them,
 * it is of the outermost factor that is more than one row: the rows of a rank are neighbours in the whole. */
static void type_rows(struct combine *combine, int32_t id, const struct value *from, bool summed)
{
    struct value *to = &combine->program->values[id];

    value_copy_type(to, from);
    memcpy(to->full, to->shape, sizeof to->full);
    to->split_count = 0;
    for (int i = 0; i < from->split_count; i++) {
        struct split split = from->splits[i];

        if (split.axis == MESH_DP && summed) {
            const int32_t parts = (int32_t)combine->form->batch_parts;

            to->partial[MESH_DP] = (struct partial){REDUCTION_SUM, split.index * parts, parts};
            continue;
        }
        if (split.dimension == 0)
            split.factor = split.axis == MESH_DP; /* of the two factors that reduce_rows knows */
        to->splits[to->split_count++] = split;
        to->full[split.dimension] *= split.parts;
    }
}

/* A view of the first rows, one of `divisor`. */
static int32_t first_rows(struct combine *combine, int32_t value, const char *suffix, int64_t divisor, bool summed)
{
    const struct value from = combine->program->values[value];
    const int64_t shape[2] = {from.shape[0] / divisor, from.shape[1]};
    const int32_t view = build_view(&combine->builder, value, suffix, 0, 2, shape);

    if (view != NO_VALUE)
        type_rows(combine, view, &from, summed);
    return view;
}

/* reduce_rows takes rows of two factors, of which the inner one is summed. */
static bool has_two_factors(const struct value *value)
{
    for (int i = 0; i < value->split_count; i++)
        if (value->splits[i].dimension == 0 && value->splits[i].factor != (value->splits[i].axis == MESH_DP))
            return false;
    return true;
}

/* Rows of channels whose batch parts are reduced leave one row a part of heads and positions. */
static void make_sums(struct combine *combine)
{
    for (int64_t i = 0; i < combine->count && combine->builder.status == STATUS_OK; i++) {
        struct accumulator *accumulator = &combine->accumulators[i];
        const struct value *value = &combine->program->values[accumulator->value];
        const int64_t parts = combine->form->batch_parts;

        if (!accumulator->channels)
            continue;
        accumulator->folded = parts > 1;
        if (!has_two_factors(value))
            accumulator->rows = first_rows(combine, accumulator->value, "rows", 1, false);
        value = &combine->program->values[accumulator->value];
        accumulator->sum = accumulator->rows;
        if (accumulator->rows != NO_VALUE && (parts > 1 || value->split_count > 0))
            accumulator->sum = first_rows(combine, accumulator->value, "parts", parts, true);
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

/* Of the type of the sum. */
static int32_t waiting(struct combine *combine, int32_t sum, int level)
{
    const struct value *value = &combine->program->values[sum];
    char suffix[24];
    int32_t pending;

    snprintf(suffix, sizeof suffix, "level%d", level);
    pending = build_part(&combine->builder, sum, suffix, VALUE_PENDING, LLMRUN_F32, value->rank, value->shape);
    if (pending != NO_VALUE)
        memcpy(combine->program->values[pending].partial, combine->program->values[sum].partial,
               sizeof combine->program->values[pending].partial);
    return pending;
}

int32_t combine_whole(struct builder *builder, int32_t term)
{
    const struct value *from = &builder->program->values[term];
    int64_t shape[LLMRUN_MAX_RANK];
    int32_t whole;

    if (builder->status != STATUS_OK || from->partial[MESH_DP].reduction == REDUCTION_NONE)
        return term;
    memcpy(shape, from->shape, sizeof shape);
    whole = build_view(builder, term, "whole", 0, from->rank, shape);
    if (whole != NO_VALUE) {
        memcpy(builder->program->values[whole].partial, builder->program->values[term].partial,
               sizeof builder->program->values[whole].partial);
        builder->program->values[whole].partial[MESH_DP] = (struct partial){.reduction = REDUCTION_NONE};
    }
    return whole;
}

static void combine_one(struct combine *combine, const struct accumulator *accumulator, int level)
{
    const int32_t sum = accumulator->sum;
    const bool last = level == combine->levels;

    if (accumulator->folded)
        emit_reduce_rows(combine, accumulator->rows, sum);
    if (level == 0 && !last)
        emit_reduce(combine, sum, NO_VALUE, waiting(combine, sum, 0));
    for (int below = 0; below < level; below++)
        emit_reduce(combine, waiting(combine, sum, below), sum,
                    below + 1 < level || last ? sum : waiting(combine, sum, level));
}

/* The view of this rank's rows of a gradient; NO_VALUE without ZeRO. */
static int32_t shard_of(const struct combine *combine, int32_t gradient)
{
    const struct program *program = combine->program;

    for (int32_t i = gradient + 1; i < program->value_count; i++)
        if ((program->values[i].flags & VALUE_VIEW) && program->values[i].source == gradient &&
            program->values[i].split_count > 0 &&
            program->values[i].splits[program->values[i].split_count - 1].axis == MESH_DP)
            return i;
    return NO_VALUE;
}

/* The same rows of a further use. */
static int32_t shard_of_use(struct combine *combine, int32_t use, int32_t shard)
{
    const struct value form = combine->program->values[shard];
    int32_t view;

    if (use == form.source)
        return shard;
    view = build_view(&combine->builder, use, COMBINE_SHARD, form.view.offset, form.rank, form.shape);
    if (view == NO_VALUE)
        return NO_VALUE;
    memcpy(combine->program->values[view].full, form.full, sizeof form.full);
    memcpy(combine->program->values[view].splits, form.splits, sizeof form.splits);
    memcpy(combine->program->values[view].partial, form.partial, sizeof form.partial);
    combine->program->values[view].split_count = form.split_count;
    return view;
}

static void emit_over(struct combine *combine, enum mesh_axis axis, uint16_t op, int32_t x, int32_t y)
{
    const struct communication_attributes attributes = {.axis = axis};
    int32_t operands[] = {x, y};

    builder_emit(&combine->builder, op, &attributes, operands, 0, op_info_find(op)->name);
}

/* Where the terms of all ranks meet: in the whole, or with `shard` in its rows. */
static int32_t emit_over_dp(struct combine *combine, int32_t term, int32_t shard)
{
    int32_t met;

    if (combine->program->values[term].partial[MESH_DP].reduction == REDUCTION_NONE)
        return term;
    met = shard != NO_VALUE ? shard_of_use(combine, term, shard) : combine_whole(&combine->builder, term);
    emit_over(combine, MESH_DP, shard != NO_VALUE ? OP_REDUCE_SCATTER : OP_ALL_REDUCE, term, met);
    return met;
}

static int32_t gradient_of(const struct program *program, int32_t term)
{
    return program->values[term].kind == VALUE_PARTIAL_ROWS ? program->values[term].source : term;
}

/* Of ranks of tp that have a part of the rows each: what this rank's add up to, a term of `term`; else NO_VALUE. */
static int32_t term_of_rows(struct combine *combine, int32_t sum, int32_t term)
{
    const struct value rows = combine->program->values[sum];
    int32_t own = NO_VALUE;

    for (int i = 0; i < rows.split_count && combine->builder.status == STATUS_OK; i++) {
        if (rows.splits[i].dimension != 0 || rows.splits[i].axis != MESH_TP)
            continue;
        own = build_part(&combine->builder, term, "term", VALUE_SCRATCH, LLMRUN_F32, 1,
                         combine->program->values[term].shape);
        if (own != NO_VALUE)
            combine->program->values[own].partial[MESH_TP] =
                (struct partial){REDUCTION_SUM, rows.splits[i].index * (int32_t)rows.shape[0], (int32_t)rows.shape[0]};
    }
    return own;
}

/* Rows of channels go into the gradient, or the further use, that they belong to; a use then into the gradient. */
static void reduce_one(struct combine *combine, const struct accumulator *accumulator)
{
    const struct program *program = combine->program;
    int32_t term = accumulator->value, gradient, met;

    if (accumulator->channels) {
        const int32_t whole = emit_over_dp(combine, accumulator->sum, NO_VALUE);

        int32_t own;

        term = program->values[accumulator->value].source;
        own = term_of_rows(combine, whole, term);
        emit_reduce_rows(combine, whole, own != NO_VALUE ? own : term);
        if (own != NO_VALUE)
            emit_over(combine, MESH_TP, OP_ALL_REDUCE, own, term);
        met = term;
        gradient = gradient_of(program, term);
    } else {
        const int32_t shard = shard_of(combine, gradient_of(program, term));

        met = emit_over_dp(combine, term, shard);
        gradient = shard != NO_VALUE ? shard : combine_whole(&combine->builder, gradient_of(program, term));
    }
    if (program->values[term].kind == VALUE_PARTIAL_ROWS)
        emit_reduce(combine, gradient, met, gradient);
}

static bool has_work(const struct combine *combine, const struct accumulator *accumulator, bool reduces)
{
    const struct value *value = &combine->program->values[accumulator->value];

    return reduces ? value->kind == VALUE_PARTIAL_ROWS || value->partial[MESH_DP].reduction != REDUCTION_NONE
                   : combine->levels > 0 || accumulator->folded;
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
