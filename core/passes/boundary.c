#include "passes/boundary.h"

#include <stdlib.h>
#include <string.h>

#include "program/op_table.h"

/* The stage that writes a value first, of which way; stage -1: none does. */
struct writer {
    int32_t stage;
    enum way way;
};

struct finding {
    const struct program *program;
    const struct pipeline *pipeline;
    struct boundaries *boundaries;
    struct writer *writers; /* [values] */
    struct error *error;
};

enum way way_of(enum section_kind kind)
{
    switch (kind) {
    case SECTION_FORWARD:
        return WAY_FORWARD;
    case SECTION_BACKWARD:
    case SECTION_BACKWARD_INPUT:
    case SECTION_BACKWARD_WEIGHT:
        return WAY_BACKWARD;
    case SECTION_EVALUATE:
        return WAY_EVALUATE;
    case SECTION_PREFILL:
        return WAY_PREFILL;
    case SECTION_DECODE:
        return WAY_DECODE;
    default:
        return WAYS;
    }
}

static void find_writers(struct finding *finding)
{
    const struct program *program = finding->program;

    for (int64_t i = 0; i < program->value_count; i++)
        finding->writers[i] = (struct writer){.stage = -1};
    for (int64_t s = 0; s < program->section_count; s++) {
        const struct section *section = &program->sections[s];
        const enum way way = way_of((enum section_kind)section->kind);

        for (int32_t n = 0; way < WAYS && n < section->op_count; n++) {
            const struct op *op = &program->ops[section->first_op + n];
            const struct op_info *info = op_info_find(op->op);
            const int32_t *operands = program_operands(program, op);

            for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
                const int32_t root = operands[i] != NO_VALUE && info->operands[i].direction != OPERAND_IN
                                         ? program_root(program, operands[i])
                                         : NO_VALUE;

                if (root != NO_VALUE && finding->writers[root].stage < 0)
                    finding->writers[root] = (struct writer){section->chunk, way};
            }
        }
    }
}

/* An activation comes from another stage: a neighbour's, the same way. */
static int add_crossing(struct finding *finding, int32_t value, int32_t stage, enum way way)
{
    const struct writer *writer = &finding->writers[value];
    const char *name = finding->program->values[value].name;
    const int32_t from = writer->stage, lower = from < stage ? from : stage;
    struct crossing *crossing;

    if (pipeline_holder(finding->pipeline, from) == pipeline_holder(finding->pipeline, stage))
        return STATUS_OK;
    if (writer->way != way || stage - from != (way == WAY_BACKWARD ? -1 : 1))
        return error_set(finding->error, STATUS_BUG,
                         "%s is made in stage %d and used in stage %d, which it is not sent to", name, from, stage);
    crossing = &finding->boundaries->crossings[(int32_t)way * finding->boundaries->count + lower];
    for (int i = 0; i < 2; i++) {
        if (crossing->terms[i] == NO_VALUE)
            crossing->terms[i] = value;
        if (crossing->terms[i] == value)
            return STATUS_OK;
    }
    return error_set(finding->error, STATUS_BUG, "%s, %s and %s cross from stage %d to %d, where one tensor can",
                     finding->program->values[crossing->terms[0]].name,
                     finding->program->values[crossing->terms[1]].name, name, from, stage);
}

static int find_crossings(struct finding *finding)
{
    const struct program *program = finding->program;
    int status = STATUS_OK;

    for (int64_t s = 0; status == STATUS_OK && s < program->section_count; s++) {
        const struct section *section = &program->sections[s];
        const enum way way = way_of((enum section_kind)section->kind);

        for (int32_t n = 0; way < WAYS && status == STATUS_OK && n < section->op_count; n++) {
            const struct op *op = &program->ops[section->first_op + n];
            const struct op_info *info = op_info_find(op->op);
            const int32_t *operands = program_operands(program, op);

            for (uint32_t i = 0; status == STATUS_OK && info->operands[i].name != NULL; i++) {
                const int32_t root = operands[i] != NO_VALUE ? program_root(program, operands[i]) : NO_VALUE;

                if (root != NO_VALUE && info->operands[i].direction == OPERAND_IN &&
                    program->values[root].kind == VALUE_ACTIVATION && finding->writers[root].stage >= 0 &&
                    finding->writers[root].stage != section->chunk)
                    status = add_crossing(finding, root, section->chunk, way);
            }
        }
    }
    return status;
}

static bool reads(const struct program *program, const struct op *op, int32_t value)
{
    const struct op_info *info = op_info_find(op->op);

    for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
        const int32_t operand = program_operands(program, op)[i];

        if (operand != NO_VALUE && info->operands[i].direction == OPERAND_IN && program_root(program, operand) == value)
            return true;
    }
    return false;
}

