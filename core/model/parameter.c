#include "model/parameter.h"

#include <stdio.h>

#include "base/hash.h"

int32_t parameter_build(struct builder *builder, const char *layers, int layer, const char *name, int64_t out,
                        int64_t in)
{
    const int64_t shape[] = {out, in};
    char full[VALUE_NAME_BYTES];

    if (layer < 0)
        snprintf(full, sizeof full, "%s", name);
    else
        snprintf(full, sizeof full, "%s%d.%s", layers, layer, name);
    return build_parameter(builder, full, VALUE_TRAINABLE | (in > 0 ? VALUE_DECAY : 0), in > 0 ? 2 : 1, shape);
}

void parameter_init(struct builder *builder, uint64_t seed, int32_t value, float mean, float deviation)
{
    struct llmrun_init_attributes attributes = {0};
    int32_t operands[LLMRUN_INIT_OPERANDS] = {value};

    if (builder->status != STATUS_OK)
        return;
    attributes.key = hash_text(builder->program->values[value].name) ^ seed * 0x9E3779B97F4A7C15u;
    attributes.distribution = deviation > 0 ? LLMRUN_INIT_NORMAL : LLMRUN_INIT_CONSTANT;
    attributes.a = mean;
    attributes.b = deviation;
    builder_emit(builder, LLMRUN_OP_INIT, &attributes, operands, 0, "init");
}
