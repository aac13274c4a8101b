#include "passes/backward_rules.h"

#include <string.h>

#include "program/op_table.h"

static struct op *op_at(struct backward *backward, int64_t op)
{
    return &backward->program->ops[op];
}

/* Operands are copied: the arrays move when ops are added. */
static void op_operands(struct backward *backward, int64_t op, int32_t *operands)
{
    const struct op_info *info = op_info_find(op_at(backward, op)->op);

    memcpy(operands, program_operands(backward->program, op_at(backward, op)),
           op_operand_count(info) * sizeof *operands);
}

static void op_attributes(struct backward *backward, int64_t op, void *attributes)
{
    const struct op_info *info = op_info_find(op_at(backward, op)->op);

    memcpy(attributes, program_attributes(backward->program, op_at(backward, op)), op_attribute_bytes(info));
}

static void emit(struct backward *backward, uint16_t op, enum op_role role, const void *attributes, int32_t *operands,
                 uint32_t accumulate, int32_t named_after)
{
    backward->builder.role = role;
    builder_emit(&backward->builder, op, attributes, operands, accumulate,
                 backward_gradient_name(backward, named_after));
    backward->builder.role = ROLE_BACKWARD_INPUT;
}

/* Sums over tokens start as one chain: pass_reduction_order cuts them. */
static int64_t rows_of(const struct backward *backward, int32_t value)
{
    return backward->program->values[value].shape[0];
}

static void backward_embedding(struct backward *backward, int64_t op)
{
    int32_t at[LLMRUN_EMBEDDING_OPERANDS];
    int32_t dy, dtable;

    op_operands(backward, op, at);
    dy = backward_gradient(backward, at[LLMRUN_EMBEDDING_Y]);
    if (dy == NO_VALUE)
        return;
    dtable = backward_parameter_gradient(backward, at[LLMRUN_EMBEDDING_TABLE]);
    if (dtable != NO_VALUE) {
        const struct llmrun_embedding_grad_attributes attributes = {.batch_parts = 1};
        int32_t operands[LLMRUN_EMBEDDING_GRAD_OPERANDS] = {at[LLMRUN_EMBEDDING_IDS], dy, dtable};

        emit(backward, LLMRUN_OP_EMBEDDING_GRAD, ROLE_BACKWARD_WEIGHT, &attributes, operands,
             1u << LLMRUN_EMBEDDING_GRAD_DTABLE, at[LLMRUN_EMBEDDING_TABLE]);
    }
    backward_contribute(backward, at[LLMRUN_EMBEDDING_ADDEND], dy);
}

static void backward_layernorm(struct backward *backward, int64_t op)
{
    int32_t at[LLMRUN_LAYERNORM_OPERANDS];
    int32_t x, sum, dy, dsum, dweight, dbias;

    op_operands(backward, op, at);
    x = at[LLMRUN_LAYERNORM_X];
    sum = at[LLMRUN_LAYERNORM_RESIDUAL] != NO_VALUE ? at[LLMRUN_LAYERNORM_RESIDUAL_OUT] : x;
    dy = backward_gradient(backward, at[LLMRUN_LAYERNORM_Y]);
    dsum = backward_gradient(backward, sum);
    if (dy == NO_VALUE) {
        if (sum != x)
            backward_contribute(backward, x, dsum), backward_contribute(backward, at[LLMRUN_LAYERNORM_RESIDUAL], dsum);
        return;
    }
    dweight = backward_channel_gradient(backward, at[LLMRUN_LAYERNORM_WEIGHT]);
    dbias = backward_channel_gradient(backward, at[LLMRUN_LAYERNORM_BIAS]);
    {
        const struct llmrun_layernorm_grad_attributes attributes = {rows_of(backward, dy), 1, 1};
        int32_t operands[LLMRUN_LAYERNORM_GRAD_OPERANDS] = {dy,
                                                            sum,
                                                            at[LLMRUN_LAYERNORM_WEIGHT],
                                                            at[LLMRUN_LAYERNORM_MEAN],
                                                            at[LLMRUN_LAYERNORM_RSTD],
                                                            dsum,
                                                            WANTED,
                                                            dweight,
                                                            dbias};
        uint32_t accumulate = (dweight != NO_VALUE ? 1u << LLMRUN_LAYERNORM_GRAD_DWEIGHT : 0) |
                              (dbias != NO_VALUE ? 1u << LLMRUN_LAYERNORM_GRAD_DBIAS : 0);

        emit(backward, LLMRUN_OP_LAYERNORM_GRAD, ROLE_BACKWARD_INPUT, &attributes, operands, accumulate, sum);
        /* dx holds all of the gradient of `sum`: what came from its other users went in as dsum. */
        backward->gradients[sum].value = operands[LLMRUN_LAYERNORM_GRAD_DX];
        if (sum != x) {
            backward_contribute(backward, x, operands[LLMRUN_LAYERNORM_GRAD_DX]);
            backward_contribute(backward, at[LLMRUN_LAYERNORM_RESIDUAL], operands[LLMRUN_LAYERNORM_GRAD_DX]);
        }
    }
}

