#include "passes/pipeline_parallel.h"

#include <stdlib.h>
#include <string.h>

#include "passes/drop_unused.h"
#include "passes/shared_terms.h"
#include "passes/spread.h"
#include "program/op_table.h"

static void take_in(struct projection *projection, enum way way, int32_t stage)
{
    const struct crossing *crossing = boundary_input(&projection->boundaries, way, stage);
    const int32_t lower = way == WAY_BACKWARD ? stage : stage - 1, from = way == WAY_BACKWARD ? stage + 1 : stage - 1;

    if (crossing != NULL)
        projection_receive(projection, crossing->value, true, projection_holder(projection, from),
                           2 * (uint32_t)lower + (way == WAY_BACKWARD));
}

static void give_on(struct projection *projection, enum way way, int32_t stage)
{
    const struct crossing *crossing = boundary_output(&projection->boundaries, way, stage);
    const int32_t lower = way == WAY_BACKWARD ? stage - 1 : stage, to = way == WAY_BACKWARD ? stage - 1 : stage + 1;

    if (crossing == NULL)
        return;
    if (crossing->norm >= 0) {
        int32_t operands[LLMRUN_ADD_OPERANDS] = {crossing->terms[0], crossing->terms[1], crossing->value};

        builder_emit(&projection->builder, LLMRUN_OP_ADD, NULL, operands, 0, "add");
    }
    projection_send(projection, crossing->value, true, projection_holder(projection, to),
                    2 * (uint32_t)lower + (way == WAY_BACKWARD));
}

/* The op behind a boundary takes the sum that was received in place of its terms. */
static void take_sum(struct projection *projection, const struct crossing *input, int64_t number, struct op *added)
{
    struct op_residual at;
    int32_t *operands;

    if (added == NULL || input == NULL || input->norm != number)
        return;
    operands = program_operands(projection->out, added);
    op_residual_find(op_info_find(added->op), &at);
    operands[at.x] = input->value;
    operands[at.residual] = operands[at.sum] = NO_VALUE;
}

/* Of those of the program, or of this rank alone, whether no later section has its kind, and its stage unless `any`. */
static bool is_last(const struct projection *projection, int64_t s, bool any)
{
    const struct program *program = projection->program;
    const struct section *section = &program->sections[s];

    for (int64_t later = s + 1; later < program->section_count; later++)
        if (program->sections[later].kind == section->kind &&
            projection_holder(projection, program->sections[later].chunk) == projection->rank &&
            (any || program->sections[later].chunk == section->chunk))
            return false;
    return true;
}

static bool is_first(const struct projection *projection, int64_t s)
{
    const struct program *program = projection->program;

    for (int64_t before = 0; before < s; before++)
        if (program->sections[before].kind == program->sections[s].kind &&
            program->sections[before].chunk == program->sections[s].chunk)
            return false;
    return true;
}

static void project_stage(struct projection *projection, int64_t s)
{
    const struct section *section = &projection->program->sections[s];
    const enum way way = way_of((enum section_kind)section->kind);
    const bool linked = section->kind != SECTION_BACKWARD_WEIGHT;

    if (projection_holder(projection, section->chunk) != projection->rank)
        return;
    projection_begin(projection, section);
    if (linked && is_first(projection, s))
        take_in(projection, way, section->chunk);
    for (int32_t i = 0; i < section->op_count; i++) {
        const int64_t number = section->first_op + i;

        take_sum(projection, boundary_input(&projection->boundaries, way, section->chunk), number,
                 projection_copy(projection, &projection->program->ops[number]));
    }
    if (linked && is_last(projection, s, false))
        give_on(projection, way, section->chunk);
    if (is_last(projection, s, true))
        spread_emit(projection, way);
}

static void project_combine(struct projection *projection, const struct section *section)
{
    if (projection_holder(projection, section->chunk) != projection->rank)
        return;
    projection_begin(projection, section);
    for (int32_t i = 0; i < section->op_count; i++)
        projection_copy(projection, &projection->program->ops[section->first_op + i]);
}

