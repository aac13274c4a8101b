/* llmrun plugin contract: is the description of an op what the op table says? For a plugin's own use, C99 and C++17;
 * the host calls none of this. Needs <stdarg.h>, <stdio.h> and <string.h> beside the other headers.
 *
 * A query begins with llmrun_op_check; what it lets through has known versions and flags, the right operands and
 * attributes, element types of the right class and extents that fit each other. What the plugin itself cannot do
 * (element types, strides, alignment, ranges of the other attributes) remains to be looked at. */
#ifndef LLMRUN_OP_CHECK_H
#define LLMRUN_OP_CHECK_H

#include <llmrun/backend.h>
#include <llmrun/op_rows.h>
#include <llmrun/ops.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* NULL for an op that is not known. */
static inline const struct llmrun_op_row *llmrun_op_row_find(uint32_t op)
{
    size_t i;

    for (i = 0; i < sizeof(llmrun_op_rows) / sizeof(llmrun_op_rows[0]); i++)
        if (llmrun_op_rows[i].op == op)
            return &llmrun_op_rows[i];
    return NULL;
}

/* "matmul"; NULL for an op that is not known. */
static inline const char *llmrun_op_name(uint32_t op)
{
    const struct llmrun_op_row *row = llmrun_op_row_find(op);

    return row != NULL ? row->name : NULL;
}

/* "bf16"; "unknown" for a number that is no element type. */
static inline const char *llmrun_dtype_name(uint32_t dtype)
{
    static const char *const names[LLMRUN_DTYPES] = {
        "none", "f64", "f32", "bf16", "f16", "i32", "u32", "u8", "e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e4m3_ieee"};

    return dtype < LLMRUN_DTYPES ? names[dtype] : "unknown";
}

/* What an op has in one of its versions. */
static inline uint32_t llmrun_op_operand_count(const struct llmrun_op_row *row, uint32_t version)
{
    uint32_t count = 0;

    while (count < LLMRUN_ROW_OPERANDS && row->operands[count].name != NULL && row->operands[count].since <= version)
        count++;
    return count;
}

static inline uint32_t llmrun_attribute_type_bytes(const struct llmrun_attribute_row *attribute)
{
    return strcmp(attribute->type, "u64") == 0 || strcmp(attribute->type, "i64") == 0 ? 8 : 4;
}

static inline uint32_t llmrun_op_attribute_count(const struct llmrun_op_row *row, uint32_t version)
{
    uint32_t count = 0;

    while (count < LLMRUN_ROW_ATTRIBUTES && row->attributes[count].name != NULL &&
           row->attributes[count].since <= version)
        count++;
    return count;
}

static inline uint32_t llmrun_op_attribute_bytes(const struct llmrun_op_row *row, uint32_t version)
{
    const uint32_t count = llmrun_op_attribute_count(row, version);

    return count == 0 ? 0
                      : row->attributes[count - 1].offset + llmrun_attribute_type_bytes(&row->attributes[count - 1]);
}

/* What follows is how llmrun_op_check works. */

/* Of a dimension or of the role of an attribute, which are products: "(b s^)" has the factors b and s. */
struct llmrun_op_factor {
    char name[3];   /* "s", or "s/": as many as s has parts */
    char tied;      /* the letter that it is split together with (`p~n` with n), else its own */
    int64_t number; /* of "5", else 0 */
};

/* Takes the factor at `text`; where the next one is looked for, NULL when there was none before `end`. */
static inline const char *llmrun_op_factor_next(const char *text, const char *end, struct llmrun_op_factor *factor)
{
    memset(factor, 0, sizeof(*factor));
    while (text < end && strchr("( )^?", *text) != NULL)
        text++;
    if (text >= end)
        return NULL;
    for (; text < end && *text >= '0' && *text <= '9'; text++)
        factor->number = factor->number * 10 + (*text - '0');
    if (factor->number > 0)
        return text;
    factor->name[0] = factor->tied = *text++;
    if (text + 1 < end && *text == '~') {
        factor->tied = text[1];
        text += 2;
    }
    if (text < end && *text == '/')
        factor->name[1] = *text++;
    return text;
}

