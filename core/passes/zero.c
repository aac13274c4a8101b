#include <stdlib.h>
#include <string.h>

#include "passes/combine.h"
#include "passes/dividing.h"
#include "program/op_table.h"

static struct value *value_of(const struct dividing *dividing, int32_t id)
{
    return &dividing->out->values[id];
}

/* Ranks that share one optimizer state, and this one's number among them. */
static int32_t ranks(const struct dividing *dividing)
{
    return mesh_group_size(&dividing->form->mesh, MESH_SHARDS);
}

static int32_t index_of(const struct dividing *dividing)
{
    return mesh_group_index(&dividing->form->mesh, MESH_SHARDS);
}

/* The outermost dimension, cut for this rank; `shape` becomes the local one. */
static void cut_rows(const struct dividing *dividing, struct value *value)
{
    value->shape[0] /= ranks(dividing);
    value->splits[value->split_count++] =
        (struct split){.axis = MESH_DP, .parts = ranks(dividing), .index = index_of(dividing)};
}

/* The rows of this rank in the memory of the whole. */
static int32_t own_rows(struct dividing *dividing, int32_t whole, const char *suffix)
{
    struct value from = *value_of(dividing, whole);
    const int64_t rows = from.shape[0] / ranks(dividing);
    int64_t shape[LLMRUN_MAX_RANK];
    int32_t view;

    memcpy(shape, from.shape, sizeof shape);
    shape[0] = rows;
    view = build_view(&dividing->builder, whole, suffix, index_of(dividing) * rows * value_row_elements(&from),
                      from.rank, shape);
    if (view == NO_VALUE)
        return NO_VALUE;
    from.split_count = value_of(dividing, whole)->split_count;
    memcpy(value_of(dividing, view)->full, from.full, sizeof from.full);
    memcpy(value_of(dividing, view)->splits, from.splits, sizeof from.splits);
    memcpy(value_of(dividing, view)->partial, from.partial, sizeof from.partial);
    value_of(dividing, view)->partial[MESH_DP] = (struct partial){.reduction = REDUCTION_NONE};
    value_of(dividing, view)->split_count = from.split_count;
    value_of(dividing, view)->splits[value_of(dividing, view)->split_count++] =
        (struct split){.axis = MESH_DP, .parts = ranks(dividing), .index = index_of(dividing)};
    return view;
}

/* A gradient's squares are parts of rows, or of the elements of a vector: a shard has whole ones. */
static bool squares_divide(const struct dividing *dividing, const struct llmrun_sum_squares_attributes *squares,
                           const struct value *gradient)
{
    const uint32_t parts = gradient->rank == 1 ? squares->column_parts : squares->row_parts;

    return gradient->shape[0] % ranks(dividing) == 0 && parts % (uint32_t)ranks(dividing) == 0;
}

static const struct section *update_of(const struct dividing *dividing)
{
    return program_section(dividing->program, SECTION_UPDATE);
}

static void choose(struct dividing *dividing)
{
    const struct program *program = dividing->program;
    const struct section *update = update_of(dividing);

    for (int32_t i = 0; i < update->op_count; i++) {
        const struct op *op = &program->ops[update->first_op + i];
        const int32_t gradient = program_operands(program, op)[LLMRUN_SUM_SQUARES_X];

        if (op->op == LLMRUN_OP_SUM_SQUARES)
            dividing->shards[program->values[gradient].source] = (struct shard){
                .cut = squares_divide(dividing, program_attributes(program, op), &program->values[gradient]),
                .rows = program->values[gradient].shape[0] / ranks(dividing)};
    }
}

