#include <stdio.h>

#include "model/model.h"

/* Keys or values of earlier tokens: as wide as those of the batch. */
static int32_t cache(struct builder *builder, const struct model_batch *batch, int32_t like, const char *which)
{
    int64_t shape[2] = {batch->cache_rows, 0};
    char name[32];

    if (builder->status != STATUS_OK)
        return NO_VALUE;
    shape[1] = builder->program->values[like].shape[1];
    snprintf(name, sizeof name, "cache.%d.%s", builder->layer, which);
    return build_value(builder, name, VALUE_CACHE, 0, builder->program->values[like].dtype, 2, shape);
}

int32_t model_build_attention(struct builder *builder, const struct model_batch *batch, int32_t q, int32_t k, int32_t v,
                              const struct attention_form *form, const char *name)
{
    int32_t k_cache, v_cache;

    if (batch->cache_rows == 0)
        return build_attention(builder, q, k, v, batch->segment_starts, batch->random, form, name);
    k_cache = cache(builder, batch, k, "k");
    v_cache = cache(builder, batch, v, "v");
    return build_attention_cached(builder, q, k, v, batch->cached, k_cache, v_cache, form, name);
}
