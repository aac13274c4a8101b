#include <string.h>

#include "base/text.h"
#include "model/family.h"

struct preset {
    const char *name;
    struct model_config config;
};

#define GPT2_LIKE(layers, width, heads, inner, context, vocabulary, std)                                               \
    {                                                                                                                  \
        .family = &family_gpt2, .n_layer = layers, .n_embd = width, .n_head = heads, .n_inner = inner,                 \
        .n_positions = context, .vocab_size = vocabulary, .layer_norm_epsilon = 1e-5, .initializer_range = std,        \
        .tie_word_embeddings = true                                                                                    \
    }
#define GPT2(layers, width, heads, context, vocabulary) GPT2_LIKE(layers, width, heads, 0, context, vocabulary, 0.02)

#define LLAMA(layers, width, heads, kv_heads, inner, context, vocabulary, epsilon, theta)                              \
    {                                                                                                                  \
        .family = &family_llama, .n_layer = layers, .n_embd = width, .n_head = heads, .n_kv_head = kv_heads,           \
        .n_inner = inner, .n_positions = context, .vocab_size = vocabulary, .layer_norm_epsilon = epsilon,             \
        .initializer_range = 0.02, .rope_theta = theta                                                                 \
    }

#define QWEN2(layers, width, heads, kv_heads, inner, vocabulary, tied)                                                 \
    {                                                                                                                  \
        .family = &family_qwen2, .n_layer = layers, .n_embd = width, .n_head = heads, .n_kv_head = kv_heads,           \
        .n_inner = inner, .n_positions = 32768, .vocab_size = vocabulary, .layer_norm_epsilon = 1e-6,                  \
        .initializer_range = 0.02, .tie_word_embeddings = tied, .rope_theta = 1000000                                  \
    }

#define QWEN3(layers, width, heads, kv_heads, head, inner, context, vocabulary, tied)                                  \
    {                                                                                                                  \
        .family = &family_qwen3, .n_layer = layers, .n_embd = width, .n_head = heads, .n_kv_head = kv_heads,           \
        .head_dim = head, .n_inner = inner, .n_positions = context, .vocab_size = vocabulary,                          \
        .layer_norm_epsilon = 1e-6, .initializer_range = 0.02, .tie_word_embeddings = tied, .rope_theta = 1000000      \
    }

/* demo, *-tiny, *-8: ours, *-8 for tests of layouts, which split 8 heads. gpt2*: Radford et al. 2019, table 2, as
 * transformers' configurations. pax-gpt-*: google/paxml paxml/contrib/gpu/scripts_gpu/configs.py, classes GPT126M,
 * GPT5B, GPT175B; 175B keeps the std of its base class. llama-*: Touvron et al. 2023a, table 2; llama2-*: 2023b, table
 * 1; llama3-*: Grattafiori et al. 2024, table 3, with the context of the first release; the rest as in their
 * config.json. The epsilon of a LLaMA is `norm_eps` of the params.json that its weights came with. In LLaMA 1 the
 * largest differs from the others: tinygrad/tinygrad examples/llama.py, MODEL_PARAMS "1"; young-geng/EasyLM
 * convert_hf_to_easylm.py, LLAMA_STANDARD_CONFIGS. In LLaMA 2 it is 1e-5 for all: the same file, "2"; the 1e-6 of the
 * first downloads of 7B was a mistake, meta-llama/llama issue 771. LLaMA 3: tinygrad/tinygrad examples/llama3.py.
 * mistral-7b: Jiang et al. 2023, table 1. qwen2.5-*: Yang et al. 2024b, table 1, with the context of their pretraining;
 * the rest as in their config.json. */
