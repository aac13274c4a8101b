#include "program/op_table.h"

#include <stddef.h>
#include <string.h>

/* With the rows for the core alone. */
#define OPS_OF_CORE

#define DIRECTION_in      OPERAND_IN
#define DIRECTION_inout   OPERAND_INOUT
#define DIRECTION_out     OPERAND_OUT
#define CLASS_compute     CLASS_COMPUTE
#define CLASS_wide        CLASS_WIDE
#define CLASS_f32         CLASS_F32
#define CLASS_i32         CLASS_I32
#define CLASS_u32         CLASS_U32
#define CLASS_any         CLASS_ANY
#define CLASS_sum         CLASS_SUM
#define PRESENCE_required false
#define PRESENCE_optional true
#define PRESENCE_root     true
#define ROOT_required     false
#define ROOT_optional     false
#define ROOT_root         true
#define TYPE_u32          ATTRIBUTE_U32
#define TYPE_i64          ATTRIBUTE_I64
#define TYPE_u64          ATTRIBUTE_U64
#define TYPE_f32          ATTRIBUTE_F32

/* The rows of each op's own tables; an entry without a name ends them. */
#define OP_BEGIN(name, id, version, backward, flops, flags, summary)                                                   \
    static const struct operand_info operands_##name[] = {
#define OPERAND(direction, name, class, presence, axes)                                                                \
    {#name, DIRECTION_##direction, CLASS_##class, PRESENCE_##presence, ROOT_##presence, axes},
#define ATTRIBUTE(type, name, role, meaning)
#define OP_END(name)                                                                                                   \
    {                                                                                                                  \
        NULL, OPERAND_IN, CLASS_ANY, false, false, NULL                                                                \
    }                                                                                                                  \
    }                                                                                                                  \
    ;
#include "program/ops.def"

#define OP_BEGIN(name, id, version, backward, flops, flags, summary)                                                   \
    static const struct attribute_info attributes_##name[] = {
#define OPERAND(direction, name, class, presence, axes)
#define ATTRIBUTE(type, name, role, meaning) {#name, role, TYPE_##type},
#define OP_END(name)                                                                                                   \
    {                                                                                                                  \
        NULL, NULL, ATTRIBUTE_U32                                                                                      \
    }                                                                                                                  \
    }                                                                                                                  \
    ;
#include "program/ops.def"

#define OP_BEGIN(name, id, version, backward, flops, flags, summary)                                                   \
    static const struct op_addition additions_##name[] = {
#define OPERAND(direction, name, class, presence, axes)
#define ATTRIBUTE(type, name, role, meaning)
#define SINCE(version, name) {#name, version},
#define OP_END(name)                                                                                                   \
    {                                                                                                                  \
        NULL, 0                                                                                                        \
    }                                                                                                                  \
    }                                                                                                                  \
    ;
#include "program/ops.def"

