#include "passes/gradients.h"

const char *backward_gradient_name(struct backward *backward, int32_t value)
{
    backward->name.length = 0;
    text_add(&backward->name, "d.%s", backward->program->values[value].name);
    if (!backward->name.failed)
        return backward->name.data;
    if (backward->builder.status == STATUS_OK)
        backward->builder.status = error_set(backward->builder.error, STATUS_MEMORY, "no memory for the backward pass");
    return "";
}

bool backward_needed(const struct backward *backward, int32_t value)
{
    return value >= 0 && backward->gradients[value].needed;
}

int32_t backward_parameter_gradient(struct backward *backward, int32_t parameter)
{
    const struct value *value;

    if (parameter == NO_VALUE || !(backward->program->values[parameter].flags & VALUE_TRAINABLE))
        return NO_VALUE;
    value = &backward->program->values[parameter];
    return build_part(&backward->builder, parameter, "grad", VALUE_GRADIENT, LLMRUN_F32, value->rank, value->shape);
}

int32_t backward_channel_gradient(struct backward *backward, int32_t parameter)
{
    int32_t gradient = backward_parameter_gradient(backward, parameter);
    int64_t shape[2] = {1, 0};

    if (gradient == NO_VALUE)
        return NO_VALUE;
    shape[1] = backward->program->values[gradient].shape[0];
    return build_part(&backward->builder, gradient, "rows", VALUE_PARTIAL_ROWS, LLMRUN_F32, 2, shape);
}

static void add_part(struct backward *backward, int32_t value, int32_t part)
{
    struct gradient *gradient = &backward->gradients[value];

    if (gradient->value != NO_VALUE)
        part = build_add(&backward->builder, gradient->value, part, backward_gradient_name(backward, value));
    gradient->value = part;
}

/* Turns waiting pairs into one op. */
static void settle_pairs(struct backward *backward, int32_t value)
{
    struct gradient *gradient = &backward->gradients[value];
    struct llmrun_matmul_input_grad_attributes attributes = {1, 0};
    int32_t operands[LLMRUN_MATMUL_INPUT_GRAD_OPERANDS] = {NO_VALUE, NO_VALUE, NO_VALUE, NO_VALUE,
                                                           NO_VALUE, NO_VALUE, WANTED};

    if (gradient->pair_count == 0)
        return;
    /* Pairs came from the last user to the first; the sum goes from first to last. */
    for (int i = 0; i < gradient->pair_count; i++) {
        operands[2 * i] = gradient->pairs[gradient->pair_count - 1 - i][0];
        operands[2 * i + 1] = gradient->pairs[gradient->pair_count - 1 - i][1];
    }
    gradient->pair_count = 0;
    builder_emit(&backward->builder, LLMRUN_OP_MATMUL_INPUT_GRAD, &attributes, operands, 0,
                 backward_gradient_name(backward, value));
    add_part(backward, value, operands[LLMRUN_MATMUL_INPUT_GRAD_DX]);
}

int32_t backward_gradient(struct backward *backward, int32_t value)
{
    if (value < 0)
        return NO_VALUE;
    settle_pairs(backward, value);
    return backward->gradients[value].value;
}

void backward_contribute(struct backward *backward, int32_t value, int32_t part)
{
    if (part != NO_VALUE && backward_needed(backward, value))
        add_part(backward, value, part);
}

void backward_contribute_pair(struct backward *backward, int32_t value, int32_t dy, int32_t weight)
{
    struct gradient *gradient = &backward->gradients[value];

    if (!backward_needed(backward, value))
        return;
    if (gradient->pair_count == MAX_PAIRS)
        settle_pairs(backward, value);
    gradient->pairs[gradient->pair_count][0] = dy;
    gradient->pairs[gradient->pair_count][1] = weight;
    gradient->pair_count++;
}
