#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "program/op_table.h"
#include "program/text.h"
#include "tensor/dtype.h"

struct cursor {
    const char *at;
    int line;
    struct error *error;
    int status;
};

/* Quotes what stands there, up to the end of the line. */
static bool parse_fail(struct cursor *cursor, const char *wanted)
{
    int length = (int)strcspn(cursor->at, "\n");

    if (cursor->status == STATUS_OK)
        cursor->status = error_set(cursor->error, STATUS_INPUT, "line %d: expected %s at '%.*s'", cursor->line, wanted,
                                   length < 20 ? length : 20, cursor->at);
    return false;
}

static void skip_blanks(struct cursor *cursor)
{
    while (*cursor->at == ' ')
        cursor->at++;
}

/* Takes `word` when it stands here. */
static bool accept(struct cursor *cursor, const char *word)
{
    size_t length = strlen(word);

    skip_blanks(cursor);
    if (strncmp(cursor->at, word, length) != 0)
        return false;
    cursor->at += length;
    if (word[0] == '\n')
        cursor->line++;
    return true;
}

static bool expect(struct cursor *cursor, const char *word)
{
    return accept(cursor, word) || parse_fail(cursor, word[0] == '\n' ? "the end of the line" : word);
}

static bool parse_integer(struct cursor *cursor, int64_t *out)
{
    char *end;

    skip_blanks(cursor);
    *out = (int64_t)strtoll(cursor->at, &end, 10);
    if (end == cursor->at || *cursor->at == '\n')
        return parse_fail(cursor, "a number");
    cursor->at = end;
    return true;
}

static int64_t word_length(const struct cursor *cursor)
{
    int64_t length = 0;

    while (isalnum((unsigned char)cursor->at[length]) || cursor->at[length] == '_' || cursor->at[length] == '-')
        length++;
    return length;
}

/* Takes one of `count` names; returns its index or -1. */
static int parse_choice(struct cursor *cursor, const char *(*name)(int), int count, const char *wanted)
{
    int64_t length;

    skip_blanks(cursor);
    length = word_length(cursor);
    for (int i = 0; i < count; i++)
        if ((int64_t)strlen(name(i)) == length && strncmp(cursor->at, name(i), (size_t)length) == 0) {
            cursor->at += length;
            return i;
        }
    parse_fail(cursor, wanted);
    return -1;
}

static const char *kind_name(int i)
{
    return value_kind_name((enum value_kind)i);
}

/* The first type is LLMRUN_NONE, which no value has. */
static const char *type_name(int i)
{
    return dtype_name((uint32_t)i + 1);
}

static const char *section_name(int i)
{
    return section_kind_name((enum section_kind)i);
}

static const char *role_name(int i)
{
    return op_role_name((enum op_role)i);
}

static bool parse_shape(struct cursor *cursor, uint32_t dtype, uint32_t *rank, int64_t *shape)
{
    int64_t bytes = dtype_bytes(dtype);

    *rank = 0;
    if (!expect(cursor, "["))
        return false;
    while (!accept(cursor, "]")) {
        if (*rank == LLMRUN_MAX_RANK || (*rank > 0 && !expect(cursor, ",")) || !parse_integer(cursor, &shape[*rank]))
            return parse_fail(cursor, "a shape of at most 5 extents");
        if (shape[*rank] < 0)
            return parse_fail(cursor, "an extent that is not negative");
        if (!checked_mul(bytes, shape[(*rank)++], &bytes))
            return parse_fail(cursor, "a shape whose bytes can be counted");
    }
    return true;
}

/* *name is to be freed. */
static bool parse_name(struct cursor *cursor, char **name)
{
    size_t length;

    if (!expect(cursor, "\""))
        return false;
    length = strcspn(cursor->at, "\"\n");
    if (length == 0 || cursor->at[length] != '"')
        return parse_fail(cursor, "a name and a quotation mark");
    *name = strndup(cursor->at, length);
    if (*name == NULL)
        return parse_fail(cursor, "more memory");
    cursor->at += length + 1;
    return true;
}

