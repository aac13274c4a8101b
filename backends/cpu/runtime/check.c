#include "runtime/check.h"

#include <llmrun/ops.h>
#include <stdio.h>
#include <string.h>

#define FORM(OP, name, inputs, attribute_bytes, operands)                                                              \
    [LLMRUN_OP_##OP] = {#name, LLMRUN_OP_##OP##_VERSION, inputs, attribute_bytes, operands}
#define ATTRIBUTES(name) sizeof(struct llmrun_##name##_attributes)

/* t: tokens (sequences x positions), m: heads x head width of queries, or h heads of c channels, g: of keys and values,
 * h: heads, r: rows of a cache, of a table of positions or of sums over tokens, e: half a head width, p: groups; `p?`
 * may be absent. */
static const struct op_form forms[LLMRUN_OPS] = {
    FORM(EMBEDDING, embedding, 3, 0, "t vc ?tc tc"),
    FORM(EMBEDDING_GRAD, embedding_grad, 2, ATTRIBUTES(embedding_grad), "t tc vc"),
    FORM(LAYERNORM, layernorm, 4, ATTRIBUTES(layernorm), "tc ?tc c ?c tc ?tc t t"),
    FORM(LAYERNORM_GRAD, layernorm_grad, 6, ATTRIBUTES(layernorm_grad), "tc tc c t t ?tc tc ?rc ?rc"),
    FORM(MATMUL, matmul, 3, ATTRIBUTES(matmul), "tk nk ?n tn ?tn"),
    FORM(MATMUL_INPUT_GRAD, matmul_input_grad, 6, ATTRIBUTES(matmul_input_grad), "tn nk ?tp ?pk ?tq ?qk tk"),
    FORM(MATMUL_WEIGHT_GRAD, matmul_weight_grad, 2, ATTRIBUTES(matmul_weight_grad), "tn tk nk"),
    FORM(BIAS_GRAD, bias_grad, 1, ATTRIBUTES(bias_grad), "tn rn"),
    FORM(GELU, gelu, 1, 0, "tn tn"),
    FORM(GELU_GRAD, gelu_grad, 2, 0, "tn tn tn"),
    FORM(ATTENTION, attention, 5, ATTRIBUTES(attention), "tm tg tg t ?5 tm th"),
    FORM(ATTENTION_GRAD, attention_grad, 8, ATTRIBUTES(attention_grad), "tm tg tg t ?5 tm th tm tm tg tg"),
    FORM(DROPOUT, dropout, 2, ATTRIBUTES(dropout), "tc 5 tc"),
    FORM(LINEAR_CROSS_ENTROPY, linear_cross_entropy, 5, ATTRIBUTES(linear_cross_entropy), "tc vc t t 1 b ?tc ?vc"),
    FORM(ADD, add, 2, 0, "tc tc tc"),
    FORM(CAST, cast, 1, 0, "* *"),
    FORM(INIT, init, 0, ATTRIBUTES(init), "*"),
    FORM(SUM_SQUARES, sum_squares, 1, ATTRIBUTES(sum_squares), "* s"),
    FORM(CLIP, clip, 2, ATTRIBUTES(clip), "k b 1 1 1"),
    FORM(ADAMW, adamw, 5, ATTRIBUTES(adamw), "* 1 2 1 1 * * * ?*"),
    FORM(RMSNORM, rmsnorm, 3, ATTRIBUTES(rmsnorm), "tm ?tm c tm ?tm th"),
    FORM(RMSNORM_GRAD, rmsnorm_grad, 5, ATTRIBUTES(rmsnorm_grad), "tm tm c th ?tm tm ?rc"),
    FORM(SWIGLU, swiglu, 2, 0, "tn tn tn"),
    FORM(SWIGLU_GRAD, swiglu_grad, 3, 0, "tn tn tn tn tn"),
    FORM(ROPE, rope, 4, ATTRIBUTES(rope), "tm t re re tm"),
    FORM(ATTENTION_CACHED, attention_cached, 4, ATTRIBUTES(attention_cached), "tm tg tg 1 rg rg tm"),
    FORM(REDUCE_ROWS, reduce_rows, 1, 0, "rn p?n"),
    FORM(REDUCE, reduce, 2, 0, "* ?* *"),
    FORM(SLOT_TREE, slot_tree, 2, 0, "s k3 k"),
};

static const int64_t element_bytes[LLMRUN_DTYPES] = {0, 8, 4, 2, 2, 4, 4, 1, 1, 1, 1, 1, 1};

const struct op_form *check_form(uint16_t op)
{
    return op < LLMRUN_OPS && forms[op].name != NULL ? &forms[op] : NULL;
}

/* What is known of the extents so far. */
struct extents {
    int64_t of_letter[128];          /* 0: not met yet */
    const struct llmrun_tensor *any; /* the first `*` */
};

static int contiguous(const struct llmrun_tensor *tensor)
{
    int64_t expected = 1;
    uint32_t i;

    for (i = tensor->rank; i-- > 0;) {
        if (tensor->shape[i] != 1 && tensor->stride[i] != expected)
            return 0;
        expected *= tensor->shape[i];
    }
    return 1;
}

static int same_shape(const struct llmrun_tensor *a, const struct llmrun_tensor *b)
{
    return a->rank == b->rank && memcmp(a->shape, b->shape, a->rank * sizeof(a->shape[0])) == 0;
}

/* The word of one operand against its tensor; 0 and a reason when they differ. */
static int match(const char *word, size_t letters, const struct llmrun_tensor *tensor, struct extents *extents,
                 char *reason, size_t reason_bytes)
{
    size_t i, marks;

    if (word[0] == '*') {
        if (extents->any == NULL)
            extents->any = tensor;
        if (same_shape(extents->any, tensor))
            return 1;
        snprintf(reason, reason_bytes, "has another shape than the operands it goes with");
        return 0;
    }
    if (letters > 1 && word[1] == '?' && tensor->rank == letters - 2) {
        word += 2;
        letters -= 2;
    }
    marks = letters > 1 && word[1] == '?';
    if (tensor->rank != letters - marks) {
        snprintf(reason, reason_bytes, "has rank %u and must have %zu", tensor->rank, letters - marks);
        return 0;
    }
    for (i = 0; i < letters - marks; i++) {
        char letter = word[i > 0 ? i + marks : i];
        int64_t *extent = &extents->of_letter[(unsigned char)letter & 127];

        if (*extent == 0)
            *extent = letter >= '0' && letter <= '9' ? letter - '0' : tensor->shape[i];
        if (*extent == tensor->shape[i])
            continue;
        snprintf(reason, reason_bytes, "has %lld elements in dimension %zu and must have %lld",
                 (long long)tensor->shape[i], i, (long long)*extent);
        return 0;
    }
    return 1;
}

static int32_t check_tensor(const struct llmrun_tensor *tensor, char *reason, size_t reason_bytes)
{
    uint32_t i;

    if (tensor->dtype >= LLMRUN_DTYPES) {
        snprintf(reason, reason_bytes, "has the unknown element type %u", tensor->dtype);
        return LLMRUN_ERROR_UNSUPPORTED;
    }
    if (tensor->rank > LLMRUN_MAX_RANK) {
        snprintf(reason, reason_bytes, "has rank %u; the most is %d", tensor->rank, LLMRUN_MAX_RANK);
        return LLMRUN_ERROR_ARGUMENT;
    }
    for (i = 0; i < tensor->rank; i++)
        if (tensor->shape[i] < 1) {
            snprintf(reason, reason_bytes, "has %lld elements in dimension %u", (long long)tensor->shape[i], i);
            return LLMRUN_ERROR_ARGUMENT;
        }
    if (!contiguous(tensor)) {
        snprintf(reason, reason_bytes, "is not contiguous, as these kernels need it");
        return LLMRUN_ERROR_UNSUPPORTED;
    }
    if (tensor->alignment < element_bytes[tensor->dtype]) {
        snprintf(reason, reason_bytes, "is aligned to %lld bytes, less than an element", (long long)tensor->alignment);
        return LLMRUN_ERROR_UNSUPPORTED;
    }
    return LLMRUN_OK;
}

static int32_t check_operands(const struct llmrun_op *op, const struct op_form *form, char *reason, size_t reason_bytes)
{
    struct extents extents = {.any = NULL};
    const char *word = form->operands;
    char problem[128];
    uint32_t i;

    for (i = 0; i < op->operand_count; i++) {
        const struct llmrun_tensor *tensor = &op->operands[i];
        int optional = *word == '?';
        size_t letters;
        int32_t code = LLMRUN_OK;

        word += optional;
        letters = strcspn(word, " ");
        if (tensor->dtype != LLMRUN_NONE) {
            code = check_tensor(tensor, problem, sizeof(problem));
            if (code == LLMRUN_OK && !match(word, letters, tensor, &extents, problem, sizeof(problem)))
                code = LLMRUN_ERROR_ARGUMENT;
        } else if (!optional) {
            snprintf(problem, sizeof(problem), "is absent");
            code = LLMRUN_ERROR_ARGUMENT;
        }
        if (code != LLMRUN_OK) {
            snprintf(reason, reason_bytes, "%s: operand %u %s", form->name, i, problem);
            return code;
        }
        word += letters + (word[letters] == ' ');
    }
    if (extents.of_letter['c'] * extents.of_letter['h'] > 0 &&
        extents.of_letter['m'] != extents.of_letter['h'] * extents.of_letter['c']) {
        snprintf(reason, reason_bytes, "%s: rows of %lld elements are not %lld heads of %lld", form->name,
                 (long long)extents.of_letter['m'], (long long)extents.of_letter['h'],
                 (long long)extents.of_letter['c']);
        return LLMRUN_ERROR_ARGUMENT;
    }
    return LLMRUN_OK;
}

static uint32_t count_words(const char *words)
{
    uint32_t count = 1;

    for (; *words != '\0'; words++)
        count += *words == ' ';
    return count;
}

int32_t check_op(const struct llmrun_op *op, char *reason, size_t reason_bytes)
{
    const struct op_form *form = check_form(op->op);
    uint32_t count;

    if (op->size < sizeof(*op)) {
        snprintf(reason, reason_bytes, "an op description of %u bytes is too short; it has %zu", op->size, sizeof(*op));
        return LLMRUN_ERROR_ARGUMENT;
    }
    if (form == NULL) {
        snprintf(reason, reason_bytes, "op %u is unknown", op->op);
        return LLMRUN_ERROR_UNSUPPORTED;
    }
    if (op->version != form->version || (op->flags & ~(LLMRUN_OP_EXACT | LLMRUN_OP_DETERMINISTIC)) != 0) {
        snprintf(reason, reason_bytes, "%s version %u with flags %#x is unknown; version %u is known", form->name,
                 op->version, op->flags, form->version);
        return LLMRUN_ERROR_UNSUPPORTED;
    }
    count = count_words(form->operands);
    if (op->operand_count != count || op->attribute_bytes != form->attribute_bytes ||
        (op->attributes == NULL && op->attribute_bytes > 0)) {
        snprintf(reason, reason_bytes, "%s has %u operands and %u bytes of attributes, not %u and %u", form->name,
                 count, form->attribute_bytes, op->operand_count, op->attribute_bytes);
        return LLMRUN_ERROR_ARGUMENT;
    }
    if ((op->accumulate & ((1u << form->inputs) - 1)) != 0 || op->accumulate >> count != 0) {
        snprintf(reason, reason_bytes, "%s cannot add into operands %#x: only into outputs", form->name,
                 op->accumulate);
        return LLMRUN_ERROR_ARGUMENT;
    }
    return check_operands(op, form, reason, reason_bytes);
}
