#include <string.h>

#include "model/model.h"

struct preset {
    const char *name;
    struct model_config config;
};

#define GPT2_LIKE(layers, width, heads, inner, context, vocabulary, deviation)                                         \
    {                                                                                                                  \
        .family = MODEL_GPT2, .n_layer = layers, .n_embd = width, .n_head = heads, .n_inner = inner,                   \
        .n_positions = context, .vocab_size = vocabulary, .layer_norm_epsilon = 1e-5, .initializer_range = deviation,  \
        .tie_word_embeddings = true                                                                                    \
    }
#define GPT2(layers, width, heads, context, vocabulary) GPT2_LIKE(layers, width, heads, 0, context, vocabulary, 0.02)

/* demo, *-tiny: ours. gpt2*: Radford et al. 2019, table 2, as transformers' configurations. pax-gpt-*: google/paxml
 * paxml/contrib/gpu/scripts_gpu/configs.py, classes GPT126M, GPT5B, GPT175B; 175B keeps the deviation of its base
 * class. */
static const struct preset presets[] = {
    {"demo", GPT2(4, 128, 4, 128, 256)},
    {"gpt2-tiny", GPT2(8, 64, 8, 256, 256)},
    {"gpt2", GPT2(12, 768, 12, 1024, 50257)},
    {"gpt2-medium", GPT2(24, 1024, 16, 1024, 50257)},
    {"gpt2-large", GPT2(36, 1280, 20, 1024, 50257)},
    {"gpt2-xl", GPT2(48, 1600, 25, 1024, 50257)},
    {"pax-gpt-126m", GPT2_LIKE(12, 768, 12, 3072, 2048, 50304, 0.023)},
    {"pax-gpt-5b", GPT2_LIKE(24, 4096, 32, 16384, 2048, 50304, 0.01)},
    {"pax-gpt-175b", GPT2_LIKE(96, 12288, 96, 49152, 2048, 50257, 0.023)},
};

#define PRESETS (sizeof presets / sizeof presets[0])

const char *const *model_preset_names(void)
{
    static const char *const names[] = {"demo",    "gpt2-tiny",    "gpt2",       "gpt2-medium",  "gpt2-large",
                                        "gpt2-xl", "pax-gpt-126m", "pax-gpt-5b", "pax-gpt-175b", NULL};

    return names;
}

int model_preset(const char *name, struct model_config *config, struct error *error)
{
    for (size_t i = 0; i < PRESETS; i++)
        if (strcmp(presets[i].name, name) == 0) {
            *config = presets[i].config;
            return STATUS_OK;
        }
    return error_set(
        error, STATUS_USAGE,
        "model.preset: there is no preset '%s'; the presets are demo, gpt2-tiny, gpt2, gpt2-medium, gpt2-large, "
        "gpt2-xl, pax-gpt-126m, pax-gpt-5b, pax-gpt-175b",
        name);
}