/* Two values cross: one op of the stage behind, and no other, takes them as residual stream and branch. */
static int find_norm(const struct finding *finding, struct crossing *crossing, int32_t stage)
{
    const struct program *program = finding->program;
    const int32_t a = crossing->terms[0], b = crossing->terms[1];
    bool alone = true;

    for (int64_t s = 0; s < program->section_count; s++) {
        const struct section *section = &program->sections[s];

        for (int32_t n = 0; section->chunk == stage && n < section->op_count; n++) {
            const struct op *op = &program->ops[section->first_op + n];
            const int32_t *operands = program_operands(program, op);
            struct op_residual at;

            if (way_of((enum section_kind)section->kind) == WAYS || (!reads(program, op, a) && !reads(program, op, b)))
                continue;
            alone = alone && crossing->norm < 0 && op_residual_find(op_info_find(op->op), &at) &&
                    reads(program, op, a) && reads(program, op, b) && operands[at.x] != operands[at.residual] &&
                    operands[at.sum] != NO_VALUE;
            if (!alone)
                break;
            crossing->norm = section->first_op + n;
            crossing->value = operands[at.sum];
            crossing->terms[0] = operands[at.x];
            crossing->terms[1] = operands[at.residual];
        }
    }
    if (alone && crossing->norm >= 0)
        return STATUS_OK;
    return error_set(finding->error, STATUS_BUG,
                     "%s and %s cross to stage %d, where no op takes them as branch and residual stream alone",
                     program->values[a].name, program->values[b].name, stage);
}

static int find_values(const struct finding *finding)
{
    const struct boundaries *boundaries = finding->boundaries;
    int status = STATUS_OK;

    for (int32_t i = 0; status == STATUS_OK && i < WAYS * boundaries->count; i++) {
        struct crossing *crossing = &boundaries->crossings[i];
        const int32_t lower = i % boundaries->count;

        if (crossing->terms[1] != NO_VALUE) {
            status = find_norm(finding, crossing, i / boundaries->count == WAY_BACKWARD ? lower : lower + 1);
        } else {
            crossing->value = crossing->terms[0];
            crossing->terms[0] = NO_VALUE;
        }
    }
    return status;
}

int boundaries_find(const struct program *program, const struct pipeline *pipeline, struct boundaries *boundaries,
                    struct error *error)
{
    const int32_t count = pipeline->shape.ranks * pipeline->shape.chunks - 1;
    struct finding finding = {.program = program, .pipeline = pipeline, .boundaries = boundaries, .error = error};
    int status = STATUS_OK;

    *boundaries = (struct boundaries){.crossings = malloc((size_t)WAYS * ((size_t)count + 1) * sizeof(struct crossing)),
                                      .count = count};
    finding.writers = malloc(((size_t)program->value_count + 1) * sizeof *finding.writers);
    if (boundaries->crossings == NULL || finding.writers == NULL)
        status = error_set(error, STATUS_MEMORY, "no memory for the boundaries of %d stages", count + 1);
    for (int32_t i = 0; status == STATUS_OK && i < WAYS * count; i++)
        boundaries->crossings[i] = (struct crossing){NO_VALUE, {NO_VALUE, NO_VALUE}, -1};
    if (status == STATUS_OK) {
        find_writers(&finding);
        status = find_crossings(&finding);
    }
    if (status == STATUS_OK)
        status = find_values(&finding);
    free(finding.writers);
    if (status != STATUS_OK)
        boundaries_finish(boundaries);
    return status;
}

void boundaries_finish(struct boundaries *boundaries)
{
    free(boundaries->crossings);
    memset(boundaries, 0, sizeof *boundaries);
}

static const struct crossing *at(const struct boundaries *boundaries, enum way way, int32_t lower)
{
    const struct crossing *crossing = lower >= 0 && lower < boundaries->count
                                          ? &boundaries->crossings[(int32_t)way * boundaries->count + lower]
                                          : NULL;

    return crossing != NULL && crossing->value != NO_VALUE ? crossing : NULL;
}

const struct crossing *boundary_input(const struct boundaries *boundaries, enum way way, int32_t stage)
{
    return at(boundaries, way, way == WAY_BACKWARD ? stage : stage - 1);
}

const struct crossing *boundary_output(const struct boundaries *boundaries, enum way way, int32_t stage)
{
    return at(boundaries, way, way == WAY_BACKWARD ? stage - 1 : stage);
}