/* Dimension `index` of an annotation, NULL behind the last: "(b s) c | + k" has "(b s)" and "c". */
static inline const char *llmrun_op_axis(const char *axes, uint32_t index, const char **end)
{
    for (;; index--, axes = *end) {
        axes += strspn(axes, " ");
        if (*axes == '\0' || *axes == '|')
            return NULL;
        *end = axes + (*axes == '(' ? strcspn(axes, ")") + 1 : strcspn(axes, " |"));
        if (index == 0)
            return axes;
    }
}

/* The dimensions that have a name: all but "...". */
static inline uint32_t llmrun_op_axis_count(const char *axes)
{
    const char *axis, *end;
    uint32_t count = 0;

    while ((axis = llmrun_op_axis(axes, count, &end)) != NULL && *axis != '.')
        count++;
    return count;
}

/* One description on its way through the check. */
struct llmrun_op_case {
    const struct llmrun_op *op;
    const struct llmrun_op_row *row;
    uint32_t attribute_count;
    uint32_t compute, sum, wide; /* the type of the operands of these classes, LLMRUN_NONE where there are none */
    /* What is known so far, by the name of a factor; of factors that are not known one by one, by all of them: "bs". */
    struct {
        char name[8];
        int64_t extent;
    } extents[32];
    uint32_t extent_count;
    const char *kind, *name; /* what is looked at: ": operand ", "x" */
    char *reason;
    size_t reason_bytes;
};

