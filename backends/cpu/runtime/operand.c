#include "runtime/operand.h"

#include <llmrun/op_check.h>

/* `count` elements from `first` on are some of `full`, or all of them where full is 0. */
static int part_fits(int64_t first, int64_t count, int64_t full)
{
    return full == 0 ? first == 0 : first >= 0 && first <= full - count;
}

static const char *matmul_problem(uint32_t parts)
{
    return parts > 256 || (parts & (parts - 1)) != 0 ? "needs parts that are a power of two, at most 256" : NULL;
}

static const char *attention_problem(const struct llmrun_op *op)
{
    const struct llmrun_attention_attributes *a = op->attributes; /* attention_grad has the same ones */

    if (a->keys > INT32_MAX)
        return "needs sequences of less than 2^31 positions";
    if (!part_fits(a->query_first, a->seq_len, a->keys))
        return "needs queries at positions that have keys";
    if (!part_fits(a->kv_head_first, a->kv_heads, a->kv_heads_full))
        return "needs its heads to be some of all heads";
    if (!(a->dropout >= 0.0f && a->dropout < 1.0f))
        return "needs a dropout from 0 to below 1";
    if ((a->dropout > 0.0f) != (op->operands[LLMRUN_ATTENTION_RNG_STATE].dtype != LLMRUN_NONE))
        return "takes rng_state where it has a dropout, and only there";
    return NULL;
}

static const char *attention_cached_problem(const struct llmrun_op *op)
{
    return op->operands[LLMRUN_ATTENTION_CACHED_Q].shape[0] > op->operands[LLMRUN_ATTENTION_CACHED_K_CACHE].shape[0]
               ? "needs a cache that holds all rows"
               : NULL;
}

static const char *loss_statistics_problem(const struct llmrun_op *op)
{
    const struct llmrun_loss_statistics_attributes *a = op->attributes;
    const int64_t columns = op->operands[LLMRUN_LOSS_STATISTICS_LOGITS].shape[1], left = a->full - a->first;

    return a->first < 0 || a->full < 1 ||
                   a->vocabulary != (left < 0         ? 0
                                     : left < columns ? left
                                                      : columns)
               ? "needs a vocabulary of as many columns as the full one has from the first one on"
               : NULL;
}

static const char *loss_gradient_problem(const struct llmrun_op *op)
{
    const struct llmrun_loss_gradient_attributes *a = op->attributes;
    const int64_t parts = op->operands[LLMRUN_LOSS_GRADIENT_STATISTICS].shape[0], own = a->vocabulary_parts;
    const int64_t columns = op->operands[LLMRUN_LOSS_GRADIENT_LOGITS].shape[1] / own; /* of a part */

    if (parts > 256 || (parts & (parts - 1)) != 0 || own > parts || a->first < 0 || a->first % columns != 0 ||
        a->first / columns > parts - own)
        return "needs statistics of equal vocabulary parts, a power of two, at most 256, of which its own are some";
    return NULL;
}

static const char *rope_problem(const struct llmrun_op *op)
{
    const struct llmrun_rope_attributes *a = op->attributes;
    const int64_t width = op->operands[LLMRUN_ROPE_X].shape[1] / a->heads;

    if (a->inverse > 1 || width % 2 != 0 || width / 2 != op->operands[LLMRUN_ROPE_COSINES].shape[1])
        return "needs heads twice as wide as its tables, and an inverse of 0 or 1";
    return NULL;
}

static const char *sum_squares_problem(const struct llmrun_op *op)
{
    const struct llmrun_sum_squares_attributes *a = op->attributes;
    const struct llmrun_tensor *x = &op->operands[LLMRUN_SUM_SQUARES_X];
    int64_t columns = x->shape[x->rank - 1], rows = operand_elements(x) / columns;
    int64_t stride = a->slot_stride > 0 ? a->slot_stride : a->column_parts;

    if (a->row_parts < 1 || a->column_parts < 1 || rows % a->row_parts != 0 || columns % a->column_parts != 0 ||
        stride < a->column_parts || a->replica > 1 || a->slot < 0 ||
        a->slot > op->operands[LLMRUN_SUM_SQUARES_SUMS].shape[0] - (a->row_parts - 1) * stride - a->column_parts)
        return "needs parts that divide x, slots for all of them in sums, and a replica of 0 or 1";
    return NULL;
}

