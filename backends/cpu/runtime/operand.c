#include "runtime/operand.h"

#include <stdio.h>

#include "runtime/check.h"

static const char *const dtype_names[LLMRUN_DTYPES] = {
    "nothing", "f64", "f32", "bf16", "f16", "i32", "u32", "u8", "e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e4m3_ieee"};

/* `compute` is the type of the compute operands, LLMRUN_NONE until one has been met. */
static int class_holds(char class, uint32_t dtype, uint32_t *compute)
{
    int is_float = dtype == LLMRUN_F32 || dtype == LLMRUN_BF16;

    switch (class) {
    case 'c':
        if (*compute == LLMRUN_NONE)
            *compute = dtype;
        return is_float && dtype == *compute;
    case 'e':
        return is_float;
    case 'f':
        return dtype == LLMRUN_F32;
    case 'd':
        return dtype == LLMRUN_F64;
    case 'i':
        return dtype == LLMRUN_I32;
    case 'u':
        return dtype == LLMRUN_U32;
    default:
        return 0;
    }
}

static const char *matmul_problem(const struct llmrun_op *op, uint32_t leaves)
{
    int grad = op->op == LLMRUN_OP_MATMUL_INPUT_GRAD;

    if (leaves > 256 || (leaves & (leaves - 1)) != 0)
        return "needs leaves that are a power of two, at most 256";
    for (int i = 0; leaves > 1 && i < (grad ? LLMRUN_MATMUL_INPUT_GRAD_DX : 1); i += 2)
        if (op->operands[i].dtype != LLMRUN_NONE && op->operands[i].shape[1] % leaves != 0)
            return "needs leaves that divide what is summed";
    return NULL;
}

static const char *attention_problem(const struct llmrun_op *op)
{
    const struct llmrun_attention_attributes *a = op->attributes; /* attention_grad has the same ones */
    const struct llmrun_tensor *q = &op->operands[LLMRUN_ATTENTION_Q], *k = &op->operands[LLMRUN_ATTENTION_K];

    if (a->sequence < 1 || a->sequence > INT32_MAX || q->shape[0] % a->sequence != 0)
        return "needs whole sequences";
    if (a->heads < 1 || a->kv_heads < 1 || a->heads % a->kv_heads != 0 || q->shape[1] % a->heads != 0 ||
        k->shape[1] != q->shape[1] / a->heads * a->kv_heads)
        return "needs kv_heads that divide heads, and heads of one width";
    if (!(a->dropout >= 0.0f && a->dropout < 1.0f))
        return "needs a dropout from 0 to below 1";
    if ((a->dropout > 0.0f) != (op->operands[LLMRUN_ATTENTION_RANDOM].dtype != LLMRUN_NONE))
        return "takes random where it has a dropout, and only there";
    return NULL;
}

static const char *attention_cached_problem(const struct llmrun_op *op)
{
    const struct llmrun_attention_cached_attributes *a = op->attributes;
    const int64_t *q = op->operands[LLMRUN_ATTENTION_CACHED_Q].shape,
                  *k = op->operands[LLMRUN_ATTENTION_CACHED_K].shape;

    if (a->heads < 1 || a->kv_heads < 1 || a->heads % a->kv_heads != 0 || q[1] % a->heads != 0 ||
        k[1] != q[1] / a->heads * a->kv_heads)
        return "needs kv_heads that divide heads, and heads of one width";
    return q[0] > op->operands[LLMRUN_ATTENTION_CACHED_K_CACHE].shape[0] ? "needs a cache that holds all rows" : NULL;
}

static const char *loss_problem(const struct llmrun_op *op)
{
    const struct llmrun_linear_cross_entropy_attributes *a = op->attributes;
    int64_t tokens = op->operands[LLMRUN_LINEAR_CROSS_ENTROPY_X].shape[0];

    if (a->sequence < 1 || tokens % a->sequence != 0 ||
        op->operands[LLMRUN_LINEAR_CROSS_ENTROPY_LOSSES].shape[0] != tokens / a->sequence)
        return "needs whole sequences and a loss for each";
    if (a->vocabulary < 1 || a->vocabulary > op->operands[LLMRUN_LINEAR_CROSS_ENTROPY_W].shape[0])
        return "needs a vocabulary of at least one token and at most the rows of w";
    return NULL;
}

