/* Qwen3 (Yang et al. 2025), the dense models: LLaMA's decoder with norms of queries and keys over each head. Windows as
 * in Qwen2. */
#include "model/decoder.h"

static const struct key keys[] = {
    KEYS_OF_DECODERS,
    {"head_dim", KEY_OPTIONAL, KEY_WRITTEN, offsetof(struct model_config, head_dim), NULL, model_head_width},
    {"attention_bias", KEY_FIXED, KEY_WRITTEN, KEY_ALLOWS("false")},
    KEYS_OF_UNUSED_WINDOWS,
    {NULL, KEY_FIXED, KEY_LEFT, KEY_NOWHERE},
};

/* Defaults of Qwen3Config. */
const struct model_family family_qwen3 = {
    .name = "Qwen3",
    .type = "qwen3",
    .architecture = "Qwen3ForCausalLM",
    .keys = keys,
    .defaults = {.n_layer = 32,
                 .n_embd = 4096,
                 .n_head = 32,
                 .n_kv_head = 32,
                 .head_dim = 128,
                 .n_inner = 22016,
                 .n_positions = 32768,
                 .vocab_size = 151936,
                 .layer_norm_epsilon = 1e-6,
                 .initializer_range = 0.02,
                 .rope_theta = 10000},
    DECODER_FAMILY,
    .qk_norm = true,
};