static const struct op_info table[OPS_END] = {
#define OP_BEGIN(name, id, version, backward, flops, flags, summary)                                                   \
    [id] = {#name, id, version, flags, flops, #backward, operands_##name, attributes_##name, additions_##name},
#define OPERAND(direction, name, class, presence, axes)
#define ATTRIBUTE(type, name, role, meaning)
#define OP_END(name)
#include "program/ops.def"
};

const struct op_info *op_info_find(uint16_t id)
{
    return id < OPS_END && table[id].name != NULL ? &table[id] : NULL;
}

const struct op_info *op_info_by_name(const char *name, int64_t length)
{
    for (uint16_t id = 0; id < OPS_END; id++)
        if (table[id].name != NULL && (int64_t)strlen(table[id].name) == length &&
            memcmp(table[id].name, name, (size_t)length) == 0)
            return &table[id];
    return NULL;
}

uint32_t op_operand_count(const struct op_info *op)
{
    uint32_t count = 0;

    while (op->operands[count].name != NULL)
        count++;
    return count;
}

uint32_t op_operand_index(const struct op_info *op, const char *name)
{
    uint32_t index = 0;

    while (op->operands[index].name != NULL && strcmp(op->operands[index].name, name) != 0)
        index++;
    return index;
}

uint16_t op_since(const struct op_info *op, const char *name)
{
    uint16_t oldest = op->version, since = 0;

    for (const struct op_addition *addition = op->additions; addition->name != NULL; addition++) {
        if (addition->version <= oldest)
            oldest = (uint16_t)(addition->version - 1);
        if (strcmp(addition->name, name) == 0)
            since = addition->version;
    }
    return since != 0 ? since : oldest;
}

bool op_is_addition(const struct op_info *op, const char *name)
{
    for (const struct op_addition *addition = op->additions; addition->name != NULL; addition++)
        if (strcmp(addition->name, name) == 0)
            return true;
    return false;
}

void op_lower(const struct op_info *op, struct llmrun_op *description)
{
    uint32_t operands = 0, attributes = 0;
    uint16_t version = 0;

    for (uint32_t i = 0; op->operands[i].name != NULL; i++)
        if (description->operands[i].dtype != LLMRUN_NONE && op_since(op, op->operands[i].name) > version)
            version = op_since(op, op->operands[i].name);
    for (uint32_t i = 0; op->attributes[i].name != NULL; i++)
        if (op_attribute_number(op, i, description->attributes) != 0 && op_since(op, op->attributes[i].name) > version)
            version = op_since(op, op->attributes[i].name);
    while (op->operands[operands].name != NULL && op_since(op, op->operands[operands].name) <= version)
        operands++;
    while (op->attributes[attributes].name != NULL && op_since(op, op->attributes[attributes].name) <= version)
        attributes++;
    description->version = version;
    description->operand_count = operands;
    description->attribute_bytes = op_attribute_offset(op, attributes);
}

bool op_residual_find(const struct op_info *op, struct op_residual *residual)
{
    if (!(op->flags & OP_RESIDUAL))
        return false;
    *residual = (struct op_residual){op_operand_index(op, "x"), op_operand_index(op, "residual"),
                                     op_operand_index(op, "residual_out")};
    return true;
}

/* Attributes are laid out in order without holes: 8-byte ones stand first in ops.def, and each struct is padded to its
 * widest member. */
uint32_t op_attribute_offset(const struct op_info *op, uint32_t index)
{
    uint32_t offset = 0;

    for (uint32_t i = 0; i < index; i++)
        offset += attribute_type_bytes(op->attributes[i].type);
    return offset;
}

uint32_t op_attribute_bytes(const struct op_info *op)
{
    uint32_t count = 0;

    while (op->attributes[count].name != NULL)
        count++;
    return op_attribute_offset(op, count);
}

int64_t op_attribute_number(const struct op_info *op, uint32_t index, const void *attributes)
{
    const uint8_t *at = (const uint8_t *)attributes + op_attribute_offset(op, index);
    uint32_t narrow;
    int64_t wide;

    if (attribute_type_bytes(op->attributes[index].type) == 8) {
        memcpy(&wide, at, 8);
        return wide;
    }
    memcpy(&narrow, at, 4);
    return narrow;
}

void op_attribute_set(const struct op_info *op, uint32_t index, void *attributes, int64_t number)
{
    uint8_t *at = (uint8_t *)attributes + op_attribute_offset(op, index);
    const uint32_t narrow = (uint32_t)number;

    if (attribute_type_bytes(op->attributes[index].type) == 8)
        memcpy(at, &number, 8);
    else
        memcpy(at, &narrow, 4);
}

uint32_t operand_class_dtype(enum operand_class class, uint32_t compute)
{
    switch (class) {
    case CLASS_WIDE:
        return LLMRUN_F64;
    case CLASS_F32:
        return LLMRUN_F32;
    case CLASS_I32:
        return LLMRUN_I32;
    case CLASS_U32:
        return LLMRUN_U32;
    default:
        return compute;
    }
}
