#include "passes/shard.h"

#include <stdlib.h>
#include <string.h>

#include "passes/shard_letter.h"
#include "passes/shard_loss.h"
#include "passes/shard_op.h"
#include "program/op_table.h"

/* The parameter as which a value is split: one of its shape that belongs to it; NO_VALUE. */
static int32_t parameter_of(const struct program *program, int32_t id)
{
    const struct value *value = &program->values[id], *at = value;

    switch (value->kind) {
    case VALUE_PARAMETER:
        return id;
    case VALUE_CAST:
    case VALUE_GRADIENT:
    case VALUE_PARTIAL_ROWS:
    case VALUE_STATE:
        break;
    default:
        return NO_VALUE;
    }
    while (at->kind != VALUE_PARAMETER && at->source != NO_VALUE)
        at = &program->values[at->source];
    return at->kind == VALUE_PARAMETER && at->rank == value->rank ? (int32_t)(at - program->values) : NO_VALUE;
}

static int begin(struct shard *shard, struct error *error)
{
    const size_t values = (size_t)shard->program->value_count + 1;

    shard->places = calloc(values, sizeof *shard->places);
    shard->parameters = malloc(values * sizeof *shard->parameters);
    shard->last_uses = calloc(values, sizeof *shard->last_uses);
    shard->marks = calloc(values, sizeof *shard->marks);
    shard->marked = calloc(values, sizeof *shard->marked);
    if (shard->places == NULL || shard->parameters == NULL || shard->last_uses == NULL || shard->marks == NULL ||
        shard->marked == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the types of a rank's values");
    for (int32_t i = 0; i < shard->program->value_count; i++)
        shard->parameters[i] = parameter_of(shard->program, i);
    return STATUS_OK;
}

static void end(struct shard *shard)
{
    free(shard->places);
    free(shard->parameters);
    free(shard->last_uses);
    free(shard->marks);
    free(shard->marked);
    free(shard->more);
}

/* Positions of a sequence of the section's rows, as the first op with that attribute has them. */
static int64_t sequence_of(const struct program *program, const struct section *section)
{
    for (int32_t i = 0; i < section->op_count; i++) {
        const struct op *op = &program->ops[section->first_op + i];
        const struct op_info *info = op_info_find(op->op);

        for (uint32_t k = 0; info->attributes[k].name != NULL; k++)
            if (strcmp(info->attributes[k].role, "extent s") == 0)
                return op_attribute_number(info, k, program_attributes(program, op));
    }
    return 0;
}

static bool is_computing(enum section_kind kind)
{
    return kind == SECTION_FORWARD || kind == SECTION_BACKWARD || kind == SECTION_EVALUATE || kind == SECTION_PREFILL ||
           kind == SECTION_DECODE;
}

/* Evaluation splits positions where they divide, training must, and texts in the making do not. */
static void begin_section(struct shard *shard, const struct section *section)
{
    const enum section_kind kind = (enum section_kind)section->kind;
    const bool step = kind == SECTION_FORWARD || kind == SECTION_BACKWARD;

    shard->builder.status = program_add_section(shard->out, section, shard->builder.error);
    shard->sequence = sequence_of(shard->program, section);
    shard->positions =
        shard->form->sequence_parallel && (step || (kind == SECTION_EVALUATE && shard->sequence % shard->ranks == 0));
    shard->forward = is_computing(kind) && kind != SECTION_BACKWARD;
    if (step && shard->positions && shard->sequence % shard->ranks != 0)
        shard_refuse(shard, "a sequence (data.seq_len)", shard->sequence, "positions");
    if (kind != SECTION_BACKWARD)
        shard_forget(shard);
    shard_letter_begin(shard, section);
}

static bool is_split_loss(const struct shard *shard, const struct op *op)
{
    const int32_t *operands = program_operands(shard->program, op);

    return op->op == LLMRUN_OP_LINEAR_CROSS_ENTROPY &&
           shard->parameters[operands[LLMRUN_LINEAR_CROSS_ENTROPY_W]] != NO_VALUE &&
           shard_place(shard, operands[LLMRUN_LINEAR_CROSS_ENTROPY_W]).kind != PLACE_WHOLE;
}

static void write_section(struct shard *shard, const struct section *section)
{
    begin_section(shard, section);
    for (int32_t i = section->first_op; i < section->first_op + section->op_count; i++) {
        if (shard->builder.status != STATUS_OK)
            return;
        if (is_split_loss(shard, &shard->program->ops[i]))
            shard_loss(shard, i);
        else
            shard_op(shard, i, shard_letter(shard, section, i));
    }
}

/* What the walk has said of parameters, and of nothing else: the next one begins with it. */
static void keep_parameters(struct shard *shard)
{
    for (int32_t i = 0; i < shard->program->value_count; i++)
        if (shard->parameters[i] != i)
            shard->places[i] = (struct place){PLACE_OPEN, 0, 0};
}

static void place_parameters(struct shard *shard)
{
    for (int32_t i = 0; i < shard->program->value_count; i++)
        if (shard->parameters[i] != NO_VALUE)
            shard_set_place(shard, i, shard->places[shard->parameters[i]]);
}

/* Twice: what parameters are is known once the sections that compute have been walked, and others stand before. */
static int walk(struct shard *shard, struct program *out, bool all, struct error *error)
{
    program_init(out);
    shard->out = out;
    builder_init(&shard->builder, out, error);
    shard->builder.status = program_copy_values(out, shard->program, error);
    if (shard->builder.status == STATUS_OK)
        place_parameters(shard);
    for (int64_t s = 0; s < shard->program->section_count && shard->builder.status == STATUS_OK; s++)
        if (all || is_computing((enum section_kind)shard->program->sections[s].kind))
            write_section(shard, &shard->program->sections[s]);
    return shard->builder.status;
}

/* The program of a rank, for so many ranks of tp. Where it fails *out is empty; `refused`: fewer ranks may do. */
static int make(const struct program *program, const struct shard_form *form, int32_t ranks, int32_t index,
                struct program *out, bool *refused, struct error *error)
{
    struct shard shard = {.program = program, .form = form, .ranks = ranks, .index = index};
    struct program rehearsal = {0};
    int status = begin(&shard, error);

    if (status == STATUS_OK)
        status = walk(&shard, &rehearsal, false, error);
    program_finish(&rehearsal);
    if (status == STATUS_OK) {
        keep_parameters(&shard);
        shard_forget(&shard);
        status = walk(&shard, out, true, error);
    }
    *refused = shard.refused;
    end(&shard);
    if (status != STATUS_OK)
        program_finish(out);
    return status;
}

/* The largest number of ranks below that this model and these sums can be split over. */
static int32_t nearest(const struct program *program, const struct shard_form *form, int32_t ranks)
{
    struct program out = {0};
    struct error ignored;
    bool refused;

    while (--ranks > 1 && make(program, form, ranks, 0, &out, &refused, &ignored) != STATUS_OK)
        ;
    program_finish(&out);
    return ranks;
}

int pass_shard(struct program *program, const struct shard_form *form, struct error *error)
{
    const int32_t ranks = form->mesh.sizes[MESH_TP];
    struct program out = {0};
    char problem[sizeof error->message];
    bool refused;
    int status;

    if (ranks == 1)
        return STATUS_OK;
    status = make(program, form, ranks, form->mesh.index[MESH_TP], &out, &refused, error);
    if (refused) {
        memcpy(problem, error->message, sizeof problem);
        return error_set(error, STATUS_USAGE, "%.800s; use parallel.tp %d", problem, nearest(program, form, ranks));
    }
    if (status == STATUS_OK) {
        program_finish(program);
        *program = out;
    }
    return status;
}
