#include "passes/projection.h"

#include "program/op_table.h"

int32_t projection_holder(const struct projection *projection, int32_t stage)
{
    return pipeline_holder(projection->pipeline, stage);
}

/* The chunk of this rank that a stage is; 0 for a stage of another rank. */
static int32_t chunk_of(const struct projection *projection, int32_t stage)
{
    for (int32_t chunk = 0; chunk < projection->pipeline->shape.chunks; chunk++)
        if (pipeline_stage(projection->pipeline, projection->rank, chunk) == stage)
            return chunk;
    return 0;
}

void projection_begin(struct projection *projection, const struct section *section)
{
    struct section key = *section;

    key.chunk = chunk_of(projection, section->chunk);
    if (projection->builder.status == STATUS_OK)
        projection->builder.status = program_add_section(projection->out, &key, projection->builder.error);
    projection->builder.layer = section->layer;
    projection->builder.role = way_of((enum section_kind)section->kind) == WAY_BACKWARD ? ROLE_BACKWARD_INPUT
                               : way_of((enum section_kind)section->kind) < WAYS        ? ROLE_FORWARD
                                                                                        : ROLE_UPDATE;
}

struct op *projection_copy(struct projection *projection, const struct op *op)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *from = program_operands(projection->program, op);
    int32_t operands[LLMRUN_MAX_OPERANDS];
    int64_t added;

    if (projection->builder.status != STATUS_OK)
        return NULL;
    for (uint32_t i = 0; info->operands[i].name != NULL; i++)
        operands[i] =
            from[i] != NO_VALUE && info->operands[i].direction != OPERAND_IN && projection->slots[from[i]] != NO_VALUE
                ? projection->slots[from[i]]
                : from[i];
    added = program_add_op(projection->out, op, operands, program_attributes(projection->program, op));
    if (added >= 0)
        return &projection->out->ops[added];
    projection->builder.status =
        error_set(projection->builder.error, STATUS_MEMORY, "no memory for the ops of the program");
    return NULL;
}

static int32_t buffer_of(struct projection *projection, int32_t value, const char *suffix)
{
    const struct value *like = &projection->out->values[value];

    return build_part(&projection->builder, value, suffix, VALUE_SCRATCH, like->dtype, like->rank, like->shape);
}

void projection_send(struct projection *projection, int32_t value, bool buffered, int32_t peer, uint32_t link)
{
    const struct transfer_attributes attributes = {.axis = MESH_PP, .peer = (uint32_t)peer, .link = link};
    int32_t operands[SEND_OPERANDS] = {value, buffered ? buffer_of(projection, value, "sent") : NO_VALUE};

    builder_emit(&projection->builder, OP_SEND, &attributes, operands, 0, "send");
}

void projection_receive(struct projection *projection, int32_t value, bool buffered, int32_t peer, uint32_t link)
{
    const struct transfer_attributes attributes = {.axis = MESH_PP, .peer = (uint32_t)peer, .link = link};
    int32_t operands[RECEIVE_OPERANDS] = {buffered ? buffer_of(projection, value, "received") : NO_VALUE, value};

    builder_emit(&projection->builder, OP_RECEIVE, &attributes, operands, 0, "receive");
}
