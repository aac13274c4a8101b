/* LLaMA (Touvron et al. 2023a, 2023b; Grattafiori et al. 2024). */
#include "model/decoder.h"

static const struct key keys[] = {
    KEYS_OF_DECODERS,
    {"head_dim", KEY_OPTIONAL, KEY_WRITTEN, offsetof(struct model_config, head_dim), NULL, model_head_width},
    {"attention_bias", KEY_FIXED, KEY_WRITTEN, KEY_ALLOWS("false")},
    {"mlp_bias", KEY_FIXED, KEY_WRITTEN, KEY_ALLOWS("false")},
    {"pretraining_tp", KEY_UNUSED, KEY_LEFT, KEY_NOWHERE}, /* in how many parts sums were cut */
    {NULL, KEY_FIXED, KEY_LEFT, KEY_NOWHERE},
};

/* Defaults of LlamaConfig. */
const struct model_family family_llama = {
    .name = "LLaMA",
    .type = "llama",
    .architecture = "LlamaForCausalLM",
    .keys = keys,
    .defaults = {.n_layer = 32,
                 .n_embd = 4096,
                 .n_head = 32,
                 .n_inner = 11008,
                 .n_positions = 2048,
                 .vocab_size = 32000,
                 .layer_norm_epsilon = 1e-6,
                 .initializer_range = 0.02,
                 .rope_theta = 10000},
    DECODER_FAMILY,
};