static void backward_bias(struct backward *backward, int32_t bias, int32_t dy)
{
    const struct llmrun_bias_grad_attributes attributes = {rows_of(backward, dy), 1, 1};
    int32_t operands[LLMRUN_BIAS_GRAD_OPERANDS] = {dy, backward_channel_gradient(backward, bias)};

    if (operands[LLMRUN_BIAS_GRAD_DBIAS] != NO_VALUE)
        emit(backward, LLMRUN_OP_BIAS_GRAD, ROLE_BACKWARD_WEIGHT, &attributes, operands, 1u << LLMRUN_BIAS_GRAD_DBIAS,
             bias);
}

static void backward_matmul(struct backward *backward, int64_t op)
{
    struct llmrun_matmul_attributes attributes;
    int32_t at[LLMRUN_MATMUL_OPERANDS];
    int32_t dy, dweight;

    op_operands(backward, op, at);
    op_attributes(backward, op, &attributes);
    dy = backward_gradient(backward, at[LLMRUN_MATMUL_Y]);
    if (dy == NO_VALUE)
        return;
    if (attributes.activation == LLMRUN_ACTIVATION_GELU) {
        int32_t operands[LLMRUN_GELU_GRAD_OPERANDS] = {dy, at[LLMRUN_MATMUL_AUX], WANTED};

        emit(backward, LLMRUN_OP_GELU_GRAD, ROLE_BACKWARD_INPUT, NULL, operands, 0, at[LLMRUN_MATMUL_AUX]);
        dy = operands[LLMRUN_GELU_GRAD_DX];
    }
    dweight = backward_parameter_gradient(backward, at[LLMRUN_MATMUL_W]);
    if (dweight != NO_VALUE) {
        const struct llmrun_matmul_weight_grad_attributes weight_attributes = {1, 0};
        int32_t operands[LLMRUN_MATMUL_WEIGHT_GRAD_OPERANDS] = {dy, at[LLMRUN_MATMUL_X], dweight};

        emit(backward, LLMRUN_OP_MATMUL_WEIGHT_GRAD, ROLE_BACKWARD_WEIGHT, &weight_attributes, operands,
             1u << LLMRUN_MATMUL_WEIGHT_GRAD_DW, at[LLMRUN_MATMUL_W]);
    }
    backward_bias(backward, at[LLMRUN_MATMUL_BIAS], dy);
    backward_contribute_pair(backward, at[LLMRUN_MATMUL_X], dy, at[LLMRUN_MATMUL_W]);
}

static void backward_gelu(struct backward *backward, int64_t op)
{
    int32_t at[LLMRUN_GELU_OPERANDS];
    int32_t operands[LLMRUN_GELU_GRAD_OPERANDS];

    op_operands(backward, op, at);
    operands[LLMRUN_GELU_GRAD_DY] = backward_gradient(backward, at[LLMRUN_GELU_Y]);
    operands[LLMRUN_GELU_GRAD_X] = at[LLMRUN_GELU_X];
    operands[LLMRUN_GELU_GRAD_DX] = WANTED;
    if (operands[LLMRUN_GELU_GRAD_DY] == NO_VALUE)
        return;
    emit(backward, LLMRUN_OP_GELU_GRAD, ROLE_BACKWARD_INPUT, NULL, operands, 0, at[LLMRUN_GELU_X]);
    backward_contribute(backward, at[LLMRUN_GELU_X], operands[LLMRUN_GELU_GRAD_DX]);
}

