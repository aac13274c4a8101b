#include "passes/data_parallel.h"

#include <stdlib.h>
#include <string.h>

#include "passes/combine.h"
#include "passes/dividing.h"
#include "program/axes.h"
#include "program/op_table.h"

#define BATCH 'b'

static bool computes_a_batch(enum section_kind kind)
{
    return kind == SECTION_FORWARD || kind == SECTION_BACKWARD || kind == SECTION_EVALUATE;
}

static bool is_divided(const struct value *value)
{
    return value->split_count > 0 && value->splits[value->split_count - 1].axis == MESH_DP;
}

/* The value is this rank's part of one of all ranks: it keeps its local shape. */
static void divide(struct dividing *dividing, int32_t id, int dimension, int factor)
{
    struct value *value = &dividing->out->values[id];
    const struct mesh *mesh = &dividing->form->mesh;

    if (is_divided(value))
        return;
    value->splits[value->split_count++] = (struct split){.dimension = (uint8_t)dimension,
                                                         .factor = (uint8_t)factor,
                                                         .axis = MESH_DP,
                                                         .parts = mesh->sizes[MESH_DP],
                                                         .index = mesh->index[MESH_DP]};
    value->full[dimension] *= mesh->sizes[MESH_DP];
}

/* What an op makes without its sequences is a term: of the batch parts of this rank. */
static void make_term(struct dividing *dividing, const struct op *op, int32_t id)
{
    const struct op_info *info = op_info_find(op->op);
    int64_t parts = 1;

    axes_attribute(info, program_attributes(dividing->out, op), "parts b", &parts);
    dividing->out->values[id].partial[MESH_DP] =
        (struct partial){.reduction = REDUCTION_SUM,
                         .first = dividing->form->mesh.index[MESH_DP] * (int32_t)parts,
                         .parts = (int32_t)parts};
}

/* Those of all ranks: gather_result says what each makes of them. */
static bool is_result(const struct value *value)
{
    return value->kind == VALUE_RESULT && !(value->flags & VALUE_VIEW);
}

static void type_operand(struct dividing *dividing, const struct op *op, const struct annotation *annotation,
                         const struct operand_info *operand, int32_t id)
{
    for (int d = 0; d < annotation->count; d++)
        for (int f = 0; f < annotation->axes[d].factor_count; f++)
            if (annotation->axes[d].factors[f].letter == BATCH && !is_result(&dividing->out->values[id]))
                divide(dividing, id, d, f);
    for (int r = 0; operand->direction == OPERAND_OUT && r < annotation->removal_count; r++)
        if (annotation->removals[r].letter == BATCH && annotation->removals[r].reduction == REDUCTION_SUM)
            make_term(dividing, op, id);
}

static bool copy_type(struct dividing *dividing, int32_t from, int32_t to)
{
    const struct value *value = &dividing->out->values[from];
    const struct split *split = is_divided(value) ? &value->splits[value->split_count - 1] : NULL;
    const bool changes = split != NULL && !is_divided(&dividing->out->values[to]);

    if (changes)
        divide(dividing, to, split->dimension, split->factor);
    return changes;
}

/* Communication over another axis changes no type over dp: what one side is, the other is too. */
static bool type_communication(struct dividing *dividing, const struct op *op)
{
    const int32_t *operands = program_operands(dividing->out, op);
    const bool gathers =
        ((const struct communication_attributes *)program_attributes(dividing->out, op))->axis == MESH_DP;

    return !gathers && (copy_type(dividing, operands[0], operands[1]) || copy_type(dividing, operands[1], operands[0]));
}

/* Inputs that are cut before any other op takes them get their type from there. */
static void type_all_communication(struct dividing *dividing)
{
    const struct program *out = dividing->out;
    bool changes = true;

    while (changes) {
        changes = false;
        for (int64_t s = 0; s < out->section_count; s++)
            for (int32_t i = 0;
                 computes_a_batch((enum section_kind)out->sections[s].kind) && i < out->sections[s].op_count; i++) {
                const struct op *op = &out->ops[out->sections[s].first_op + i];

                if ((op_info_find(op->op)->flags & OP_COMMUNICATION) != 0)
                    changes |= type_communication(dividing, op);
            }
    }
}

/* Sums of this rank's sequences: a term as they are. */
static void type_join(struct dividing *dividing, const struct op_info *info, const int32_t *operands)
{
    const struct value *a = &dividing->out->values[operands[op_operand_index(info, "a")]];

    dividing->out->values[operands[op_operand_index(info, "y")]].partial[MESH_DP] = a->partial[MESH_DP];
}

static void type_op(struct dividing *dividing, const struct op *op)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(dividing->out, op);
    struct annotation annotations[LLMRUN_MAX_OPERANDS];

    if ((info->flags & OP_COMMUNICATION) != 0) {
        type_communication(dividing, op);
        return;
    }
    if ((info->flags & OP_JOIN) != 0) {
        type_join(dividing, info, operands);
        return;
    }
    axes_parse_op(dividing->out, info, operands, annotations);
    for (uint32_t i = 0; info->operands[i].name != NULL; i++)
        if (operands[i] != NO_VALUE)
            type_operand(dividing, op, &annotations[i], &info->operands[i], operands[i]);
}

