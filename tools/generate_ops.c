/* Writes the files that are made from the op table: `generate_ops header > include/llmrun/ops.h`,
 * `generate_ops rows > include/llmrun/op_rows.h`, `generate_ops document > docs/ops.md`. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static void print_upper(const char *text)
{
    for (; *text != '\0'; text++)
        putchar(toupper((unsigned char)*text));
}

static const char *c_type(const char *type)
{
    if (strcmp(type, "u32") == 0)
        return "uint32_t";
    if (strcmp(type, "u64") == 0)
        return "uint64_t";
    if (strcmp(type, "i64") == 0)
        return "int64_t";
    return "float";
}

static void header_begin(void)
{
    puts("/* Generated from core/program/ops.def: do not edit. llmrun plugin contract: the ops.\n"
         " *\n"
         " * For each op: its number and version, the indices of its operands in a descriptor, and its attributes.\n"
         " * docs/ops.md says what each computes, docs/numerics.md in which order when LLMRUN_OP_EXACT is set. */\n"
         "/* clang-format off */\n"
         "#ifndef LLMRUN_OPS_H\n#define LLMRUN_OPS_H\n\n#include <stdint.h>\n\n"
         "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n"
         "#define LLMRUN_ACTIVATION_NONE 0\n"
         "#define LLMRUN_ACTIVATION_GELU 1 /* the tanh form */\n\n"
         "#define LLMRUN_INIT_CONSTANT 0\n#define LLMRUN_INIT_NORMAL   1\n#define LLMRUN_INIT_UNIFORM  2\n");
}

/* First walk: numbers and operand indices. Second: attribute structs. */
static const char *current_op;
static int operand_index;
static int attribute_count;

static void header_operand(const char *name)
{
    printf("#define LLMRUN_");
    print_upper(current_op);
    putchar('_');
    print_upper(name);
    printf(" %d\n", operand_index++);
}

static void header_op_begin(const char *name, int id, int version, const char *summary)
{
    current_op = name;
    operand_index = 0;
    printf("/* %s */\n#define LLMRUN_OP_", summary);
    print_upper(name);
    printf(" %d\n#define LLMRUN_OP_", id);
    print_upper(name);
    printf("_VERSION %d\n", version);
}

static void header_op_end(void)
{
    printf("#define LLMRUN_");
    print_upper(current_op);
    printf("_OPERANDS %d\n\n", operand_index);
}

static int op_count;