static void backward_attention(struct backward *backward, int64_t op)
{
    struct llmrun_attention_attributes forward;
    struct llmrun_attention_grad_attributes attributes;
    int32_t at[LLMRUN_ATTENTION_OPERANDS];
    int32_t dout;

    op_operands(backward, op, at);
    op_attributes(backward, op, &forward);
    dout = backward_gradient(backward, at[LLMRUN_ATTENTION_O]);
    if (dout == NO_VALUE)
        return;
    attributes = (struct llmrun_attention_grad_attributes){
        forward.seq_len,       forward.keys,          forward.query_first, forward.heads,  forward.kv_heads,
        forward.kv_head_first, forward.kv_heads_full, forward.scale,       forward.dropout};
    {
        int32_t operands[LLMRUN_ATTENTION_GRAD_OPERANDS] = {at[LLMRUN_ATTENTION_Q],
                                                            at[LLMRUN_ATTENTION_K],
                                                            at[LLMRUN_ATTENTION_V],
                                                            at[LLMRUN_ATTENTION_SEGMENT_STARTS],
                                                            at[LLMRUN_ATTENTION_DOCUMENT_OFFSETS],
                                                            at[LLMRUN_ATTENTION_RNG_STATE],
                                                            at[LLMRUN_ATTENTION_O],
                                                            at[LLMRUN_ATTENTION_LSE],
                                                            dout,
                                                            WANTED,
                                                            WANTED,
                                                            WANTED};

        emit(backward, LLMRUN_OP_ATTENTION_GRAD, ROLE_BACKWARD_INPUT, &attributes, operands, 0, at[LLMRUN_ATTENTION_O]);
        backward_contribute(backward, at[LLMRUN_ATTENTION_Q], operands[LLMRUN_ATTENTION_GRAD_DQ]);
        backward_contribute(backward, at[LLMRUN_ATTENTION_K], operands[LLMRUN_ATTENTION_GRAD_DK]);
        backward_contribute(backward, at[LLMRUN_ATTENTION_V], operands[LLMRUN_ATTENTION_GRAD_DV]);
    }
}

static void backward_dropout(struct backward *backward, int64_t op)
{
    struct llmrun_dropout_attributes attributes;
    int32_t at[LLMRUN_DROPOUT_OPERANDS];
    int32_t operands[LLMRUN_DROPOUT_OPERANDS];

    op_operands(backward, op, at);
    op_attributes(backward, op, &attributes);
    operands[LLMRUN_DROPOUT_X] = backward_gradient(backward, at[LLMRUN_DROPOUT_Y]);
    operands[LLMRUN_DROPOUT_RNG_STATE] = at[LLMRUN_DROPOUT_RNG_STATE];
    operands[LLMRUN_DROPOUT_Y] = WANTED;
    if (operands[LLMRUN_DROPOUT_X] == NO_VALUE)
        return;
    emit(backward, LLMRUN_OP_DROPOUT, ROLE_BACKWARD_INPUT, &attributes, operands, 0, at[LLMRUN_DROPOUT_X]);
    backward_contribute(backward, at[LLMRUN_DROPOUT_X], operands[LLMRUN_DROPOUT_Y]);
}

static void backward_add(struct backward *backward, int64_t op)
{
    int32_t at[LLMRUN_ADD_OPERANDS];
    int32_t dy;

    op_operands(backward, op, at);
    dy = backward_gradient(backward, at[LLMRUN_ADD_Y]);
    backward_contribute(backward, at[LLMRUN_ADD_A], dy);
    backward_contribute(backward, at[LLMRUN_ADD_B], dy);
}

static void backward_cast(struct backward *backward, int64_t op)
{
    int32_t at[LLMRUN_CAST_OPERANDS];
    int32_t dy;

    op_operands(backward, op, at);
    dy = backward_gradient(backward, at[LLMRUN_CAST_Y]);
    if (dy == NO_VALUE || !backward_needed(backward, at[LLMRUN_CAST_X]))
        return;
    backward_contribute(backward, at[LLMRUN_CAST_X],
                        build_cast(&backward->builder, dy, backward->program->values[at[LLMRUN_CAST_X]].dtype,
                                   backward_gradient_name(backward, at[LLMRUN_CAST_X])));
}

/* The loss makes its gradients where it stands: its operands are completed and no op is added. */
static void backward_linear_cross_entropy(struct backward *backward, int64_t op)
{
    int32_t at[LLMRUN_LINEAR_CROSS_ENTROPY_OPERANDS];
    int32_t x, dx = NO_VALUE, dw;
    struct op *loss;

    op_operands(backward, op, at);
    x = at[LLMRUN_LINEAR_CROSS_ENTROPY_X];
    dw = backward_parameter_gradient(backward, at[LLMRUN_LINEAR_CROSS_ENTROPY_W]);
    if (backward_needed(backward, x)) {
        const struct value *value = &backward->program->values[x];

        dx = program_add_value(backward->program, backward_gradient_name(backward, x), VALUE_ACTIVATION, value->dtype,
                               value->rank, value->shape);
        if (dx == NO_VALUE && backward->builder.status == STATUS_OK)
            backward->builder.status =
                error_set(backward->builder.error, STATUS_MEMORY, "no memory for the backward pass");
    }
    loss = op_at(backward, op);
    program_operands(backward->program, loss)[LLMRUN_LINEAR_CROSS_ENTROPY_DX] = dx;
    program_operands(backward->program, loss)[LLMRUN_LINEAR_CROSS_ENTROPY_DW] = dw;
    if (dw != NO_VALUE)
        loss->accumulate |= 1u << LLMRUN_LINEAR_CROSS_ENTROPY_DW;
    backward_contribute(backward, x, dx);
}

