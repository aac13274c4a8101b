/* Mistral (Jiang et al. 2023): LLaMA's decoder; a token sees those in a window before it. Sequences within the window,
 * which see all before them, are computed; longer ones are refused (model_context). */
#include "model/decoder.h"

static const struct key keys[] = {
    KEYS_OF_DECODERS,
    {"head_dim", KEY_OPTIONAL, KEY_WRITTEN, offsetof(struct model_config, head_dim), NULL, model_head_width},
    {"sliding_window", KEY_OPTIONAL, KEY_WRITTEN, KEY_AT(sliding_window)},
    {NULL, KEY_FIXED, KEY_LEFT, KEY_NOWHERE},
};

/* Defaults of MistralConfig. */
const struct model_family family_mistral = {
    .name = "Mistral",
    .type = "mistral",
    .architecture = "MistralForCausalLM",
    .keys = keys,
    .defaults = {.n_layer = 32,
                 .n_embd = 4096,
                 .n_head = 32,
                 .n_kv_head = 8,
                 .n_inner = 14336,
                 .n_positions = 131072,
                 .sliding_window = 4096,
                 .vocab_size = 32000,
                 .layer_norm_epsilon = 1e-6,
                 .initializer_range = 0.02,
                 .rope_theta = 10000},
    DECODER_FAMILY,
};