static const char *init_problem(const struct llmrun_op *op)
{
    const struct llmrun_init_attributes *a = op->attributes;
    const struct llmrun_tensor *y = &op->operands[LLMRUN_INIT_Y];
    const int64_t first[] = {a->first0, a->first1, a->first2}, full[] = {a->full0, a->full1, a->full2};

    if (a->distribution > LLMRUN_INIT_UNIFORM)
        return "does not know this distribution";
    for (uint32_t d = 0; d < 3; d++)
        if (!part_fits(first[d], d < y->rank ? y->shape[d] : INT64_MAX, full[d]))
            return "needs a part of each dimension that lies within it";
    return NULL;
}

static const char *attributes_problem(const struct llmrun_op *op)
{
    const struct llmrun_matmul_attributes *matmul = op->attributes;
    const struct llmrun_matmul_input_grad_attributes *input_grad = op->attributes;
    const struct llmrun_finish_attributes *finish = op->attributes;
    const struct llmrun_linear_cross_entropy_attributes *loss = op->attributes;
    const struct llmrun_dropout_attributes *dropout = op->attributes;

    switch (op->op) {
    case LLMRUN_OP_MATMUL:
        if (matmul->activation > LLMRUN_ACTIVATION_GELU)
            return "does not know this activation";
        return matmul_problem(matmul->feature_parts);
    case LLMRUN_OP_MATMUL_INPUT_GRAD:
        return matmul_problem(input_grad->feature_parts);
    case LLMRUN_OP_ATTENTION:
    case LLMRUN_OP_ATTENTION_GRAD:
        return attention_problem(op);
    case LLMRUN_OP_ATTENTION_CACHED:
        return attention_cached_problem(op);
    case LLMRUN_OP_LINEAR_CROSS_ENTROPY:
        return loss->vocabulary < 1 ? "needs a vocabulary of at least one token" : NULL;
    case LLMRUN_OP_LOSS_STATISTICS:
        return loss_statistics_problem(op);
    case LLMRUN_OP_LOSS_GRADIENT:
        return loss_gradient_problem(op);
    case LLMRUN_OP_FINISH:
        return finish->activation > LLMRUN_ACTIVATION_GELU ? "does not know this activation" : NULL;
    case LLMRUN_OP_DROPOUT:
        if (!(dropout->probability >= 0.0f && dropout->probability < 1.0f))
            return "needs a probability from 0 to below 1";
        if (!part_fits(dropout->position_first, dropout->seq_len, dropout->positions_full) ||
            !part_fits(dropout->channel_first, op->operands[LLMRUN_DROPOUT_X].shape[1], dropout->channels_full))
            return "needs a part of the positions and channels that lies within them";
        return NULL;
    case LLMRUN_OP_ROPE:
        return rope_problem(op);
    case LLMRUN_OP_INIT:
        return init_problem(op);
    case LLMRUN_OP_SUM_SQUARES:
        return sum_squares_problem(op);
    default:
        return NULL;
    }
}

int operand_fit(const struct llmrun_op *op, uint32_t accumulate, char *reason, size_t reason_bytes)
{
    const struct llmrun_op_row *row = llmrun_op_row_find(op->op);
    const char *problem = attributes_problem(op);

    if (problem != NULL) {
        snprintf(reason, reason_bytes, "%s %s", row->name, problem);
        return 0;
    }
    for (uint32_t i = 0; i < op->operand_count; i++) {
        const char *type = row->operands[i].type;
        const int free = strcmp(type, "compute") == 0 || strcmp(type, "sum") == 0 || strcmp(type, "any") == 0;
        uint32_t dtype = op->operands[i].dtype;

        if (free && dtype != LLMRUN_NONE && dtype != LLMRUN_F32 && dtype != LLMRUN_BF16) {
            snprintf(reason, reason_bytes, "%s takes f32 and bf16 as operand %s, not %s", row->name,
                     row->operands[i].name, llmrun_dtype_name(dtype));
            return 0;
        }
    }
    if ((op->accumulate & ~accumulate) != 0) {
        snprintf(reason, reason_bytes, "%s adds only to the operands %#x, not to %#x", row->name, accumulate,
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
