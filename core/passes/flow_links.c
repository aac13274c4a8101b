#include "passes/flow_links.h"

#include "program/op_table.h"

/* The buffer that a section's op sends from or receives into; NO_VALUE. */
static int32_t buffer_of(const struct program *program, const struct op *op)
{
    const int32_t *operands = program_operands(program, op);

    return op->op == OP_SEND ? operands[SEND_BUFFER] : op->op == OP_RECEIVE ? operands[RECEIVE_BUFFER] : NO_VALUE;
}

static bool is_of_step(const struct section *section)
{
    return section->kind == SECTION_FORWARD || section->kind == SECTION_BACKWARD ||
           section->kind == SECTION_BACKWARD_INPUT;
}

void flow_add_links(const struct program *program, struct flow *flow)
{
    for (int64_t s = 0; s < program->section_count; s++)
        for (int32_t i = 0; is_of_step(&program->sections[s]) && i < program->sections[s].op_count; i++) {
            const int32_t buffer = buffer_of(program, &program->ops[program->sections[s].first_op + i]);

            if (buffer != NO_VALUE)
                flow->pool[buffer] = flow->pools++;
        }
}

static void fill(const struct pipeline_rank *rank, const struct section *section, int32_t pool, struct flow *flow)
{
    int64_t count = 0;

    for (int64_t i = 0; i < rank->count; i++)
        if (flow_section_kind(&rank->entries[i]) == section->kind && rank->entries[i].chunk == section->chunk)
            flow->slots[i * flow->pools + pool] = (int32_t)(count++ % 2);
    flow->group_slots[flow->group[pool]] = count < 2 ? (int32_t)count : 2;
}

void flow_fill_links(const struct program *program, const struct pipeline_rank *rank, struct flow *flow)
{
    for (int64_t s = 0; s < program->section_count; s++)
        for (int32_t i = 0; is_of_step(&program->sections[s]) && i < program->sections[s].op_count; i++) {
            const int32_t buffer = buffer_of(program, &program->ops[program->sections[s].first_op + i]);

            if (buffer != NO_VALUE)
                fill(rank, &program->sections[s], flow->pool[buffer], flow);
        }
}