static const char *rope_problem(const struct llmrun_op *op)
{
    const struct llmrun_rope_attributes *a = op->attributes;
    const int64_t columns = op->operands[LLMRUN_ROPE_X].shape[1], half = op->operands[LLMRUN_ROPE_COSINES].shape[1];

    if (a->heads < 1 || a->inverse > 1 || columns % a->heads != 0 || columns / a->heads % 2 != 0 ||
        columns / a->heads / 2 != half)
        return "needs heads twice as wide as its tables, and an inverse of 0 or 1";
    return NULL;
}

static const char *sum_squares_problem(const struct llmrun_op *op)
{
    const struct llmrun_sum_squares_attributes *a = op->attributes;
    const struct llmrun_tensor *x = &op->operands[LLMRUN_SUM_SQUARES_X];
    int64_t columns = x->shape[x->rank - 1], rows = operand_elements(x) / columns;

    if (a->row_parts < 1 || a->column_parts < 1 || rows % a->row_parts != 0 || columns % a->column_parts != 0 ||
        a->slot < 0 ||
        a->slot > op->operands[LLMRUN_SUM_SQUARES_SUMS].shape[0] - (int64_t)a->row_parts * a->column_parts)
        return "needs leaves that divide x and slots for all of them in sums";
    return NULL;
}

static const char *reduce_rows_problem(const struct llmrun_op *op)
{
    const struct llmrun_tensor *x = &op->operands[LLMRUN_REDUCE_ROWS_X], *y = &op->operands[LLMRUN_REDUCE_ROWS_Y];
    int64_t groups = y->rank == 2 ? y->shape[0] : 1;

    return x->shape[0] % groups == 0 ? NULL : "needs rows of x in equal groups, a row of y each";
}

static const char *attributes_problem(const struct llmrun_op *op)
{
    const struct llmrun_matmul_attributes *matmul = op->attributes;
    const struct llmrun_matmul_input_grad_attributes *input_grad = op->attributes;
    const struct llmrun_dropout_attributes *dropout = op->attributes;
    const struct llmrun_init_attributes *init = op->attributes;

    switch (op->op) {
    case LLMRUN_OP_MATMUL:
        if (matmul->activation > LLMRUN_ACTIVATION_GELU)
            return "does not know this activation";
        return matmul_problem(op, matmul->feature_parts);
    case LLMRUN_OP_MATMUL_INPUT_GRAD:
        return matmul_problem(op, input_grad->feature_parts);
    case LLMRUN_OP_ATTENTION:
    case LLMRUN_OP_ATTENTION_GRAD:
        return attention_problem(op);
    case LLMRUN_OP_ATTENTION_CACHED:
        return attention_cached_problem(op);
    case LLMRUN_OP_LINEAR_CROSS_ENTROPY:
        return loss_problem(op);
    case LLMRUN_OP_DROPOUT:
        if (!(dropout->probability >= 0.0f && dropout->probability < 1.0f) || dropout->sequence < 1)
            return "needs a probability from 0 to below 1 and sequences of at least one position";
        return NULL;
    case LLMRUN_OP_ROPE:
        return rope_problem(op);
    case LLMRUN_OP_INIT:
        return init->distribution > LLMRUN_INIT_UNIFORM ? "does not know this distribution" : NULL;
    case LLMRUN_OP_REDUCE_ROWS:
        return reduce_rows_problem(op);
    case LLMRUN_OP_SUM_SQUARES:
        return sum_squares_problem(op);
    default:
        return NULL;
    }
}

int operand_fit(const struct llmrun_op *op, const char *classes, uint32_t accumulate, char *reason, size_t reason_bytes)
{
    const char *name = check_form(op->op)->name;
    const char *problem = attributes_problem(op);
    uint32_t compute = LLMRUN_NONE;

    if (problem != NULL) {
        snprintf(reason, reason_bytes, "%s %s", name, problem);
        return 0;
    }
    for (uint32_t i = 0; i < op->operand_count; i++) {
        uint32_t dtype = op->operands[i].dtype;

        if (dtype != LLMRUN_NONE && !class_holds(classes[i], dtype, &compute)) {
            snprintf(reason, reason_bytes, "%s does not take %s as operand %u", name, dtype_names[dtype], i);
            return 0;
        }
    }
    if ((op->accumulate & ~accumulate) != 0) {
        snprintf(reason, reason_bytes, "%s adds only to the operands %#x, not to %#x", name, accumulate,
                 op->accumulate);
        return 0;
    }
    return 1;
}

int64_t operand_elements(const struct llmrun_tensor *tensor)
{
    int64_t elements = 1;

    for (uint32_t i = 0; i < tensor->rank; i++)
        elements *= tensor->shape[i];
    return elements;
}