/* Takes two numbers and what stands between them. */
static bool parse_pair(struct cursor *cursor, int64_t most, int64_t *a, const char *between, int64_t *b)
{
    if (!parse_integer(cursor, a) || !expect(cursor, between) || !parse_integer(cursor, b))
        return false;
    return (*a >= 0 && *b >= 0 && *a <= most && *b <= most) ||
           parse_fail(cursor, "smaller numbers that are not negative");
}

static bool parse_split(struct cursor *cursor, int axis, struct value *value)
{
    int64_t dimension, factor, index, parts;

    if (value->split_count == VALUE_MAX_SPLITS)
        return parse_fail(cursor, "fewer splits");
    if (!parse_pair(cursor, UINT8_MAX, &dimension, ".", &factor) || !parse_pair(cursor, INT32_MAX, &index, "/", &parts))
        return false;
    value->splits[value->split_count++] =
        (struct split){(uint8_t)dimension, (uint8_t)factor, (uint8_t)axis, (int32_t)parts, (int32_t)index};
    return true;
}

static bool parse_partial(struct cursor *cursor, int axis, struct value *value)
{
    int64_t first, parts;
    int reduction = REDUCTION_SUM;

    while (reduction < REDUCTIONS && !accept(cursor, reduction_name((enum reduction)reduction)))
        reduction++;
    if (reduction == REDUCTIONS)
        return parse_fail(cursor, "a reduction: +, max, select or slot");
    if (!parse_pair(cursor, INT32_MAX, &first, ":", &parts))
        return false;
    value->partial[axis] = (struct partial){(uint8_t)reduction, (int32_t)first, (int32_t)parts};
    return true;
}

/* How ranks share the value: `full`, then one type an axis. */
static bool parse_sharding(struct cursor *cursor, struct value *value)
{
    uint32_t rank;
    bool found = true;

    if (accept(cursor, "full") && !parse_shape(cursor, value->dtype, &rank, value->full))
        return false;
    while (found) {
        int axis = 0;

        while (axis < MESH_AXES && !accept(cursor, mesh_axis_name((enum mesh_axis)axis)))
            axis++;
        found = axis < MESH_AXES;
        if (found && (accept(cursor, "split")     ? !parse_split(cursor, axis, value)
                      : accept(cursor, "partial") ? !parse_partial(cursor, axis, value)
                                                  : !parse_fail(cursor, "split or partial")))
            return false;
    }
    return true;
}

/* What stands behind the name of a value. */
static bool parse_flags(struct cursor *cursor, int64_t values, struct value *value)
{
    int64_t source = NO_VALUE;

    value->flags = accept(cursor, "trainable") ? VALUE_TRAINABLE : 0;
    value->flags |= accept(cursor, "decay") ? VALUE_DECAY : 0;
    value->flags |= accept(cursor, "per-microbatch") ? VALUE_PER_MICROBATCH : 0;
    if (!parse_sharding(cursor, value))
        return false;
    if (accept(cursor, "of") && (!expect(cursor, "%") || !parse_integer(cursor, &source)))
        return false;
    value->source = (int32_t)source;
    if (source != NO_VALUE && accept(cursor, "view")) {
        value->flags |= VALUE_VIEW;
        if (!parse_integer(cursor, &value->view.offset) || !expect(cursor, "pitch") ||
            !parse_integer(cursor, &value->view.pitch))
            return false;
    }
    return (source >= NO_VALUE && source < values) || parse_fail(cursor, "a source that stands above");
}

/* The numbers that a constant holds, where they stand there. */
static bool parse_contents(struct cursor *cursor, struct program *program, int32_t value)
{
    const int64_t count = value_elements(&program->values[value]);
    int32_t *contents;
    bool fits = true;

    if (!accept(cursor, "holds"))
        return true;
    if (program->values[value].kind != VALUE_CONSTANT || program->values[value].dtype != LLMRUN_I32)
        return parse_fail(cursor, "contents of a constant i32 alone");
    if (count > (int64_t)strlen(cursor->at))
        return parse_fail(cursor, "a number for each element");
    contents = calloc((size_t)count + 1, sizeof *contents);
    if (contents == NULL)
        return parse_fail(cursor, "more memory");
    for (int64_t i = 0; fits && i < count; i++) {
        int64_t number = 0;

        fits = (i == 0 || expect(cursor, ",")) && parse_integer(cursor, &number) &&
               ((number >= INT32_MIN && number <= INT32_MAX) || parse_fail(cursor, "a number of 32 bits"));
        contents[i] = (int32_t)number;
    }
    fits = fits && (program_set_contents(program, value, contents) || parse_fail(cursor, "more memory"));
    free(contents);
    return fits;
}