static const struct preset presets[] = {
    {"demo", GPT2(4, 128, 4, 128, 256)},
    {"gpt2-tiny", GPT2(8, 64, 8, 256, 256)},
    {"gpt2-8", GPT2(2, 64, 8, 256, 256)},
    {"gpt2", GPT2(12, 768, 12, 1024, 50257)},
    {"gpt2-medium", GPT2(24, 1024, 16, 1024, 50257)},
    {"gpt2-large", GPT2(36, 1280, 20, 1024, 50257)},
    {"gpt2-xl", GPT2(48, 1600, 25, 1024, 50257)},
    {"pax-gpt-126m", GPT2_LIKE(12, 768, 12, 3072, 2048, 50304, 0.023)},
    {"pax-gpt-5b", GPT2_LIKE(24, 4096, 32, 16384, 2048, 50304, 0.01)},
    {"pax-gpt-175b", GPT2_LIKE(96, 12288, 96, 49152, 2048, 50257, 0.023)},
    {"llama-tiny", LLAMA(8, 64, 8, 4, 192, 256, 256, 1e-5, 10000)},
    {"llama-8", LLAMA(2, 64, 8, 8, 192, 256, 256, 1e-5, 10000)},
    {"llama-7b", LLAMA(32, 4096, 32, 32, 11008, 2048, 32000, 1e-6, 10000)},
    {"llama-13b", LLAMA(40, 5120, 40, 40, 13824, 2048, 32000, 1e-6, 10000)},
    {"llama-30b", LLAMA(60, 6656, 52, 52, 17920, 2048, 32000, 1e-6, 10000)},
    {"llama-65b", LLAMA(80, 8192, 64, 64, 22016, 2048, 32000, 1e-5, 10000)},
    {"llama2-7b", LLAMA(32, 4096, 32, 32, 11008, 4096, 32000, 1e-5, 10000)},
    {"llama2-13b", LLAMA(40, 5120, 40, 40, 13824, 4096, 32000, 1e-5, 10000)},
    {"llama2-70b", LLAMA(80, 8192, 64, 8, 28672, 4096, 32000, 1e-5, 10000)},
    {"llama3-8b", LLAMA(32, 4096, 32, 8, 14336, 8192, 128256, 1e-5, 500000)},
    {"llama3-70b", LLAMA(80, 8192, 64, 8, 28672, 8192, 128256, 1e-5, 500000)},
    {"mistral-7b",
     {.family = &family_mistral,
      .n_layer = 32,
      .n_embd = 4096,
      .n_head = 32,
      .n_kv_head = 8,
      .n_inner = 14336,
      .n_positions = 8192,
      .sliding_window = 4096,
      .vocab_size = 32000,
      .layer_norm_epsilon = 1e-5,
      .initializer_range = 0.02,
      .rope_theta = 10000}},
    {"qwen2.5-0.5b", QWEN2(24, 896, 14, 2, 4864, 151936, true)},
    {"qwen2.5-1.5b", QWEN2(28, 1536, 12, 2, 8960, 151936, true)},
    {"qwen2.5-7b", QWEN2(28, 3584, 28, 4, 18944, 152064, false)},
    {"qwen3-8", QWEN3(2, 64, 16, 8, 8, 192, 256, 256, true)},
    {"qwen3-0.6b", QWEN3(28, 1024, 16, 8, 128, 3072, 32768, 151936, true)},
    {"qwen3-1.7b", QWEN3(28, 2048, 16, 8, 128, 6144, 32768, 151936, true)},
    {"qwen3-8b", QWEN3(36, 4096, 32, 8, 128, 12288, 32768, 151936, false)},
};

#define PRESETS (sizeof presets / sizeof presets[0])

const char *model_preset_name(int i)
{
    return (size_t)i < PRESETS ? presets[i].name : NULL;
}

int model_preset(const char *name, struct model_config *config, struct error *error)
{
    struct text all = {0};
    int status;

    for (size_t i = 0; i < PRESETS; i++) {
        if (strcmp(presets[i].name, name) == 0) {
            *config = presets[i].config;
            text_finish(&all);
            return STATUS_OK;
        }
        text_add(&all, "%s%s", i > 0 ? ", " : "", presets[i].name);
    }
    status = error_set(error, STATUS_USAGE, "model.preset: there is no preset '%.80s'; the presets are %s", name,
                       all.failed ? "in docs/config.md" : all.data);
    text_finish(&all);
    return status;
}