static void project_others(struct projection *projection, const struct section *section)
{
    const struct program *program = projection->program;
    const bool update = section->kind == SECTION_UPDATE;
    bool squares = false, spreads = update;

    projection_begin(projection, section);
    if (update)
        terms_exchange_rest(projection, section);
    for (int32_t i = 0; i < section->op_count; i++) {
        const struct op *op = &program->ops[section->first_op + i];
        const int32_t parameter = op_parameter(program, op);

        squares |= op->op == LLMRUN_OP_SUM_SQUARES;
        if (spreads && squares && op->op != LLMRUN_OP_SUM_SQUARES) {
            spread_emit(projection, WAYS);
            spreads = false;
        }
        if (parameter == NO_VALUE)
            projection_copy(projection, op);
        else if (holders_have(&projection->holders, parameter, projection->rank))
            terms_set_replica(projection, parameter, projection_copy(projection, op));
    }
    if (spreads)
        spread_emit(projection, WAYS);
}

static void project_section(struct projection *projection, int64_t s)
{
    const struct section *section = &projection->program->sections[s];

    if (way_of((enum section_kind)section->kind) < WAYS)
        project_stage(projection, s);
    else if (section->kind == SECTION_COMBINE_INPUT || section->kind == SECTION_COMBINE_WEIGHT)
        project_combine(projection, section);
    else if (section->kind == SECTION_REDUCE)
        terms_project(projection, section);
    else
        project_others(projection, section);
}

/* The update last, as it runs: what reduce has not exchanged is exchanged there. */
static void project(struct projection *projection)
{
    const struct program *program = projection->program;

    spread_find(projection);
    for (int update = 0; update < 2; update++)
        for (int64_t s = 0; s < program->section_count && projection->builder.status == STATUS_OK; s++)
            if ((program->sections[s].kind == SECTION_UPDATE) == update)
                project_section(projection, s);
}

static int make(struct projection *projection, struct error *error)
{
    const size_t values = (size_t)projection->program->value_count + 1;
    int status = boundaries_find(projection->program, projection->pipeline, &projection->boundaries, error);

    if (status == STATUS_OK)
        status = holders_find(projection->program, projection->pipeline, &projection->holders, error);
    if (status == STATUS_OK)
        status = program_copy_values(projection->out, projection->program, error);
    projection->slots = malloc(values * sizeof *projection->slots);
    projection->ways = calloc(values, sizeof *projection->ways);
    if (status == STATUS_OK && (projection->slots == NULL || projection->ways == NULL))
        status = error_set(error, STATUS_MEMORY, "no memory for the program of a rank");
    if (status == STATUS_OK) {
        project(projection);
        status = projection->builder.status;
    }
    free(projection->slots);
    free(projection->ways);
    holders_finish(&projection->holders);
    boundaries_finish(&projection->boundaries);
    return status;
}

int pass_pipeline_parallel(struct program *program, const struct pipeline_parallel_form *form, int32_t *new_ids,
                           struct error *error)
{
    const int64_t values = program->value_count;
    struct program out;
    struct projection projection = {.program = program,
                                    .out = &out,
                                    .pipeline = form->pipeline,
                                    .rank = form->rank,
                                    .stages = form->pipeline->shape.ranks * form->pipeline->shape.chunks};
    int32_t *ids = NULL;
    int status;

    for (int64_t i = 0; new_ids != NULL && i < values; i++)
        new_ids[i] = (int32_t)i;
    if (form->pipeline->shape.ranks == 1)
        return STATUS_OK;
    program_init(&out);
    builder_init(&projection.builder, &out, error);
    projection.next_link = 2 * (uint32_t)projection.stages;
    status = make(&projection, error);
    if (status == STATUS_OK) {
        ids = malloc(((size_t)out.value_count + 1) * sizeof *ids);
        status = ids != NULL ? pass_drop_unused(&out, ids, error)
                             : error_set(error, STATUS_MEMORY, "no memory for the program of a rank");
    }
    if (status == STATUS_OK && new_ids != NULL)
        memcpy(new_ids, ids, (size_t)values * sizeof *ids);
    free(ids);
    program_finish(status == STATUS_OK ? program : &out);
    if (status == STATUS_OK)
        *program = out;
    return status;
}
