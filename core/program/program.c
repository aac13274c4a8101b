#include "program/program.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/checked.h"
#include "base/text.h"
#include "program/op_table.h"
#include "tensor/dtype.h"

void program_init(struct program *program)
{
    memset(program, 0, sizeof *program);
}

void program_finish(struct program *program)
{
    for (int64_t i = 0; i < program->value_count; i++) {
        free((char *)program->values[i].name);
        free(program->values[i].contents);
    }
    free(program->values);
    free(program->ops);
    free(program->operands);
    free(program->attributes);
    free(program->sections);
    value_index_finish(&program->names);
    program_init(program);
}

int32_t program_find(const struct program *program, const char *name)
{
    const struct value_slot *slot = value_index_slot(&program->names, program->values, name);

    return slot != NULL ? slot->value : NO_VALUE;
}

/* The name itself, or with the first suffix that is free; NULL when there is no memory. */
static char *unique_name(const struct program *program, const char *name)
{
    struct value_slot *taken = value_index_slot(&program->names, program->values, name);
    struct text unique = {0};

    text_add(&unique, "%s", name);
    if (taken->value != NO_VALUE && taken->next_suffix == 0)
        taken->next_suffix = 2;
    while (!unique.failed && program_find(program, unique.data) != NO_VALUE) {
        unique.length = 0;
        text_add(&unique, "%s.%d", name, taken->next_suffix++);
    }
    if (unique.failed)
        text_finish(&unique);
    return unique.data;
}

bool program_set_contents(struct program *program, int32_t value, const int32_t *contents)
{
    const size_t bytes = (size_t)value_elements(&program->values[value]) * sizeof *contents;
    int32_t *copy = malloc(bytes > 0 ? bytes : 1);

    if (copy == NULL)
        return false;
    memcpy(copy, contents, bytes);
    free(program->values[value].contents);
    program->values[value].contents = copy;
    return true;
}

int32_t program_add_value(struct program *program, const char *name, enum value_kind kind, uint32_t dtype,
                          uint32_t rank, const int64_t *shape)
{
    struct value value = {.kind = (uint8_t)kind, .dtype = (uint8_t)dtype, .rank = (uint8_t)rank, .source = NO_VALUE};
    struct value *values;

    if (!value_index_reserve(&program->names, program->values))
        return NO_VALUE;
    /* Before the array moves: the shape may be that of a value in it. */
    for (uint32_t i = 0; i < rank; i++)
        value.shape[i] = value.full[i] = shape[i];
    values = array_reserve(program->values, program->value_count, 1, &program->value_capacity, sizeof *values);
    if (values == NULL)
        return NO_VALUE;
    program->values = values;
    value.name = unique_name(program, name);
    if (value.name == NULL)
        return NO_VALUE;
    values[program->value_count] = value;
    value_index_slot(&program->names, values, value.name)->value = (int32_t)program->value_count;
    program->names.count++;
    return (int32_t)program->value_count++;
}

int program_copy_values(struct program *to, const struct program *from, struct error *error)
{
    for (int64_t i = 0; i < from->value_count; i++) {
        const struct value *value = &from->values[i];
        int32_t id = program_add_value(to, value->name, value->kind, value->dtype, value->rank, value->shape);
        const char *name;

        if (id == NO_VALUE)
            return error_set(error, STATUS_MEMORY, "no memory for the values of the program");
        name = to->values[id].name;
        to->values[id] = *value;
        to->values[id].name = name;
        to->values[id].contents = NULL;
        if (value->contents != NULL && !program_set_contents(to, id, value->contents))
            return error_set(error, STATUS_MEMORY, "no memory for the values of the program");
    }
    return STATUS_OK;
}

void program_set_extent(struct program *program, int32_t value, int dimension, int64_t extent)
{
    program->values[value].shape[dimension] = program->values[value].full[dimension] = extent;
}

