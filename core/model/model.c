#include "model/model.h"

#include <stddef.h>
#include <string.h>

#include "base/checked.h"
#include "model/gpt2.h"
#include "model/keys.h"
#include "model/llama.h"
#include "model/rope.h"

/* Planning the memory of a program takes a second for as many, and its time grows with their square. Published models
 * have up to 126. */
#define MOST_LAYERS 1000

static const struct {
    const char *name, *type;
} families[MODEL_FAMILIES] = {[MODEL_GPT2] = {"GPT-2", "gpt2"}, [MODEL_LLAMA] = {"LLaMA", "llama"}};

const char *model_family_name(enum model_family family)
{
    return families[family].name;
}

const char *model_family_type(enum model_family family)
{
    return families[family].type;
}

/* GPT2Config and LlamaConfig of transformers. */
void model_defaults(enum model_family family, struct model_config *config)
{
    static const struct model_config defaults[MODEL_FAMILIES] = {
        [MODEL_GPT2] = {.family = MODEL_GPT2,
                        .n_layer = 12,
                        .n_embd = 768,
                        .n_head = 12,
                        .n_positions = 1024,
                        .vocab_size = 50257,
                        .layer_norm_epsilon = 1e-5,
                        .initializer_range = 0.02,
                        .tie_word_embeddings = true},
        [MODEL_LLAMA] = {.family = MODEL_LLAMA,
                         .n_layer = 32,
                         .n_embd = 4096,
                         .n_head = 32,
                         .n_inner = 11008,
                         .n_positions = 2048,
                         .vocab_size = 32000,
                         .layer_norm_epsilon = 1e-6,
                         .initializer_range = 0.02,
                         .rope_theta = 10000},
    };

    *config = defaults[family];
}

int64_t model_head_width(const struct model_config *config)
{
    return config->head_dim > 0 ? config->head_dim : config->n_embd / config->n_head;
}

int64_t model_kv_heads(const struct model_config *config)
{
    return config->n_kv_head > 0 ? config->n_kv_head : config->n_head;
}

int64_t model_inner(const struct model_config *config)
{
    return config->n_inner > 0 ? config->n_inner : 4 * config->n_embd;
}

int64_t model_padded_vocabulary(const struct model_config *config)
{
    return round_up(config->vocab_size, 64);
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
    const enum model_family family = config->family;
    const char *heads = keys_name(family, offsetof(struct model_config, n_head));

    if (config->head_dim == 0 && config->n_embd % config->n_head != 0)
        return error_set(error, STATUS_USAGE, "model: %s %lld is not a multiple of %s %lld",
                         keys_name(family, offsetof(struct model_config, n_embd)), (long long)config->n_embd, heads,
                         (long long)config->n_head);
    if (family == MODEL_GPT2)
        return STATUS_OK;
    if (config->n_head % model_kv_heads(config) != 0)
        return error_set(error, STATUS_USAGE, "model: %s %lld is not a multiple of num_key_value_heads %lld", heads,
                         (long long)config->n_head, (long long)config->n_kv_head);
    if (model_head_width(config) % 2 != 0)
        return error_set(error, STATUS_USAGE, "model: a head is %lld wide; rotary positions need an even width",
                         (long long)model_head_width(config));
    if (!(config->rope_theta > 1))
        return error_set(error, STATUS_USAGE, "model: rope_theta is %g; a number above 1 is needed",
                         config->rope_theta);
    return STATUS_OK;
}

int model_check(const struct model_config *config, struct error *error)
{
    int status = check_extents(config, error);

    if (status == STATUS_OK)
        status = check_heads(config, error);
    if (status == STATUS_OK && !parameters_fit(config))
        return error_set(error, STATUS_USAGE, "model: the number of parameters does not fit into 63 bits");
    return status;
}

int64_t model_parameters(const struct model_config *config)
{
    const int64_t c = config->n_embd, n = model_inner(config);
    const int64_t vocabulary = (config->tie_word_embeddings ? 1 : 2) * config->vocab_size;

    if (config->family == MODEL_LLAMA) {
        const int64_t q = config->n_head * model_head_width(config),
                      kv = model_kv_heads(config) * model_head_width(config);
        const int64_t layer = c * (q + kv + kv) + q * c + 3 * c * n + 2 * c;

        return config->n_layer * layer + vocabulary * c + c;
    }
    return config->n_layer * (4 * (c * c + c) + 2 * c * n + n + c + 4 * c) + (vocabulary + config->n_positions) * c +
           2 * c;
}

void model_build_init(struct builder *builder, const struct model_config *config, uint64_t seed)
{
    if (config->family == MODEL_LLAMA)
        llama_build_init(builder, config, seed);
    else
        gpt2_build_init(builder, config, seed);
}

int32_t model_build_hidden(struct builder *builder, const struct model_config *config, const struct model_batch *batch)
{
    return config->family == MODEL_LLAMA ? llama_build_hidden(builder, config, batch)
                                         : gpt2_build_hidden(builder, config, batch);
}

int32_t model_build_head(struct builder *builder, const struct model_config *config)
{
    return config->family == MODEL_LLAMA ? llama_build_head(builder, config) : gpt2_build_head(builder, config);
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