static void backward_rmsnorm(struct backward *backward, int64_t op)
{
    int32_t at[LLMRUN_RMSNORM_OPERANDS];
    int32_t x, residual, sum, dy, dsum, dweight;

    op_operands(backward, op, at);
    x = at[LLMRUN_RMSNORM_X];
    residual = at[LLMRUN_RMSNORM_RESIDUAL];
    sum = residual != NO_VALUE ? at[LLMRUN_RMSNORM_RESIDUAL_OUT] : x;
    dy = backward_gradient(backward, at[LLMRUN_RMSNORM_Y]);
    dsum = backward_gradient(backward, sum);
    if (dy != NO_VALUE) {
        int32_t operands[LLMRUN_RMSNORM_GRAD_OPERANDS] = {
            dy, sum, at[LLMRUN_RMSNORM_WEIGHT], at[LLMRUN_RMSNORM_RSTD], dsum, WANTED, NO_VALUE};

        const struct llmrun_rmsnorm_grad_attributes attributes = {rows_of(backward, dy), 1, 1, 1, 0};

        dweight = backward_channel_gradient(backward, at[LLMRUN_RMSNORM_WEIGHT]);
        operands[LLMRUN_RMSNORM_GRAD_DWEIGHT] = dweight;
        emit(backward, LLMRUN_OP_RMSNORM_GRAD, ROLE_BACKWARD_INPUT, &attributes, operands,
             dweight != NO_VALUE ? 1u << LLMRUN_RMSNORM_GRAD_DWEIGHT : 0, sum);
        /* As with layernorm, dx holds all of the gradient of `sum`. */
        dsum = operands[LLMRUN_RMSNORM_GRAD_DX];
        backward->gradients[sum].value = dsum;
    }
    if (sum != x) {
        backward_contribute(backward, x, dsum);
        backward_contribute(backward, residual, dsum);
    }
}

static void backward_swiglu(struct backward *backward, int64_t op)
{
    int32_t at[LLMRUN_SWIGLU_OPERANDS];
    int32_t operands[LLMRUN_SWIGLU_GRAD_OPERANDS];

    op_operands(backward, op, at);
    operands[LLMRUN_SWIGLU_GRAD_DY] = backward_gradient(backward, at[LLMRUN_SWIGLU_Y]);
    operands[LLMRUN_SWIGLU_GRAD_GATE] = at[LLMRUN_SWIGLU_GATE];
    operands[LLMRUN_SWIGLU_GRAD_UP] = at[LLMRUN_SWIGLU_UP];
    operands[LLMRUN_SWIGLU_GRAD_DGATE] = operands[LLMRUN_SWIGLU_GRAD_DUP] = WANTED;
    if (operands[LLMRUN_SWIGLU_GRAD_DY] == NO_VALUE)
        return;
    emit(backward, LLMRUN_OP_SWIGLU_GRAD, ROLE_BACKWARD_INPUT, NULL, operands, 0, at[LLMRUN_SWIGLU_Y]);
    backward_contribute(backward, at[LLMRUN_SWIGLU_GATE], operands[LLMRUN_SWIGLU_GRAD_DGATE]);
    backward_contribute(backward, at[LLMRUN_SWIGLU_UP], operands[LLMRUN_SWIGLU_GRAD_DUP]);
}

static void backward_rope(struct backward *backward, int64_t op)
{
    struct llmrun_rope_attributes attributes;
    int32_t at[LLMRUN_ROPE_OPERANDS];
    int32_t x;

    op_operands(backward, op, at);
    op_attributes(backward, op, &attributes);
    attributes.inverse = !attributes.inverse;
    x = at[LLMRUN_ROPE_X];
    at[LLMRUN_ROPE_X] = backward_gradient(backward, at[LLMRUN_ROPE_Y]);
    at[LLMRUN_ROPE_Y] = WANTED;
    if (at[LLMRUN_ROPE_X] == NO_VALUE)
        return;
    emit(backward, LLMRUN_OP_ROPE, ROLE_BACKWARD_INPUT, &attributes, at, 0, x);
    backward_contribute(backward, x, at[LLMRUN_ROPE_Y]);
}

#define backward_none NULL

backward_rule *backward_rule_of(uint16_t op)
{
    static backward_rule *const rules[LLMRUN_OPS] = {
#define OP_BEGIN(name, id, version, backward, flops, flags, summary) [id] = backward_##backward,
#define OPERAND(direction, name, class, presence, axes)
#define ATTRIBUTE(type, name, role, meaning)
#define OP_END(name)
#include "program/ops.def"
    };

    return op < LLMRUN_OPS ? rules[op] : NULL;
}
