/* Qwen2 and Qwen2.5 (Yang et al. 2024a, 2024b): LLaMA's decoder with biases on queries, keys and values. Windows, which
 * the published models have in their files and do not use, are refused where a file uses them. */
#include "model/decoder.h"

static const struct key keys[] = {
    KEYS_OF_DECODERS,
    {"head_dim", KEY_OPTIONAL, KEY_IF_SET, KEY_AT(head_dim)},
    KEYS_OF_UNUSED_WINDOWS,
    {NULL, KEY_FIXED, KEY_LEFT, KEY_NOWHERE},
};

/* Defaults of Qwen2Config. */
const struct model_family family_qwen2 = {
    .name = "Qwen2",
    .type = "qwen2",
    .architecture = "Qwen2ForCausalLM",
    .keys = keys,
    .defaults = {.n_layer = 32,
                 .n_embd = 4096,
                 .n_head = 32,
                 .n_kv_head = 32,
                 .n_inner = 22016,
                 .n_positions = 32768,
                 .vocab_size = 151936,
                 .layer_norm_epsilon = 1e-6,
                 .initializer_range = 0.02,
                 .rope_theta = 10000},
    DECODER_FAMILY,
    .qkv_bias = true,
};