static inline int32_t llmrun_op_refuse(const struct llmrun_op_case *c, int32_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Returns `code` with a sentence: "add: operand b is absent". */
static inline int32_t llmrun_op_refuse(const struct llmrun_op_case *c, int32_t code, const char *format, ...)
{
    char problem[160];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(problem, sizeof(problem), format, arguments);
    va_end(arguments);
    snprintf(c->reason, c->reason_bytes, "%s%s%s %s", c->row->name, c->kind, c->name, problem);
    return code;
}

/* 0: not known. */
static inline int64_t llmrun_op_extent(const struct llmrun_op_case *c, const char *name)
{
    uint32_t i;

    for (i = 0; i < c->extent_count; i++)
        if (strcmp(c->extents[i].name, name) == 0)
            return c->extents[i].extent;
    return 0;
}

static inline int64_t llmrun_op_multiply(int64_t a, int64_t b)
{
    return a > INT64_MAX / b ? INT64_MAX : a * b;
}

/* The product that stands at `text` is `extent` (> 0): a factor that is not known yet follows from the others, several
 * are kept together. 0 when it fits, else what it must be; -n: a multiple of n. */
static inline int64_t llmrun_op_relate(struct llmrun_op_case *c, const char *text, const char *end, int64_t extent)
{
    struct llmrun_op_factor factor;
    char unknown[8] = "";
    size_t length = 0;
    int64_t product = 1, known;

    while ((text = llmrun_op_factor_next(text, end, &factor)) != NULL) {
        known = factor.number > 0 ? factor.number : llmrun_op_extent(c, factor.name);
        if (known > 0) {
            product = llmrun_op_multiply(product, known);
        } else if (length + 2 < sizeof(unknown)) {
            memcpy(unknown + length, factor.name, 2);
            length += strlen(factor.name);
        }
    }
    if (length == 0)
        return extent == product ? 0 : product;
    if (extent % product != 0)
        return -product;
    known = llmrun_op_extent(c, unknown);
    if (known > 0)
        return known == extent / product ? 0 : llmrun_op_multiply(known, product);
    if (c->extent_count < sizeof(c->extents) / sizeof(c->extents[0])) {
        memcpy(c->extents[c->extent_count].name, unknown, sizeof(unknown));
        c->extents[c->extent_count++].extent = extent / product;
    }
    return 0;
}

/* The same for one name: a letter, or with `parts` its parts. */
static inline int64_t llmrun_op_relate_name(struct llmrun_op_case *c, char letter, int parts, int64_t extent)
{
    const char name[2] = {letter, '/'};

    return llmrun_op_relate(c, name, name + 1 + parts, extent);
}

/* An attribute of an integer type. */
static inline int64_t llmrun_op_number(const struct llmrun_op_case *c, const struct llmrun_attribute_row *attribute)
{
    const char *at = (const char *)c->op->attributes + attribute->offset;
    uint32_t narrow;
    int64_t wide;

    if (llmrun_attribute_type_bytes(attribute) == 8) {
        memcpy(&wide, at, sizeof(wide));
        return wide;
    }
    memcpy(&narrow, at, sizeof(narrow));
    return narrow;
}

/* The letters behind the word of a role: "k" for "parts" of "parts k". NULL for another role. */
static inline const char *llmrun_op_role(const struct llmrun_attribute_row *attribute, const char *word)
{
    const size_t length = strlen(word);

    return strncmp(attribute->role, word, length) == 0 ? attribute->role + length + (attribute->role[length] == ' ')
                                                       : NULL;
}

/* What an attribute says of extents: "extent g r" is the product of these, "parts k" the number of "k/". */
static inline int32_t llmrun_op_relate_attribute(struct llmrun_op_case *c, const struct llmrun_attribute_row *attribute)
{
    const char *extent = llmrun_op_role(attribute, "extent"), *parts = llmrun_op_role(attribute, "parts");
    int64_t number, wanted = 0;
    int least;

    if (extent == NULL && parts == NULL && llmrun_op_role(attribute, "valid") == NULL)
        return LLMRUN_OK;
    number = llmrun_op_number(c, attribute);
    least = extent != NULL || parts != NULL; /* of a part of the vocabulary none may be valid */
    if (number < least)
        return llmrun_op_refuse(c, LLMRUN_ERROR_ARGUMENT, "is %lld and must be at least %d", (long long)number, least);
    if (extent != NULL)
        wanted = llmrun_op_relate(c, extent, extent + strlen(extent), number);
    else if (parts != NULL)
        wanted = llmrun_op_relate_name(c, *parts, 1, number);
    if (wanted == 0)
        return LLMRUN_OK;
    return llmrun_op_refuse(c, LLMRUN_ERROR_ARGUMENT, "is %lld and must be %s%lld", (long long)number,
                            wanted < 0 ? "a multiple of " : "", (long long)(wanted < 0 ? -wanted : wanted));
}

/* Rank and extents of one operand by its annotation. */
static inline int32_t llmrun_op_relate_operand(struct llmrun_op_case *c, const char *axes,
                                               const struct llmrun_tensor *tensor)
{
    const uint32_t count = llmrun_op_axis_count(axes);
    const char *axis, *end = NULL;
    const int open = llmrun_op_axis(axes, count, &end) != NULL;
    uint32_t absent = 0, i;
    int64_t wanted = 0;

    axis = llmrun_op_axis(axes, 0, &end);
    if (axis != NULL && end[-1] == '?' && tensor->rank + 1 == count) {
        absent = 1; /* and 1 in all operands */
        wanted = llmrun_op_relate(c, axis, end, 1) != 0 ? count : 0;
    } else if (open ? tensor->rank < count : tensor->rank != count)
        wanted = open ? -(int64_t)count : count;
    else if (open)
        wanted = llmrun_op_relate_name(c, '#', 0, tensor->rank);
    if (wanted != 0)
        return llmrun_op_refuse(c, LLMRUN_ERROR_ARGUMENT, "has rank %u and must have %s%lld ('%s')",
                                (unsigned)tensor->rank, wanted < 0 ? "at least " : "",
                                (long long)(wanted < 0 ? -wanted : wanted), axes);
    for (i = 0; i < tensor->rank; i++) {
        /* Dimensions of an open annotation are known by their place. */
        if (i + absent >= count)
            wanted = llmrun_op_relate_name(c, (char)('A' + i), 0, tensor->shape[i]);
        else if ((axis = llmrun_op_axis(axes, i + absent, &end)) != NULL)
            wanted = llmrun_op_relate(c, axis, end, tensor->shape[i]);
        if (wanted != 0)
            return llmrun_op_refuse(c, LLMRUN_ERROR_ARGUMENT,
                                    "has %lld elements in dimension %u and must have %s%lld ('%s')",
                                    (long long)tensor->shape[i], (unsigned)i, wanted < 0 ? "a multiple of " : "",
                                    (long long)(wanted < 0 ? -wanted : wanted), axes);
    }
    return LLMRUN_OK;
}

/* Parts divide their letter and those tied to it, or the product that has them; what is valid is at most all. For one
 * attribute and one operand, when all extents are known. */
static inline int32_t llmrun_op_check_parts(const struct llmrun_op_case *c,
                                            const struct llmrun_attribute_row *attribute,
                                            const struct llmrun_operand_row *operand,
                                            const struct llmrun_tensor *tensor)
{
    const char *parts = llmrun_op_role(attribute, "parts"), *valid = llmrun_op_role(attribute, "valid");
    const uint32_t count = llmrun_op_axis_count(operand->axes), absent = tensor->rank < count;
    struct llmrun_op_factor factor;
    const char *axis, *end = NULL;
    uint32_t i;

    for (i = 0; (parts != NULL || valid != NULL) && i < count; i++)
        for (axis = llmrun_op_axis(operand->axes, i, &end);
             axis != NULL && (axis = llmrun_op_factor_next(axis, end, &factor)) != NULL;) {
            const int64_t number = llmrun_op_number(c, attribute), known = llmrun_op_extent(c, factor.name);
            const int64_t extent = known > 0 ? known : tensor->shape[i - absent];

            if (factor.name[1] == '/' || factor.tied != (parts != NULL ? *parts : *valid) ||
                (parts != NULL ? extent % number == 0 : number <= extent))
                continue;
            return llmrun_op_refuse(c, LLMRUN_ERROR_ARGUMENT, "is %lld and must %s %lld, %s of operand %s ('%s')",
                                    (long long)number, parts != NULL ? "divide" : "be at most", (long long)extent,
                                    factor.name, operand->name, operand->axes);
        }
    return LLMRUN_OK;
}

/* The classes of operands: which element types each stands for; all of a class have one. */
static inline int llmrun_op_takes(const struct llmrun_op_case *c, const char *type, uint32_t dtype)
{
    if (strcmp(type, "compute") == 0)
        return dtype == c->compute && dtype != LLMRUN_I32 && dtype != LLMRUN_U32 && dtype != LLMRUN_U8;
    if (strcmp(type, "sum") == 0)
        return dtype == c->sum && (dtype == LLMRUN_F32 || dtype == c->compute);
    if (strcmp(type, "wide") == 0)
        return dtype == c->wide &&
               (dtype == LLMRUN_F64 || (dtype == LLMRUN_F32 && (c->op->flags & LLMRUN_OP_EXACT) == 0));
    return strcmp(type, "any") == 0 || strcmp(type, llmrun_dtype_name(dtype)) == 0;
}

/* What the sentence says that an operand of the class must have. */
static inline const char *llmrun_op_wanted(const struct llmrun_op_case *c, const char *type, uint32_t dtype)
{
    if (strcmp(type, "compute") == 0)
        return dtype == c->compute ? "a float type" : llmrun_dtype_name(c->compute);
    if (strcmp(type, "sum") == 0)
        return dtype == c->sum ? "f32 or the compute type" : "that of the other sums";
    if (strcmp(type, "wide") == 0)
        return dtype == c->wide ? "f64, or f32 where exact is not asked for" : "that of the others";
    return type;
}

/* The type of the first operand of a class that is there. */
static inline uint32_t llmrun_op_first(const struct llmrun_op_case *c, const char *type)
{
    uint32_t i;

    for (i = 0; i < c->op->operand_count; i++)
        if (strcmp(c->row->operands[i].type, type) == 0 && c->op->operands[i].dtype != LLMRUN_NONE)
            return c->op->operands[i].dtype;
    return LLMRUN_NONE;
}

/* One operand by itself. */
static inline int32_t llmrun_op_check_operand(const struct llmrun_op_case *c, const struct llmrun_operand_row *operand,
                                              const struct llmrun_tensor *tensor)
{
    int64_t elements = 1;
    uint32_t i;

    if (tensor->dtype == LLMRUN_NONE)
        return strcmp(operand->presence, "required") != 0
                   ? LLMRUN_OK
                   : llmrun_op_refuse(c, LLMRUN_ERROR_ARGUMENT, "is absent and must be there");
    if (tensor->dtype >= LLMRUN_DTYPES)
        return llmrun_op_refuse(c, LLMRUN_ERROR_UNSUPPORTED, "has the unknown element type %u",
                                (unsigned)tensor->dtype);
    if (!llmrun_op_takes(c, operand->type, tensor->dtype))
        return llmrun_op_refuse(
            c, LLMRUN_ERROR_ARGUMENT, "has the element type %s and must have %s%s", llmrun_dtype_name(tensor->dtype),
            llmrun_op_wanted(c, operand->type, tensor->dtype),
            strcmp(operand->type, "compute") == 0 && tensor->dtype != c->compute ? ", the compute type" : "");
    if (tensor->rank > LLMRUN_MAX_RANK)
        return llmrun_op_refuse(c, LLMRUN_ERROR_ARGUMENT, "has rank %u; the most is %d", (unsigned)tensor->rank,
                                LLMRUN_MAX_RANK);
    for (i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] < 1)
            return llmrun_op_refuse(c, LLMRUN_ERROR_ARGUMENT, "has %lld elements in dimension %u; the least is 1",
                                    (long long)tensor->shape[i], (unsigned)i);
        elements = llmrun_op_multiply(elements, tensor->shape[i]);
    }
    return elements <= INT64_MAX / 8
               ? LLMRUN_OK
               : llmrun_op_refuse(c, LLMRUN_ERROR_ARGUMENT, "has more elements than 2^63 bytes can hold");
}

