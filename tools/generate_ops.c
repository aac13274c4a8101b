/* Writes the files that are made from the op table: `generate_ops header > include/llmrun/ops.h`,
 * `generate_ops document > docs/ops.md`. */
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
#define OP_END(name) puts("");
#include "program/ops.def"
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "header") == 0)
        write_header();
    else if (argc == 2 && strcmp(argv[1], "document") == 0)
        write_document();
    else {
        fputs("usage: generate_ops header | document\n", stderr);
        return 2;
    }
    return 0;
}