/* A parameter is used by nothing but what makes it, updates it and casts it. */
static void find_masters(struct dividing *dividing)
{
    const struct program *program = dividing->program;
    bool *cast = calloc((size_t)program->value_count + 1, sizeof *cast);
    bool *used = calloc((size_t)program->value_count + 1, sizeof *used);

    if (cast == NULL || used == NULL)
        dividing->builder.status = error_set(dividing->builder.error, STATUS_MEMORY, "no memory for ZeRO");
    for (int64_t s = 0; cast != NULL && used != NULL && s < program->section_count; s++)
        for (int32_t i = 0; i < program->sections[s].op_count; i++) {
            const struct op *op = &program->ops[program->sections[s].first_op + i];
            const int32_t *operands = program_operands(program, op);

            for (uint32_t k = 0; k < op_operand_count(op_info_find(op->op)); k++)
                if (operands[k] != NO_VALUE && program->values[operands[k]].kind == VALUE_PARAMETER) {
                    cast[operands[k]] |= op->op == LLMRUN_OP_CAST;
                    used[operands[k]] |=
                        op->op != LLMRUN_OP_CAST && op->op != LLMRUN_OP_ADAMW && op->op != LLMRUN_OP_INIT;
                }
        }
    for (int64_t i = 0; cast != NULL && used != NULL && i < program->value_count; i++)
        dividing->shards[i].master = dividing->shards[i].cut && cast[i] && !used[i];
    free(cast);
    free(used);
}

/* Moments and masters live by shards; the slots of the norm are filled by the rank that has the elements. */
static void cut_values(struct dividing *dividing)
{
    const struct program *program = dividing->program;
    const int64_t values = program->value_count;
    const int32_t squares = program_find(program, "grad_squares");
    struct value *own;

    for (int32_t i = 0; i < values; i++) {
        const struct value *value = &program->values[i];

        if (value->kind == VALUE_PARAMETER && dividing->shards[i].master)
            cut_rows(dividing, value_of(dividing, i));
        if (value->kind == VALUE_STATE && value->source != NO_VALUE && dividing->shards[value->source].cut)
            cut_rows(dividing, value_of(dividing, i));
    }
    dividing->squares = squares;
    dividing->own_squares = build_part(&dividing->builder, squares, "rank", VALUE_SCRATCH,
                                       program->values[squares].dtype, 1, program->values[squares].shape);
    if (dividing->own_squares == NO_VALUE)
        return;
    own = value_of(dividing, dividing->own_squares);
    memcpy(own->partial, program->values[squares].partial, sizeof own->partial);
    own->partial[MESH_DP] = (struct partial){.reduction = REDUCTION_SLOT};
}

int zero_begin(struct dividing *dividing)
{
    if (update_of(dividing) == NULL)
        return STATUS_OK;
    dividing->shards = calloc((size_t)dividing->program->value_count + 1, sizeof *dividing->shards);
    if (dividing->shards == NULL)
        return error_set(dividing->builder.error, STATUS_MEMORY, "no memory for ZeRO");
    choose(dividing);
    find_masters(dividing);
    if (dividing->builder.status == STATUS_OK)
        cut_values(dividing);
    return dividing->builder.status;
}

/* Of a value of `program`; what came since is cut by no one. */
static struct shard shard_of(const struct dividing *dividing, int32_t parameter)
{
    return parameter < dividing->program->value_count ? dividing->shards[parameter] : (struct shard){.cut = false};
}

/* Where terms of a gradient meet: in its rows of this rank. A view of it where ranks sum each all of it. */
static int32_t shard_of_gradient(struct dividing *dividing, int32_t gradient)
{
    return own_rows(dividing, gradient, COMBINE_SHARD);
}

static void divide_squares(struct dividing *dividing, const struct op *op)
{
    struct llmrun_sum_squares_attributes *squares = program_attributes(dividing->out, op);
    int32_t *operands = program_operands(dividing->out, op);
    const struct value gradient = *value_of(dividing, operands[LLMRUN_SUM_SQUARES_X]);
    const struct shard shard = shard_of(dividing, gradient.source);
    uint32_t *parts = gradient.rank == 1 ? &squares->column_parts : &squares->row_parts;
    int32_t own;

    if (!shard.cut) {
        squares->replica = dividing->form->mesh.index[MESH_DP] != 0 || squares->replica != 0;
        own = combine_whole(&dividing->builder, operands[LLMRUN_SUM_SQUARES_X]);
    } else {
        if (squares->slot_stride == 0)
            squares->slot_stride = squares->column_parts;
        *parts /= (uint32_t)ranks(dividing);
        squares->replica = mesh_group_index(&dividing->form->mesh, MESH_COPIES) != 0 || squares->replica != 0;
        squares->slot += index_of(dividing) * (int64_t)*parts * (gradient.rank == 1 ? 1 : squares->slot_stride);
        own = shard_of_gradient(dividing, operands[LLMRUN_SUM_SQUARES_X]);
    }
    operands = program_operands(dividing->out, op);
    operands[LLMRUN_SUM_SQUARES_X] = own;
    operands[LLMRUN_SUM_SQUARES_SUMS] = dividing->own_squares;
}