/* Version, flags, counts and the mask of what is added to. */
static inline int32_t llmrun_op_check_head(const struct llmrun_op_case *c, uint32_t count, uint32_t bytes)
{
    const uint32_t flags = LLMRUN_OP_EXACT | LLMRUN_OP_DETERMINISTIC;
    const struct llmrun_op *op = c->op;
    uint32_t i;

    if (op->version < c->row->oldest || op->version > c->row->version)
        return llmrun_op_refuse(c, LLMRUN_ERROR_UNSUPPORTED, "version %u is unknown; versions %u to %u are known",
                                (unsigned)op->version, (unsigned)c->row->oldest, (unsigned)c->row->version);
    if ((op->flags & ~flags) != 0)
        return llmrun_op_refuse(c, LLMRUN_ERROR_UNSUPPORTED, "with flags %#x is unknown; flags %#x are known",
                                (unsigned)op->flags, (unsigned)flags);
    if (op->operand_count != count || op->attribute_bytes != bytes)
        return llmrun_op_refuse(c, LLMRUN_ERROR_ARGUMENT, "has %u operands and %u bytes of attributes, not %u and %u",
                                (unsigned)count, (unsigned)bytes, (unsigned)op->operand_count,
                                (unsigned)op->attribute_bytes);
    if (op->operands == NULL || (op->attributes == NULL && bytes > 0))
        return llmrun_op_refuse(c, LLMRUN_ERROR_ARGUMENT, "has %s, not NULL",
                                op->operands == NULL ? "operands" : "attributes");
    for (i = 0; i < 32; i++)
        if ((op->accumulate >> i & 1u) != 0 && (i >= count || strcmp(c->row->operands[i].direction, "out") != 0))
            return llmrun_op_refuse(c, LLMRUN_ERROR_ARGUMENT, "cannot add into operand %s: only into outputs",
                                    i < count ? c->row->operands[i].name : "that is not there");
    return LLMRUN_OK;
}