/* A microbatch's losses go to their place among those of the step, which are zero on this rank elsewhere. */
static void divide_losses(struct dividing *dividing)
{
    struct program *out = dividing->out;
    const int32_t losses = program_find(out, "losses");
    struct value *own;

    dividing->losses = losses;
    dividing->own = NO_VALUE;
    if (losses == NO_VALUE)
        return;
    dividing->own = build_part(&dividing->builder, losses, "rank", VALUE_SCRATCH, out->values[losses].dtype, 1,
                               out->values[losses].shape);
    if (dividing->own == NO_VALUE)
        return;
    own = &out->values[dividing->own];
    own->partial[MESH_DP] = (struct partial){.reduction = REDUCTION_SLOT};
    for (int64_t i = 0; i < dividing->program->value_count; i++)
        if (out->values[i].kind == VALUE_SCRATCH && out->values[i].source == losses)
            out->values[i].source = dividing->own;
}

/* The gradient that all ranks' sequences have made; an op of the update takes it in place of this rank's term. */
static void take_whole(struct dividing *dividing, const struct op *op)
{
    const struct op_info *info = op_info_find(op->op);
    const int64_t at = op->first_operand;

    for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
        const int32_t id = dividing->out->operands[at + i];

        if (id != NO_VALUE && dividing->out->values[id].kind == VALUE_GRADIENT) {
            const int32_t whole = combine_whole(&dividing->builder, id);

            dividing->out->operands[at + i] = whole;
        }
    }
}

/* The result that an op writes, or of which it writes a part; NO_VALUE. */
static int32_t result_of(const struct program *program, const struct op *op)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(program, op);

    for (uint32_t i = 0; info->operands[i].name != NULL; i++)
        if (operands[i] != NO_VALUE && info->operands[i].direction == OPERAND_OUT) {
            const int32_t root = program_root(program, operands[i]);

            if (program->values[root].kind == VALUE_RESULT)
                return root;
        }
    return NO_VALUE;
}

/* Each rank has that of its sequences, and gets all. */
static void gather_result(struct dividing *dividing, int32_t own)
{
    struct program *out = dividing->out;
    int64_t shape[LLMRUN_MAX_RANK];
    int32_t all;

    if (is_divided(&out->values[own]))
        return; /* by an op before */
    memcpy(shape, out->values[own].shape, sizeof shape);
    shape[0] *= dividing->form->mesh.sizes[MESH_DP];
    all = build_part(&dividing->builder, own, DATA_PARALLEL_ALL, VALUE_RESULT, out->values[own].dtype,
                     out->values[own].rank, shape);
    divide(dividing, own, 0, 0);
    for (int32_t i = 0; i < out->value_count; i++)
        if (i != all && program_root(out, i) == own)
            out->values[i].kind = VALUE_ACTIVATION;
    if (all != NO_VALUE)
        dividing_emit(dividing, OP_ALL_GATHER, own, all);
}

static void gather_results(struct dividing *dividing, const struct section *section)
{
    for (int32_t n = 0; n < section->op_count; n++) {
        const int32_t result = result_of(dividing->program, &dividing->program->ops[section->first_op + n]);

        if (result != NO_VALUE)
            gather_result(dividing, result);
    }
}

static struct op *copy_op(struct dividing *dividing, const struct op *op)
{
    const int64_t added = program_add_op(dividing->out, op, program_operands(dividing->program, op),
                                         program_attributes(dividing->program, op));

    if (added >= 0)
        return &dividing->out->ops[added];
    dividing->builder.status = error_set(dividing->builder.error, STATUS_MEMORY, "no memory for data parallelism");
    return NULL;
}

static void copy_section(struct dividing *dividing, const struct section *section)
{
    bool squares = false, gathered = section->kind != SECTION_UPDATE || dividing->own == NO_VALUE;

    dividing->builder.status = program_add_section(dividing->out, section, dividing->builder.error);
    for (int32_t n = 0; dividing->builder.status == STATUS_OK && n < section->op_count; n++) {
        const struct op *from = &dividing->program->ops[section->first_op + n];
        struct op *op;

        squares = squares || from->op == LLMRUN_OP_SUM_SQUARES;
        dividing->builder.layer = from->layer;
        dividing->builder.role = (enum op_role)from->role;
        /* The losses of all ranks, once what comes before them is done and before what takes them. */
        if (squares && !gathered && from->op != LLMRUN_OP_SUM_SQUARES) {
            dividing_emit(dividing, OP_ALL_REDUCE, dividing->own, dividing->losses);
            if (dividing->shards != NULL)
                zero_squares(dividing);
            gathered = true;
        }
        op = copy_op(dividing, from);
        if (op == NULL)
            return;
        if (computes_a_batch((enum section_kind)section->kind))
            type_op(dividing, op);
        if (dividing->shards != NULL)
            zero_op(dividing, (enum section_kind)section->kind, op);
        else if (section->kind == SECTION_UPDATE)
            take_whole(dividing, op);
    }
    if (section->kind == SECTION_EVALUATE)
        gather_results(dividing, section);
}

int pass_data_parallel(struct program *program, const struct data_parallel_form *form, struct error *error)
{
    struct program out;
    struct dividing dividing = {.program = program, .out = &out, .form = form};

    if (form->mesh.sizes[MESH_DP] == 1)
        return STATUS_OK;
    program_init(&out);
    builder_init(&dividing.builder, &out, error);
    dividing.builder.status = program_copy_values(&out, program, error);
    if (dividing.builder.status == STATUS_OK)
        divide_losses(&dividing);
    if (dividing.builder.status == STATUS_OK && form->zero > 0)
        dividing.builder.status = zero_begin(&dividing);
    for (int64_t s = 0; s < program->section_count && dividing.builder.status == STATUS_OK; s++)
        copy_section(&dividing, &program->sections[s]);
    type_all_communication(&dividing);
    free(dividing.shards);
    program_finish(dividing.builder.status == STATUS_OK ? program : &out);
    if (dividing.builder.status == STATUS_OK)
        *program = out;
    return dividing.builder.status;
}