/* The rows that the update writes, and from which all ranks get the rest. */
static int32_t updated_rows(struct dividing *dividing, int32_t whole)
{
    return whole == NO_VALUE ? NO_VALUE : own_rows(dividing, whole, "rows");
}

static void divide_update(struct dividing *dividing, const struct op *op)
{
    const int64_t at = op->first_operand;
    int32_t *operands = &dividing->out->operands[at];
    const int32_t parameter = operands[LLMRUN_ADAMW_PARAMETER], copy = operands[LLMRUN_ADAMW_COPY],
                  gradient = operands[LLMRUN_ADAMW_GRADIENT];
    const struct shard shard = shard_of(dividing, parameter);
    int32_t rows, copied, met;

    if (!shard.cut) {
        met = combine_whole(&dividing->builder, gradient);
        dividing->out->operands[at + LLMRUN_ADAMW_GRADIENT] = met;
        return;
    }
    met = shard_of_gradient(dividing, gradient);
    rows = shard.master ? parameter : updated_rows(dividing, parameter);
    copied = updated_rows(dividing, copy);
    operands = &dividing->out->operands[at];
    operands[LLMRUN_ADAMW_GRADIENT] = met;
    operands[LLMRUN_ADAMW_PARAMETER] = rows;
    operands[LLMRUN_ADAMW_COPY] = copied;
    if (!shard.master)
        dividing_emit(dividing, OP_ALL_GATHER, rows, parameter);
    if (copy != NO_VALUE)
        dividing_emit(dividing, OP_ALL_GATHER, copied, copy);
}

/* Of a master each rank has its rows: it makes them, and casts them for all. */
static void divide_init(struct dividing *dividing, const struct op *op)
{
    const int32_t parameter = program_operands(dividing->out, op)[LLMRUN_INIT_Y];
    const struct shard shard = shard_of(dividing, parameter);
    struct llmrun_init_attributes *init = program_attributes(dividing->out, op);

    if (value_of(dividing, parameter)->kind != VALUE_PARAMETER || !shard.master)
        return;
    if (init->full0 == 0)
        init->full0 = value_of(dividing, parameter)->full[0];
    init->first0 += index_of(dividing) * shard.rows;
}

static void divide_cast(struct dividing *dividing, const struct op *op)
{
    const int64_t at = op->first_operand;
    const int32_t parameter = dividing->out->operands[at + LLMRUN_CAST_X],
                  cast = dividing->out->operands[at + LLMRUN_CAST_Y];
    int32_t rows;

    if (value_of(dividing, parameter)->kind != VALUE_PARAMETER || !shard_of(dividing, parameter).master)
        return;
    rows = updated_rows(dividing, cast);
    dividing->out->operands[at + LLMRUN_CAST_Y] = rows;
    dividing_emit(dividing, OP_ALL_GATHER, rows, cast);
}

void zero_op(struct dividing *dividing, enum section_kind section, struct op *op)
{
    const struct op copy = *op; /* it moves when others are added */

    if (section == SECTION_UPDATE && copy.op == LLMRUN_OP_SUM_SQUARES)
        divide_squares(dividing, &copy);
    else if (section == SECTION_UPDATE && copy.op == LLMRUN_OP_ADAMW)
        divide_update(dividing, &copy);
    else if (section == SECTION_INIT && copy.op == LLMRUN_OP_INIT)
        divide_init(dividing, &copy);
    else if (section == SECTION_CAST_WEIGHTS && copy.op == LLMRUN_OP_CAST)
        divide_cast(dividing, &copy);
}

void zero_squares(struct dividing *dividing)
{
    dividing_emit(dividing, OP_ALL_REDUCE, dividing->own_squares, dividing->squares);
}