/* What attributes and operands say of extents, until nothing new follows from it. */
static inline int32_t llmrun_op_relate_all(struct llmrun_op_case *c)
{
    uint32_t before, i;
    int32_t code = LLMRUN_OK;

    do {
        before = c->extent_count;
        c->kind = ": attribute ";
        for (i = 0; i < c->attribute_count && code == LLMRUN_OK; i++) {
            c->name = c->row->attributes[i].name;
            code = llmrun_op_relate_attribute(c, &c->row->attributes[i]);
        }
        c->kind = ": operand ";
        for (i = 0; i < c->op->operand_count && code == LLMRUN_OK; i++) {
            c->name = c->row->operands[i].name;
            if (c->op->operands[i].dtype != LLMRUN_NONE)
                code = llmrun_op_relate_operand(c, c->row->operands[i].axes, &c->op->operands[i]);
        }
    } while (code == LLMRUN_OK && c->extent_count > before);
    return code;
}

/* llmrun_op_check by a row that is given, for ops that the table has not. */
static inline int32_t llmrun_op_check_row(const struct llmrun_op *op, const struct llmrun_op_row *row, char *reason,
                                          size_t reason_bytes)
{
    struct llmrun_op_case c;
    uint32_t i, a;
    int32_t code;

    memset(&c, 0, sizeof(c));
    c.op = op;
    c.row = row;
    c.kind = c.name = "";
    c.reason = reason;
    c.reason_bytes = reason_bytes;
    code = llmrun_op_check_head(&c, llmrun_op_operand_count(row, op->version),
                                llmrun_op_attribute_bytes(row, op->version));
    if (code != LLMRUN_OK)
        return code;
    c.attribute_count = llmrun_op_attribute_count(row, op->version);
    c.compute = llmrun_op_first(&c, "compute");
    c.sum = llmrun_op_first(&c, "sum");
    c.wide = llmrun_op_first(&c, "wide");
    c.kind = ": operand ";
    for (i = 0; i < op->operand_count && code == LLMRUN_OK; i++) {
        c.name = row->operands[i].name;
        code = llmrun_op_check_operand(&c, &row->operands[i], &op->operands[i]);
    }
    if (code == LLMRUN_OK)
        code = llmrun_op_relate_all(&c);
    c.kind = ": attribute ";
    for (a = 0; a < c.attribute_count; a++)
        for (i = 0; i < op->operand_count && code == LLMRUN_OK; i++) {
            c.name = row->attributes[a].name;
            if (op->operands[i].dtype != LLMRUN_NONE)
                code = llmrun_op_check_parts(&c, &row->attributes[a], &row->operands[i], &op->operands[i]);
        }
    return code;
}

