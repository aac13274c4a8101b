#include <string.h>

#include "base/hash.h"
#include "program/op_table.h"
#include "program/sharding.h"
#include "program/text.h"
#include "tensor/dtype.h"

static void print_extents(const int64_t *extents, int rank, struct text *text)
{
    text_add(text, "[");
    for (int i = 0; i < rank; i++)
        text_add(text, i > 0 ? ",%lld" : "%lld", (long long)extents[i]);
    text_add(text, "]");
}

static void print_sharding(const struct value *value, struct text *text)
{
    char type[SHARDING_TEXT];

    if (value->split_count > 0) {
        text_add(text, " full ");
        print_extents(value->full, value->rank, text);
    }
    for (int i = 0; i < value->split_count; i++)
        text_add(text, " %s %s", mesh_axis_name(value->splits[i].axis),
                 sharding_print(value, value->splits[i].axis, type));
    for (int i = 0; i < MESH_AXES; i++)
        if (value->partial[i].reduction != REDUCTION_NONE)
            text_add(text, " %s %s", mesh_axis_name((enum mesh_axis)i), sharding_print(value, (enum mesh_axis)i, type));
}

static void print_value(const struct program *program, int64_t id, struct text *text)
{
    const struct value *value = &program->values[id];

    text_add(text, "%%%lld = %s %s", (long long)id, value_kind_name(value->kind), dtype_name(value->dtype));
    print_extents(value->shape, value->rank, text);
    text_add(text, " \"%s\"", value->name);
    if (value->flags & VALUE_TRAINABLE)
        text_add(text, " trainable");
    if (value->flags & VALUE_DECAY)
        text_add(text, " decay");
    if (value->flags & VALUE_PER_MICROBATCH)
        text_add(text, " per-microbatch");
    print_sharding(value, text);
    if (value->source != NO_VALUE)
        text_add(text, " of %%%d", value->source);
    if (value->flags & VALUE_VIEW)
        text_add(text, " view %lld pitch %lld", (long long)value->view.offset, (long long)value->view.pitch);
    for (int64_t i = 0; value->contents != NULL && i < value_elements(value); i++)
        text_add(text, "%s%d", i == 0 ? " holds " : ",", value->contents[i]);
    text_add(text, "\n");
}

static void print_attribute(const struct attribute_info *attribute, const void *at, struct text *text)
{
    uint32_t narrow;
    uint64_t wide;
    float real;

    switch (attribute->type) {
    case ATTRIBUTE_U32:
        memcpy(&narrow, at, 4);
        text_add(text, "%s: %u", attribute->name, narrow);
        break;
    case ATTRIBUTE_F32:
        memcpy(&real, at, 4);
        text_add(text, "%s: %.9g", attribute->name, (double)real);
        break;
    case ATTRIBUTE_U64:
        memcpy(&wide, at, 8);
        text_add(text, "%s: %llu", attribute->name, (unsigned long long)wide);
        break;
    case ATTRIBUTE_I64:
        memcpy(&wide, at, 8);
        text_add(text, "%s: %lld", attribute->name, (long long)wide);
        break;
    }
}

void program_print_op(const struct program *program, const struct op *op, struct text *text)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(program, op);
    const uint8_t *attributes = program_attributes(program, op);
    bool arrow = false, open = false;

    text_add(text, "%s(", info->name);
    for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
        const char *between = i > 0 ? ", " : "";

        if (!arrow && info->operands[i].direction == OPERAND_OUT) {
            between = i > 0 ? " -> " : "-> ";
            arrow = true;
        }
        if (operands[i] == NO_VALUE)
            text_add(text, "%s_", between);
        else
            text_add(text, "%s%s%%%d", between, op->accumulate >> i & 1 ? "+" : "", operands[i]);
    }
    text_add(text, ")");
    for (uint32_t i = 0; info->attributes[i].name != NULL; i++) {
        /* What a later version brought stands there where it is used. */
        if (op_is_addition(info, info->attributes[i].name) && op_attribute_number(info, i, attributes) == 0)
            continue;
        text_add(text, open ? ", " : " {");
        open = true;
        print_attribute(&info->attributes[i], attributes + op_attribute_offset(info, i), text);
    }
    text_add(text, "%s %s", open ? "}" : "", op_role_name(op->role));
    if (op->recomputed)
        text_add(text, " again");
    if (op->layer >= 0)
        text_add(text, " layer %d", op->layer);
}

void program_print_section(const struct section *section, struct text *text)
{
    text_add(text, "%s %d", section_kind_name(section->kind), section->chunk);
    if (section->layer >= 0)
        text_add(text, " layer %d", section->layer);
    if (section->level > 0)
        text_add(text, " level %d", section->level);
    if (section->segment > 0)
        text_add(text, " segment %d", section->segment);
}

void program_print(const struct program *program, struct text *text)
{
    text_add(text, "llmrun-program 1\n");
    for (int64_t i = 0; i < program->value_count; i++)
        print_value(program, i, text);
    for (int64_t s = 0; s < program->section_count; s++) {
        const struct section *section = &program->sections[s];

        text_add(text, "section ");
        program_print_section(section, text);
        text_add(text, "\n");
        for (int32_t i = 0; i < section->op_count; i++) {
            text_add(text, "  ");
            program_print_op(program, &program->ops[section->first_op + i], text);
            text_add(text, "\n");
        }
    }
}

uint64_t program_hash(const struct program *program)
{
    struct text text = {0};
    uint64_t hash;

    program_print(program, &text);
    hash = text.failed ? 0 : hash_text(text.data);
    text_finish(&text);
    return hash;
}
