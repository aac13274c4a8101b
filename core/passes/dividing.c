#include "passes/dividing.h"

#include "program/op_table.h"

void dividing_emit(struct dividing *dividing, uint16_t op, int32_t x, int32_t y)
{
    const struct communication_attributes attributes = {.axis = MESH_DP};
    int32_t operands[] = {x, y};

    builder_emit(&dividing->builder, op, &attributes, operands, 0, op_info_find(op)->name);
}