static bool parse_value(struct cursor *cursor, struct program *program)
{
    char *name = NULL;
    int64_t shape[LLMRUN_MAX_RANK];
    uint32_t rank;
    int kind, dtype;
    int32_t id = NO_VALUE;
    bool fits;

    if (!expect(cursor, "=") || (kind = parse_choice(cursor, kind_name, VALUE_KINDS, "a kind of value")) < 0 ||
        (dtype = 1 + parse_choice(cursor, type_name, LLMRUN_DTYPES - 1, "an element type")) < 1 ||
        !parse_shape(cursor, (uint32_t)dtype, &rank, shape) || !parse_name(cursor, &name))
        return false;
    fits = program_find(program, name) == NO_VALUE || parse_fail(cursor, "a name that no other value has");
    if (fits) {
        id = program_add_value(program, name, (enum value_kind)kind, (uint32_t)dtype, rank, shape);
        fits = id != NO_VALUE || parse_fail(cursor, "more memory");
    }
    free(name);
    return fits && parse_flags(cursor, id, &program->values[id]) && parse_contents(cursor, program, id) &&
           expect(cursor, "\n");
}

static bool parse_attribute(struct cursor *cursor, enum attribute_type type, void *at)
{
    char *end;

    skip_blanks(cursor);
    if (type == ATTRIBUTE_F32) {
        float real = strtof(cursor->at, &end);

        memcpy(at, &real, 4);
    } else if (type == ATTRIBUTE_U32) {
        uint32_t narrow = (uint32_t)strtoul(cursor->at, &end, 10);

        memcpy(at, &narrow, 4);
    } else if (type == ATTRIBUTE_I64) {
        int64_t wide = (int64_t)strtoll(cursor->at, &end, 10);

        memcpy(at, &wide, 8);
    } else {
        uint64_t wide = (uint64_t)strtoull(cursor->at, &end, 10);

        memcpy(at, &wide, 8);
    }
    if (end == cursor->at || *cursor->at == '\n')
        return parse_fail(cursor, "the value of an attribute");
    cursor->at = end;
    return true;
}

/* Those that a later version brought may be missing: they are 0 then. */
static bool parse_attributes(struct cursor *cursor, const struct op_info *info, uint8_t *attributes)
{
    const struct attribute_info *at = info->attributes;
    uint32_t i = 0;

    if (at->name == NULL || (op_is_addition(info, at->name) && !accept(cursor, "{")))
        return true;
    if (!op_is_addition(info, at->name) && !expect(cursor, "{"))
        return false;
    do {
        while (at[i].name != NULL && !accept(cursor, at[i].name)) {
            if (!op_is_addition(info, at[i].name))
                return expect(cursor, at[i].name);
            i++;
        }
        if (at[i].name == NULL)
            return parse_fail(cursor, "no further attribute");
        if (!expect(cursor, ":") || !parse_attribute(cursor, at[i].type, attributes + op_attribute_offset(info, i)))
            return false;
        i++;
    } while (accept(cursor, ","));
    while (at[i].name != NULL && op_is_addition(info, at[i].name))
        i++;
    return expect(cursor, at[i].name == NULL ? "}" : at[i].name);
}

