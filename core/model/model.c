#include "model/model.h"

#include <stddef.h>
#include <string.h>

#include "base/checked.h"
#include "model/family.h"
#include "model/rope.h"

/* Planning the memory of a program takes a second for as many, and its time grows with their square. Published models
 * have up to 126. */
#define MOST_LAYERS 1000

void model_defaults(const struct model_family *family, struct model_config *config)
{
    *config = family->defaults;
    config->family = family;
}

/* Whether model_parameters and the bytes of any value stay below 2^63. */
static bool parameters_fit(const struct model_config *config)
{
    int64_t attention, mlp, layers, rows, outside, total;

    return checked_mul(model_head_width(config), config->n_head, &attention) && checked_mul(attention, 8, &attention) &&
           checked_mul(attention, config->n_embd, &attention) && checked_mul(config->n_embd, 4, &mlp) &&
           checked_mul(model_inner(config), mlp, &mlp) && checked_add(attention, mlp, &layers) &&
           checked_mul(layers, config->n_layer, &layers) &&
           checked_add(2 * model_padded_vocabulary(config), config->n_positions, &rows) &&
           checked_mul(rows, config->n_embd, &outside) && checked_add(layers, outside, &total) &&
           checked_mul(total, 8, &total);
}

/* Extents that may be 0 for their default are not listed. */
static int check_extents(const struct model_config *config, struct error *error)
{
    static const size_t extents[] = {offsetof(struct model_config, n_layer), offsetof(struct model_config, n_embd),
                                     offsetof(struct model_config, n_head), offsetof(struct model_config, n_positions),
                                     offsetof(struct model_config, vocab_size)};

    for (size_t i = 0; i < sizeof extents / sizeof extents[0]; i++) {
        int64_t extent;

        memcpy(&extent, (const char *)config + extents[i], sizeof extent);
        if (extent < 1)
            return error_set(error, STATUS_USAGE, "model: %s is %lld; at least 1 is needed",
                             keys_name(config->family, extents[i]), (long long)extent);
    }
    if (config->n_layer > MOST_LAYERS)
        return error_set(error, STATUS_USAGE, "model: %s is %lld; at most %d layers can be built",
                         keys_name(config->family, offsetof(struct model_config, n_layer)), (long long)config->n_layer,
                         MOST_LAYERS);
    return STATUS_OK;
}

/* Of heads, which extents that are at least 1 may still not fit. */
static int check_heads(const struct model_config *config, struct error *error)
{
    const struct model_family *family = config->family;
    const char *heads = keys_name(family, offsetof(struct model_config, n_head));

    if (config->head_dim == 0 && config->n_embd % config->n_head != 0)
        return error_set(error, STATUS_USAGE, "model: %s %lld is not a multiple of %s %lld",
                         keys_name(family, offsetof(struct model_config, n_embd)), (long long)config->n_embd, heads,
                         (long long)config->n_head);
    return STATUS_OK;
}

int model_check(const struct model_config *config, struct error *error)
{
    int status = check_extents(config, error);

    if (status == STATUS_OK)
        status = check_heads(config, error);
    if (status == STATUS_OK && config->family->check != NULL)
        status = config->family->check(config, error);
    if (status == STATUS_OK && !parameters_fit(config))
        return error_set(error, STATUS_USAGE, "model: the number of parameters does not fit into 63 bits");
    return status;
}

static int32_t declare_head(const struct parameters *parameters)
{
    const struct model_config *config = parameters->config;

    return parameter(parameters, -1, config->tie_word_embeddings ? config->family->embedding : MODEL_HEAD_NAME,
                     model_padded_vocabulary(config), config->n_embd,
                     (struct initial){0, (float)config->initializer_range});
}

static void declare_all(const struct parameters *parameters)
{
    const struct model_config *config = parameters->config;

    config->family->declare_outer(parameters);
    if (!config->tie_word_embeddings)
        declare_head(parameters);
    for (int i = 0; i < config->n_layer; i++)
        config->family->declare_layer(parameters, i);
}

int64_t model_parameters(const struct model_config *config)
{
    int64_t count = 0;

    declare_all(&(struct parameters){.config = config, .count = &count});
    return count;
}

void model_build_init(struct builder *builder, const struct model_config *config, uint64_t seed)
{
    declare_all(&(struct parameters){.builder = builder, .config = config, .initialize = true, .seed = seed});
}

int32_t model_build_hidden(struct builder *builder, const struct model_config *config, const struct model_batch *batch)
{
    return config->family->build_hidden(builder, config, batch);
}

int32_t model_build_head(struct builder *builder, const struct model_config *config)
{
    return declare_head(&(struct parameters){.builder = builder, .config = config});
}

int model_fill_constant(const struct model_config *config, const struct value *value, void *data, struct error *error)
{
    if (strcmp(value->name, ROPE_COSINES) == 0)
        rope_cosines(config, value->full[0], data);
    else if (strcmp(value->name, ROPE_SINES) == 0)
        rope_sines(config, value->full[0], data);
    else
        return error_set(error, STATUS_BUG, "no model fills the constant %s", value->name);
    return STATUS_OK;
}
