#include "model/model.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "model/gpt2.h"

/* Keys of config.json that can be set, with where they go. */
static const struct {
    const char *key;
    size_t offset;
    bool real;
} keys[] = {
    {"n_layer", offsetof(struct model_config, n_layer), false},
    {"n_embd", offsetof(struct model_config, n_embd), false},
    {"n_head", offsetof(struct model_config, n_head), false},
    {"n_inner", offsetof(struct model_config, n_inner), false},
    {"n_positions", offsetof(struct model_config, n_positions), false},
    {"n_ctx", offsetof(struct model_config, n_positions), false},
    {"vocab_size", offsetof(struct model_config, vocab_size), false},
    {"layer_norm_epsilon", offsetof(struct model_config, layer_norm_epsilon), true},
    {"initializer_range", offsetof(struct model_config, initializer_range), true},
};

#define KEYS (sizeof keys / sizeof keys[0])

static int set_number(struct model_config *config, size_t key, const char *value, struct error *error)
{
    void *at = (char *)config + keys[key].offset;
    char *end;

    if (keys[key].real) {
        double number = strtod(value, &end);

        if (end == value || *end != '\0' || !(number > 0) || number > 1)
            return error_set(error, STATUS_USAGE,
                             "model.overrides.%s is '%s'; a number above 0 and at most 1 is wanted", keys[key].key,
                             value);
        memcpy(at, &number, sizeof number);
    } else {
        long long number = strtoll(value, &end, 10);
        int64_t wide = number;

        if (end == value || *end != '\0' || number < 1 || number > (1 << 30))
            return error_set(error, STATUS_USAGE, "model.overrides.%s is '%s'; a whole number from 1 to %d is wanted",
                             keys[key].key, value, 1 << 30);
        memcpy(at, &wide, sizeof wide);
    }
    return STATUS_OK;
}

int model_override(struct model_config *config, const char *key, const char *value, struct error *error)
{
    if (strcmp(key, "activation_function") == 0) {
        if (strcmp(value, "gelu_new") == 0)
            return STATUS_OK;
        return error_set(error, STATUS_USAGE, "model.overrides.activation_function is '%s'; GPT-2 here has gelu_new",
                         value);
    }
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(keys[i].key, key) == 0)
            return set_number(config, i, value, error);
    return error_set(
        error, STATUS_USAGE,
        "model.overrides has no key '%s' for GPT-2; the keys are n_layer, n_embd, n_head, n_inner, n_positions, "
        "n_ctx, vocab_size, layer_norm_epsilon, initializer_range, activation_function",
        key);
}

static int64_t inner(const struct model_config *config)
{
    return config->n_inner > 0 ? config->n_inner : 4 * config->n_embd;
}

/* Whether model_parameters and the bytes of any value stay below 2^63. */
static bool parameters_fit(const struct model_config *config)
{
    int64_t attention, mlp, layers, rows, outside, total;

    return checked_mul(config->n_embd, 8 * config->n_embd, &attention) && checked_mul(config->n_embd, 4, &mlp) &&
           checked_mul(inner(config), mlp, &mlp) && checked_add(attention, mlp, &layers) &&
           checked_mul(layers, config->n_layer, &layers) &&
           checked_add(model_padded_vocabulary(config), config->n_positions, &rows) &&
           checked_mul(rows, config->n_embd, &outside) && checked_add(layers, outside, &total) &&
           checked_mul(total, 8, &total);
}

int model_check(const struct model_config *config, struct error *error)
{
    for (size_t i = 0; i < KEYS; i++) {
        int64_t extent;

        memcpy(&extent, (const char *)config + keys[i].offset, sizeof extent);
        if (!keys[i].real && extent < 1 && keys[i].offset != offsetof(struct model_config, n_inner))
            return error_set(error, STATUS_USAGE, "model: %s is %lld; at least 1 is needed", keys[i].key,
                             (long long)extent);
    }
    if (config->n_embd % config->n_head != 0)
        return error_set(error, STATUS_USAGE, "model: n_embd %lld is not a multiple of n_head %lld",
                         (long long)config->n_embd, (long long)config->n_head);
    if (config->n_layer > 10000)
        return error_set(error, STATUS_USAGE, "model: n_layer is %lld; at most 10000 layers can be built",
                         (long long)config->n_layer);
    if (!parameters_fit(config))
        return error_set(error, STATUS_USAGE, "model: the number of parameters does not fit into 63 bits");
    return STATUS_OK;
}

int64_t model_padded_vocabulary(const struct model_config *config)
{
    return round_up(config->vocab_size, 64);
}

int64_t model_parameters(const struct model_config *config)
{
    const int64_t c = config->n_embd, n = inner(config);
    const int64_t layer = 4 * (c * c + c) + 2 * c * n + n + c + 4 * c;

    return config->n_layer * layer + (config->vocab_size + config->n_positions) * c + 2 * c;
}

void model_build_init(struct builder *builder, const struct model_config *config, uint64_t seed)
{
    gpt2_build_init(builder, config, seed);
}

int32_t model_build_hidden(struct builder *builder, const struct model_config *config, const struct model_batch *batch)
{
    return gpt2_build_hidden(builder, config, batch);
}

int32_t model_build_head(struct builder *builder, const struct model_config *config)
{
    return gpt2_build_head(builder, config);
}
