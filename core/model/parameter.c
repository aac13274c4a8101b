#include "model/parameter.h"

#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "model/family.h"

static void initialize(const struct parameters *parameters, int32_t value, struct initial initial)
{
    struct builder *builder = parameters->builder;
    struct llmrun_init_attributes attributes = {0};
    int32_t operands[LLMRUN_INIT_OPERANDS] = {value};

    if (builder->status != STATUS_OK)
        return;
    attributes.stream_id = hash_text(builder->program->values[value].name) ^ parameters->seed * 0x9E3779B97F4A7C15u;
    attributes.distribution = initial.std > 0 ? LLMRUN_INIT_NORMAL : LLMRUN_INIT_CONSTANT;
    attributes.a = initial.mean;
    attributes.b = initial.std;
    builder_emit(builder, LLMRUN_OP_INIT, &attributes, operands, 0, "init");
}

static void count(const struct parameters *parameters, int layer, const char *name, int64_t out, int64_t in)
{
    const struct model_config *config = parameters->config;

    if (layer < 0 && (strcmp(name, config->family->embedding) == 0 || strcmp(name, MODEL_HEAD_NAME) == 0))
        out = config->vocab_size;
    *parameters->count += out * (in > 0 ? in : 1);
}

int32_t parameter(const struct parameters *parameters, int layer, const char *name, int64_t out, int64_t in,
                  struct initial initial)
{
    struct builder *builder = parameters->builder;
    const int64_t shape[] = {out, in};
    const uint32_t flags = VALUE_TRAINABLE | (in > 0 ? VALUE_DECAY : 0), rank = in > 0 ? 2 : 1;
    struct text full = {0};
    int32_t value = NO_VALUE;

    if (parameters->count != NULL)
        count(parameters, layer, name, out, in);
    if (builder == NULL)
        return NO_VALUE;
    if (layer >= 0)
        text_add(&full, "%s%d.%s", parameters->config->family->layers, layer, name);
    if (!full.failed)
        value = build_parameter(builder, layer >= 0 ? full.data : name, flags, rank, shape);
    else if (builder->status == STATUS_OK)
        builder->status = error_set(builder->error, STATUS_MEMORY, "no memory for the parameters of the model");
    text_finish(&full);
    if (parameters->initialize)
        initialize(parameters, value, initial);
    return value;
}
