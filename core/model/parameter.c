#include "model/parameter.h"

#include "base/hash.h"
#include "base/text.h"

int32_t parameter_build(struct builder *builder, const char *layers, int layer, const char *name, int64_t out,
                        int64_t in)
{
    const int64_t shape[] = {out, in};
    const uint32_t flags = VALUE_TRAINABLE | (in > 0 ? VALUE_DECAY : 0), rank = in > 0 ? 2 : 1;
    struct text full = {0};
    int32_t value = NO_VALUE;

    if (layer < 0)
        return build_parameter(builder, name, flags, rank, shape);
    text_add(&full, "%s%d.%s", layers, layer, name);
    if (!full.failed)
        value = build_parameter(builder, full.data, flags, rank, shape);
    else if (builder->status == STATUS_OK)
        builder->status = error_set(builder->error, STATUS_MEMORY, "no memory for the parameters of the model");
    text_free(&full);
    return value;
}

void parameter_init(struct builder *builder, uint64_t seed, int32_t value, float mean, float std)
{
    struct llmrun_init_attributes attributes = {0};
    int32_t operands[LLMRUN_INIT_OPERANDS] = {value};

    if (builder->status != STATUS_OK)
        return;
    attributes.key = hash_text(builder->program->values[value].name) ^ seed * 0x9E3779B97F4A7C15u;
    attributes.distribution = std > 0 ? LLMRUN_INIT_NORMAL : LLMRUN_INIT_CONSTANT;
    attributes.a = mean;
    attributes.b = std;
    builder_emit(builder, LLMRUN_OP_INIT, &attributes, operands, 0, "init");
}