/* Turns a description that passed into one of the newest version of its op, with all operands and attributes: those
 * that its own version does not have are absent and 0. `op->operands` are `tensors`, of LLMRUN_MAX_OPERANDS, as
 * llmrun_read_op of plugin.h leaves them; the attributes are copied to `attributes`, of LLMRUN_OP_MAX_ATTRIBUTE_BYTES.
 */
static inline void llmrun_op_complete(struct llmrun_op *op, struct llmrun_tensor *tensors, void *attributes)
{
    const struct llmrun_op_row *row = llmrun_op_row_find(op->op);
    const uint32_t count = llmrun_op_operand_count(row, row->version);

    memset(tensors + op->operand_count, 0, (count - op->operand_count) * sizeof(*tensors));
    memset(attributes, 0, LLMRUN_OP_MAX_ATTRIBUTE_BYTES);
    if (op->attribute_bytes > 0)
        memcpy(attributes, op->attributes, op->attribute_bytes);
    op->version = row->version;
    op->operand_count = count;
    op->attributes = attributes;
    op->attribute_bytes = llmrun_op_attribute_bytes(row, row->version);
}

/* `op` is as llmrun_read_op of plugin.h leaves it. LLMRUN_OK: the description is in order. LLMRUN_ERROR_UNSUPPORTED:
 * the op, its version, a flag or an element type is not known here, so the answer of a query is LLMRUN_SUPPORT_NO.
 * LLMRUN_ERROR_ARGUMENT: it breaks the contract. Else than for LLMRUN_OK, `reason` gets a sentence. */
static inline int32_t llmrun_op_check(const struct llmrun_op *op, char *reason, size_t reason_bytes)
{
    const struct llmrun_op_row *row = llmrun_op_row_find(op->op);

    if (op->size >= sizeof(*op) && row != NULL)
        return llmrun_op_check_row(op, row, reason, reason_bytes);
    if (op->size >= sizeof(*op)) {
        snprintf(reason, reason_bytes, "op %u is unknown", (unsigned)op->op);
        return LLMRUN_ERROR_UNSUPPORTED;
    }
    snprintf(reason, reason_bytes, "an op description of %u bytes is too short; it has %u", (unsigned)op->size,
             (unsigned)sizeof(*op));
    return LLMRUN_ERROR_ARGUMENT;
}

#endif
