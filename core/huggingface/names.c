#include "huggingface/names.h"

#include <stdio.h>
#include <string.h>

/* GPT-2, of a layer, where it is not the same name in the same form. transformers' Conv1D keeps matrices as [in, out],
 * and Q, K and V are one. Facts: transformers/pytorch_utils.py, models/gpt2/modeling_gpt2.py. */
static const struct {
    const char *ours, *theirs;
    int part, parts;
    bool transposed;
} gpt2[] = {
    {"attn.q_proj.weight", "attn.c_attn.weight", 0, 3, true}, {"attn.k_proj.weight", "attn.c_attn.weight", 1, 3, true},
    {"attn.v_proj.weight", "attn.c_attn.weight", 2, 3, true}, {"attn.q_proj.bias", "attn.c_attn.bias", 0, 3, false},
    {"attn.k_proj.bias", "attn.c_attn.bias", 1, 3, false},    {"attn.v_proj.bias", "attn.c_attn.bias", 2, 3, false},
    {"attn.c_proj.weight", "attn.c_proj.weight", 0, 1, true}, {"mlp.c_fc.weight", "mlp.c_fc.weight", 0, 1, true},
    {"mlp.c_proj.weight", "mlp.c_proj.weight", 0, 1, true},
};

const char *hf_prefix(enum model_family family)
{
    return family == MODEL_GPT2 ? "transformer." : "model.";
}

const char *hf_embedding(enum model_family family)
{
    return family == MODEL_GPT2 ? "wte.weight" : "model.embed_tokens.weight";
}

/* "h.12.attn.c_proj.weight": behind "h.12."; the name itself outside the layers. */
static const char *within_layer(const char *name)
{
    const char *at = name + 2;

    if (strncmp(name, "h.", 2) != 0)
        return name;
    at += strspn(at, "0123456789");
    return *at == '.' ? at + 1 : name;
}

void hf_place_of(enum model_family family, const char *parameter, struct hf_place *place)
{
    const char *suffix = within_layer(parameter);

    /* LLaMA's parameters are called and stored as in transformers. */
    const bool prefixed = family == MODEL_GPT2 && strcmp(parameter, MODEL_HEAD_NAME) != 0;

    *place = (struct hf_place){.parts = 1};
    snprintf(place->name, sizeof place->name, "%s%s", prefixed ? hf_prefix(family) : "", parameter);
    if (family != MODEL_GPT2)
        return;
    for (size_t i = 0; i < sizeof gpt2 / sizeof gpt2[0]; i++)
        if (strcmp(gpt2[i].ours, suffix) == 0) {
            snprintf(place->name, sizeof place->name, "%s%.*s%s", hf_prefix(family), (int)(suffix - parameter),
                     parameter, gpt2[i].theirs);
            place->part = gpt2[i].part;
            place->parts = gpt2[i].parts;
            place->transposed = gpt2[i].transposed;
        }
}

bool hf_is_vocabulary(enum model_family family, const char *parameter)
{
    return strcmp(parameter, hf_embedding(family)) == 0 || strcmp(parameter, MODEL_HEAD_NAME) == 0;
}

struct shape hf_stored_shape(const struct model_config *config, const char *parameter, const struct shape *form,
                             const struct hf_place *place)
{
    struct shape shape = *form;

    if (hf_is_vocabulary(config->family, parameter))
        shape.extent[0] = config->vocab_size;
    shape.extent[0] *= place->parts;
    if (place->transposed) {
        int64_t rows = shape.extent[0];

        shape.extent[0] = shape.extent[1];
        shape.extent[1] = rows;
    }
    return shape;
}

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), wanted = strlen(end);

    return length >= wanted && strcmp(name + length - wanted, end) == 0;
}

bool hf_tensor_ignored(const struct model_config *config, const char *name)
{
    if (strcmp(name, MODEL_HEAD_NAME) == 0)
        return config->tie_word_embeddings;
    if (config->family == MODEL_GPT2)
        return ends_with(name, ".attn.bias") || ends_with(name, ".attn.masked_bias");
    return ends_with(name, ".rotary_emb.inv_freq");
}