static bool parse_operands(struct cursor *cursor, const struct program *program, const struct op_info *info,
                           int32_t *operands, uint32_t *accumulate)
{
    bool arrow = false;

    if (!expect(cursor, "("))
        return false;
    for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
        int64_t id = NO_VALUE;

        if (!arrow && info->operands[i].direction == OPERAND_OUT) {
            if (!expect(cursor, "->"))
                return false;
            arrow = true;
        } else if (i > 0 && !expect(cursor, ","))
            return false;
        if (!accept(cursor, "_")) {
            *accumulate |= accept(cursor, "+") ? 1u << i : 0;
            if (!expect(cursor, "%") || !parse_integer(cursor, &id))
                return false;
            if (id < 0 || id >= program->value_count)
                return parse_fail(cursor, "a value that is declared above");
        }
        operands[i] = (int32_t)id;
    }
    return expect(cursor, ")");
}

static bool parse_op(struct cursor *cursor, struct program *program)
{
    const struct op_info *info;
    int32_t operands[LLMRUN_MAX_OPERANDS];
    uint8_t attributes[OP_MAX_ATTRIBUTE_BYTES] = {0};
    struct op op = {.layer = -1};
    int64_t length = word_length(cursor), layer;
    int role;

    info = op_info_by_name(cursor->at, length);
    if (info == NULL)
        return parse_fail(cursor, "the name of an op");
    cursor->at += length;
    op.op = info->id;
    op.version = info->version;
    if (!parse_operands(cursor, program, info, operands, &op.accumulate) ||
        !parse_attributes(cursor, info, attributes) ||
        (role = parse_choice(cursor, role_name, ROLES, "a role: F, B, W or U")) < 0)
        return false;
    op.role = (uint8_t)role;
    op.recomputed = accept(cursor, "again");
    if (accept(cursor, "layer")) {
        if (!parse_integer(cursor, &layer) || layer < 0 || layer > INT16_MAX)
            return parse_fail(cursor, "a layer number");
        op.layer = (int16_t)layer;
    }
    if (program_add_op(program, &op, operands, attributes) < 0)
        return parse_fail(cursor, "more memory");
    return expect(cursor, "\n");
}

static bool parse_section(struct cursor *cursor, struct program *program)
{
    int64_t chunk, layer = -1, level = 0, segment = 0;
    int kind = parse_choice(cursor, section_name, SECTION_KINDS, "a kind of section");
    struct section key;

    if (kind < 0 || !parse_integer(cursor, &chunk))
        return false;
    if (chunk < 0 || chunk > INT32_MAX)
        return parse_fail(cursor, "the number of a chunk");
    if (accept(cursor, "layer") && (!parse_integer(cursor, &layer) || layer < 0 || layer > INT16_MAX))
        return parse_fail(cursor, "a layer number");
    if (accept(cursor, "level") && (!parse_integer(cursor, &level) || level < 1 || level > UINT8_MAX))
        return parse_fail(cursor, "the level of a section, 1 to 255");
    if (accept(cursor, "segment") && (!parse_integer(cursor, &segment) || segment < 1 || segment > INT32_MAX))
        return parse_fail(cursor, "the segment of a section");
    if (!expect(cursor, "\n"))
        return false;
    key = (struct section){.kind = (uint8_t)kind,
                           .level = (uint8_t)level,
                           .layer = (int16_t)layer,
                           .chunk = (int32_t)chunk,
                           .segment = (int32_t)segment};
    cursor->status = program_add_section(program, &key, cursor->error);
    return cursor->status == STATUS_OK;
}

int program_parse(struct program *program, const char *text, struct error *error)
{
    struct cursor cursor = {text, 1, error, STATUS_OK};
    int64_t id;

    if (!expect(&cursor, "llmrun-program 1") || !expect(&cursor, "\n"))
        return cursor.status;
    while (accept(&cursor, "%")) {
        if (!parse_integer(&cursor, &id))
            return cursor.status;
        if (id != program->value_count) {
            parse_fail(&cursor, "values numbered in order");
            return cursor.status;
        }
        if (!parse_value(&cursor, program))
            return cursor.status;
    }
    while (cursor.status == STATUS_OK) {
        skip_blanks(&cursor);
        if (*cursor.at == '\0')
            break;
        if (accept(&cursor, "section"))
            parse_section(&cursor, program);
        else if (program->section_count == 0)
            parse_fail(&cursor, "a value or a section");
        else
            parse_op(&cursor, program);
    }
    return cursor.status;
}