static void write_header(void)
{
    header_begin();
#define OP_BEGIN(name, id, version, backward, flops, flags, summary)                                                   \
    header_op_begin(#name, id, version, summary);                                                                      \
    op_count = id + 1;
#define OPERAND(direction, name, class, presence, axes) header_operand(#name);
#define ATTRIBUTE(type, name, role, meaning)
#define OP_END(name) header_op_end();
#include "program/ops.def"
    printf("#define LLMRUN_OPS %d /* one past the last */\n\n", op_count);
#define OP_BEGIN(name, id, version, backward, flops, flags, summary)                                                   \
    current_op = #name;                                                                                                \
    attribute_count = 0;
#define OPERAND(direction, name, class, presence, axes)
#define ATTRIBUTE(type, name, role, meaning)                                                                           \
    if (attribute_count++ == 0)                                                                                        \
        printf("struct llmrun_%s_attributes {\n", current_op);                                                         \
    printf("    %s %s; /* %s */\n", c_type(#type), #name, meaning);
#define OP_END(name)                                                                                                   \
    if (attribute_count > 0)                                                                                           \
        puts("};\n");
#include "program/ops.def"
    puts("#ifdef __cplusplus\n}\n#endif\n\n#endif");
}

/* All ops, gathered before they are printed: SINCE stands behind the rows that it dates. */
struct row {
    const char *name;
    const char *words[4]; /* of an operand its direction, class, presence and axes; of an attribute its type and role */
    int since;
};

static struct op {
    const char *name;
    int id, version;
    struct row operands[24], attributes[16];
    int operand_count, attribute_count;
} ops[256];
static int ops_gathered;

#define LAST_OP ops[ops_gathered - 1]

static void gather_ops(void)
{
#define OP_BEGIN(name, id, version, backward, flops, flags, summary)                                                   \
    ops[ops_gathered++] = (struct op){#name, id, version, {{0}}, {{0}}, 0, 0};
#define OPERAND(direction, name, class, presence, axes)                                                                \
    LAST_OP.operands[LAST_OP.operand_count++] = (struct row){#name, {#direction, #class, #presence, axes}, 0};
#define ATTRIBUTE(type, name, role, meaning)                                                                           \
    LAST_OP.attributes[LAST_OP.attribute_count++] = (struct row){#name, {#type, role}, 0};
#define SINCE(version, row_name)                                                                                       \
    for (int i = 0; i < 24 + 16; i++) {                                                                                \
        struct row *row = i < 24 ? &LAST_OP.operands[i] : &LAST_OP.attributes[i - 24];                                 \
        if (row->name != NULL && strcmp(row->name, #row_name) == 0)                                                    \
            row->since = version;                                                                                      \
    }
#define OP_END(name)
#include "program/ops.def"
}

/* The version before the first that added a row: what it knows is what all rows without a date say. */
static int oldest_version(const struct op *op)
{
    int oldest = op->version;

    for (int i = 0; i < op->operand_count + op->attribute_count; i++) {
        const int since = i < op->operand_count ? op->operands[i].since : op->attributes[i - op->operand_count].since;

        if (since > 0 && since - 1 < oldest)
            oldest = since - 1;
    }
    return oldest;
}

static int attribute_bytes(const struct op *op)
{
    int bytes = 0;

    for (int i = 0; i < op->attribute_count; i++)
        bytes += strcmp(op->attributes[i].words[0] + 1, "64") == 0 ? 8 : 4;
    return bytes;
}

static void print_op(const struct op *op)
{
    int offset = 0;

    printf("    {\"%s\", %d, %d, %d,\n", op->name, op->id, oldest_version(op), op->version);
    for (int i = 0; i < op->operand_count; i++) {
        const struct row *row = &op->operands[i];

        printf("     %s{\"%s\", \"%s\", \"%s\", \"%s\", \"%s\", %d}%s\n", i == 0 ? "{" : " ", row->name, row->words[0],
               row->words[1], row->words[2], row->words[3], row->since, i + 1 == op->operand_count ? "}," : ",");
    }
    for (int i = 0; i < op->attribute_count; i++) {
        const struct row *row = &op->attributes[i];

        printf("     %s{\"%s\", \"%s\", \"%s\", %d, %d}%s\n", i == 0 ? "{" : " ", row->name, row->words[0],
               row->words[1], offset, row->since, i + 1 == op->attribute_count ? "}}," : ",");
        offset += strcmp(row->words[0] + 1, "64") == 0 ? 8 : 4;
    }
    if (op->attribute_count == 0)
        puts("     {{NULL, NULL, NULL, 0, 0}}},");
}

static void write_rows(void)
{
    int operands = 0, attributes = 0, bytes = 0;

    gather_ops();
    for (int i = 0; i < ops_gathered; i++) {
        operands = ops[i].operand_count > operands ? ops[i].operand_count : operands;
        attributes = ops[i].attribute_count > attributes ? ops[i].attribute_count : attributes;
        bytes = attribute_bytes(&ops[i]) > bytes ? attribute_bytes(&ops[i]) : bytes;
    }
    puts("/* Generated from core/program/ops.def: do not edit. llmrun plugin contract: the op table as data.\n"
         " *\n"
         " * llmrun/op_check.h holds a description to it. The words are explained in core/program/ops.def. */\n"
         "/* clang-format off */\n"
         "#ifndef LLMRUN_OP_ROWS_H\n#define LLMRUN_OP_ROWS_H\n\n#include <stddef.h>\n#include <stdint.h>\n");
    printf("#define LLMRUN_ROW_OPERANDS %d /* the most that an op has */\n"
           "#define LLMRUN_ROW_ATTRIBUTES %d\n"
           "#define LLMRUN_OP_MAX_ATTRIBUTE_BYTES %d\n\n",
           operands, attributes, (bytes + 7) / 8 * 8);
    puts("/* `since`: the first version of the op that has it; 0: all have it. */\n"
         "struct llmrun_operand_row {\n"
         "    const char *name;\n"
         "    const char *direction; /* in, inout, out */\n"
         "    const char *type; /* compute, sum, wide, f32, i32, u32, any */\n"
         "    const char *presence; /* required, optional, root */\n"
         "    const char *axes;\n"
         "    uint16_t since;\n};\n\n"
         "struct llmrun_attribute_row {\n"
         "    const char *name;\n"
         "    const char *type; /* u32, i64, u64, f32 */\n"
         "    const char *role;\n"
         "    uint16_t offset; /* in struct llmrun_<op>_attributes */\n"
         "    uint16_t since;\n};\n\n"
         "/* Operands and attributes end at the first without a name, or with their array. */\n"
         "struct llmrun_op_row {\n"
         "    const char *name;\n"
         "    uint16_t op;\n"
         "    uint16_t oldest; /* version; those up to `version` have fewer operands and attributes at the end */\n"
         "    uint16_t version;\n"
         "    struct llmrun_operand_row operands[LLMRUN_ROW_OPERANDS];\n"
         "    struct llmrun_attribute_row attributes[LLMRUN_ROW_ATTRIBUTES];\n};\n\n"
         "static const struct llmrun_op_row llmrun_op_rows[] = {");
    for (int i = 0; i < ops_gathered; i++)
        print_op(&ops[i]);
    puts("};\n\n#endif");
}

static void write_document(void)
{
    puts("# Ops\n\nGenerated from `core/program/ops.def`: do not edit. Classes and axes are explained there; the order "
         "of each\n"
         "computation under exact numerics is in [numerics.md](numerics.md).\n");
#define OP_BEGIN(name, id, version, backward, flops, flags, summary)                                                   \
    printf(                                                                                                            \
        "## %s\n\n%s.\n\nId %d, version %d; backward rule: %s.\n\n| operand | direction | class | presence | axes |\n" \
        "|---|---|---|---|---|\n",                                                                                     \
        #name, summary, id, version, #backward);                                                                       \
    attribute_count = 0;
#define OPERAND(direction, name, class, presence, axes)                                                                \
    printf("| %s | %s | %s | %s | `%s` |\n", #name, #direction, #class, #presence, axes);
#define ATTRIBUTE(type, name, role, meaning)                                                                           \
    if (attribute_count++ == 0)                                                                                        \
        puts("\n| attribute | type | meaning |\n|---|---|---|");                                                       \
    printf("| %s | %s | %s |\n", #name, #type, meaning);
#define SINCE(version, name) printf("\nSince version %d: %s.\n", version, #name);
#define OP_END(name)         puts("");
#include "program/ops.def"
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "header") == 0)
        write_header();
    else if (argc == 2 && strcmp(argv[1], "rows") == 0)
        write_rows();
    else if (argc == 2 && strcmp(argv[1], "document") == 0)
        write_document();
    else {
        fputs("usage: generate_ops header | rows | document\n", stderr);
        return 2;
    }
    return 0;
}