int program_add_section(struct program *program, const struct section *key, struct error *error)
{
    struct section *sections =
        array_reserve(program->sections, program->section_count, 1, &program->section_capacity, sizeof *sections);

    if (sections == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a section of the program");
    program->sections = sections;
    sections[program->section_count] = *key;
    sections[program->section_count].first_op = (int32_t)program->op_count;
    sections[program->section_count++].op_count = 0;
    return STATUS_OK;
}

int64_t program_add_op(struct program *program, const struct op *op, const int32_t *operands, const void *attributes)
{
    const struct op_info *info = op_info_find(op->op);
    uint32_t count = op_operand_count(info), bytes = op_attribute_bytes(info);
    int64_t padded = round_up(bytes, 8);
    void *memory;

    if ((memory = array_reserve(program->ops, program->op_count, 1, &program->op_capacity, sizeof *op)) == NULL)
        return -1;
    program->ops = memory;
    if ((memory = array_reserve(program->operands, program->operand_count, count, &program->operand_capacity,
                                sizeof *operands)) == NULL)
        return -1;
    program->operands = memory;
    if ((memory = array_reserve(program->attributes, program->attribute_bytes, padded, &program->attribute_capacity,
                                1)) == NULL)
        return -1;
    program->attributes = memory;

    program->ops[program->op_count] = *op;
    program->ops[program->op_count].first_operand = (int32_t)program->operand_count;
    program->ops[program->op_count].first_attribute = (int32_t)program->attribute_bytes;
    memcpy(program->operands + program->operand_count, operands, count * sizeof *operands);
    memset(program->attributes + program->attribute_bytes, 0, (size_t)padded);
    if (attributes != NULL)
        memcpy(program->attributes + program->attribute_bytes, attributes, bytes);
    program->operand_count += count;
    program->attribute_bytes += padded;
    program->sections[program->section_count - 1].op_count++;
    return program->op_count++;
}

int32_t *program_operands(const struct program *program, const struct op *op)
{
    return program->operands + op->first_operand;
}

void *program_attributes(const struct program *program, const struct op *op)
{
    return program->attributes + op->first_attribute;
}

const struct section *program_section(const struct program *program, enum section_kind kind)
{
    for (int64_t i = 0; i < program->section_count; i++)
        if (program->sections[i].kind == kind)
            return &program->sections[i];
    return NULL;
}

int32_t program_root(const struct program *program, int32_t value)
{
    while (program->values[value].flags & VALUE_VIEW)
        value = program->values[value].source;
    return value;
}

int64_t program_root_offset(const struct program *program, int32_t value)
{
    int64_t offset = 0;

    for (; program->values[value].flags & VALUE_VIEW; value = program->values[value].source)
        offset += program->values[value].view.offset;
    return offset;
}

void value_copy_type(struct value *to, const struct value *from)
{
    memcpy(to->full, from->full, sizeof to->full);
    memcpy(to->splits, from->splits, sizeof to->splits);
    memcpy(to->partial, from->partial, sizeof to->partial);
    to->split_count = from->split_count;
}

int64_t value_row_elements(const struct value *value)
{
    int64_t elements = 1;

    for (int i = 1; i < value->rank; i++)
        elements *= value->shape[i];
    return elements;
}

int64_t value_elements(const struct value *value)
{
    int64_t elements = 1;

    for (int i = 0; i < value->rank; i++)
        elements *= value->shape[i];
    return elements;
}

int64_t value_bytes(const struct value *value)
{
    return value_elements(value) * dtype_bytes(value->dtype);
}

void program_tensor(const struct program *program, int32_t id, int64_t alignment, struct llmrun_tensor *tensor)
{
    const struct value *value;
    int64_t stride = 1, offset;

    memset(tensor, 0, sizeof *tensor);
    if (id == NO_VALUE)
        return;
    value = &program->values[id];
    tensor->dtype = value->dtype;
    tensor->rank = value->rank;
    tensor->alignment = alignment;
    for (int i = value->rank - 1; i >= 0; i--) {
        tensor->shape[i] = value->shape[i];
        tensor->stride[i] = stride;
        stride *= value->shape[i];
    }
    if (!(value->flags & VALUE_VIEW))
        return;
    if (value->rank > 0)
        tensor->stride[0] = value->view.pitch;
    offset = program_root_offset(program, id) * dtype_bytes(value->dtype);
    if (offset != 0 && (offset & -offset) < alignment)
        tensor->alignment = offset & -offset;
}

const char *value_kind_name(enum value_kind kind)
{
    static const char *const names[VALUE_KINDS] = {"parameter", "state",        "cast",       "constant",
                                                   "gradient",  "partial_rows", "input",      "result",
                                                   "scratch",   "pending",      "activation", "cache"};

    return kind < VALUE_KINDS ? names[kind] : "?";
}

const char *section_kind_name(enum section_kind kind)
{
    static const char *const names[SECTION_KINDS] = {
        "init",           "cast_weights", "forward", "backward", "backward_input", "backward_weight", "combine_input",
        "combine_weight", "reduce",       "update",  "evaluate", "prefill",        "decode"};

    return kind < SECTION_KINDS ? names[kind] : "?";
}

const char *reduction_name(enum reduction reduction)
{
    static const char *const names[REDUCTIONS] = {"", "+", "max", "select", "slot"};

    return reduction < REDUCTIONS ? names[reduction] : "?";
}

const char *op_role_name(enum op_role role)
{
    static const char *const names[ROLES] = {"F", "B", "W", "U"};

    return role < ROLES ? names[role] : "?";
}
