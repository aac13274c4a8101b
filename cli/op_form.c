#include "op_form.h"

#include <string.h>

#include "program/axes.h"

/* Extents that fit each other: rows are 2 sequences of 64 tokens, 4 query heads and 2 key-value heads of width 64. */
static const struct axes_binding extents = {
    .entries = {{"b", 2},   {"b s", 128}, {"c", 256},   {"k", 256},     {"n", 512}, {"p", 256},   {"q", 256},
                {"v", 512}, {"h", 4},     {"h d", 256}, {"g r d", 256}, {"g r", 4}, {"g d", 128}, {"t", 8},
                {"s", 64},  {"r", 128},   {"e", 32},    {"p u/", 2048}, {"b/", 1},  {"s/", 8},    {"h c", 1024},
                {"h/", 1},  {"b j", 128}, {"b t", 8},   {"j", 128},     {"u", 1},   {"v/", 1}},
    .count = 27,
};

/* Numbers for the attributes, as a training step would have them; `bare` is that of the form without options. */
static const struct {
    const char *name;
    double whole;
    double bare;
} numbers[] = {
    {"activation", LLMRUN_ACTIVATION_GELU, LLMRUN_ACTIVATION_NONE},
    {"feature_parts", 1, 1},
    {"vocabulary_parts", 1, 1},
    {"seq_len", 64, 64},
    {"keys", 64, 64},
    {"query_first", 0, 0},
    {"heads", 4, 4},
    {"kv_heads", 2, 2},
    {"kv_head_first", 0, 0},
    {"kv_heads_full", 0, 0},
    {"inverse", 1, 0},
    {"scale", 0.125, 0.125},
    {"dropout", 0.1, 0},
    {"probability", 0.1, 0.1},
    {"stream_id", 1, 1},
    {"vocabulary", 500, 512},
    {"first", 0, 0},
    {"full", 500, 512},
    {"distribution", LLMRUN_INIT_NORMAL, LLMRUN_INIT_CONSTANT},
    {"a", 0, 0},
    {"b", 0.02, 0},
    {"slot", 0, 0},
    {"row_parts", 1, 1},
    {"column_parts", 1, 1},
    {"max_norm", 1, 0},
    {"beta1", 0.9, 0.9},
    {"beta2", 0.95, 0.95},
    {"epsilon", 1e-5, 1e-5},
    {"weight_decay", 0.1, 0},
    {"batch_parts", 1, 1},
    {"position_parts", 8, 8},
    {"head_parts", 1, 1},
    {"row_first", 1, 0},
    {"position_first", 64, 0},
    {"positions_full", 128, 0},
    {"channel_first", 256, 0},
    {"channels_full", 512, 0},
    {"first0", 1, 0},
    {"full0", 1024, 0},
    {"first1", 0, 0},
    {"full1", 0, 0},
    {"first2", 0, 0},
    {"full2", 0, 0},
    {"slot_stride", 4, 0},
    {"replica", 0, 0},
    {"reserved", 0, 0},
};

static bool set_attribute(const struct op_info *info, uint32_t index, bool whole, unsigned char *attributes)
{
    const struct attribute_info *attribute = &info->attributes[index];
    unsigned char *at = attributes + op_attribute_offset(info, index);

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const double number = whole ? numbers[i].whole : numbers[i].bare;
        const int64_t wide = (int64_t)number;
        const uint32_t narrow = (uint32_t)number;
        const float real = (float)number;

        if (strcmp(attribute->name, numbers[i].name) != 0)
            continue;
        if (attribute->type == ATTRIBUTE_F32)
            memcpy(at, &real, sizeof real);
        else if (attribute_type_bytes(attribute->type) == 8)
            memcpy(at, &wide, sizeof wide);
        else
            memcpy(at, &narrow, sizeof narrow);
        return true;
    }
    return false;
}

static uint32_t operand_dtype(const struct operand_info *operand, uint32_t compute)
{
    if (operand->class == CLASS_ANY && operand->direction == OPERAND_IN) /* a cast is asked for from the other type */
        return compute == LLMRUN_F32 ? LLMRUN_BF16 : LLMRUN_F32;
    return operand_class_dtype(operand->class, compute);
}

static bool set_operand(const struct operand_info *operand, uint32_t compute, struct llmrun_tensor *tensor)
{
    /* Any number of dimensions: one will do. */
    const char *axes = strstr(operand->axes, "...") != NULL ? "n" : operand->axes;
    int64_t stride = 1;

    if (!axes_shape(&extents, axes, &tensor->rank, tensor->shape))
        return false;
    tensor->dtype = operand_dtype(operand, compute);
    tensor->alignment = 64;
    for (uint32_t i = tensor->rank; i-- > 0;) {
        tensor->stride[i] = stride;
        stride *= tensor->shape[i];
    }
    return true;
}

bool op_form_make(const struct op_info *info, uint32_t compute, bool whole, uint32_t flags, struct op_form *form)
{
    memset(form, 0, sizeof *form);
    for (uint32_t i = 0; info->attributes[i].name != NULL; i++)
        if (!set_attribute(info, i, whole, form->attributes))
            return false;
    for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
        const struct operand_info *operand = &info->operands[i];
        /* A weight copy in another type is only kept where the compute type is not that of the weights. */
        const bool copy_in_own_type = operand->class == CLASS_ANY && compute == LLMRUN_F32;

        if (operand->optional && (!whole || copy_in_own_type))
            continue;
        if (!set_operand(operand, compute, &form->operands[i]))
            return false;
    }
    form->op = (struct llmrun_op){
        .size = sizeof form->op,
        .op = info->id,
        .version = info->version,
        .flags = flags,
        .attribute_bytes = op_attribute_bytes(info),
        .operand_count = op_operand_count(info),
        .attributes = form->attributes,
        .operands = form->operands,
        .operand_stride = sizeof form->operands[0],
    };
    op_lower(info, &form->op);
    return true;
}
