/* The decoder that LLaMA (Touvron et al. 2023) made usual, as Hugging Face transformers names and computes it: pre-norm
 * blocks with RMSNorm, rotary positions, grouped queries, SwiGLU, no biases. Families that are this but for what
 * struct model_family says share it. */
#ifndef LLMRUN_MODEL_DECODER_H
#define LLMRUN_MODEL_DECODER_H

#include "model/family.h"

int decoder_check(const struct model_config *config, struct error *error);
void decoder_declare_outer(const struct parameters *parameters);
void decoder_declare_layer(const struct parameters *parameters, int layer);
int32_t decoder_build_hidden(struct builder *builder, const struct model_config *config,
                             const struct model_batch *batch);

/* What stands in each such family's value. */
#define DECODER_FAMILY                                                                                                 \
    .check = decoder_check, .declare_outer = decoder_declare_outer, .declare_layer = decoder_declare_layer,            \
    .build_hidden = decoder_build_hidden, .layers = "model.layers.", .embedding = "model.embed_tokens.weight",         \
    .prefix = "model.", .prefixed = true, .buffers = decoder_buffers, .dropouts = decoder_dropouts

/* Rows of families whose files speak of windows that their models do not use. */
#define KEYS_OF_UNUSED_WINDOWS                                                                                         \
    {"use_sliding_window", KEY_FIXED, KEY_WRITTEN, KEY_ALLOWS("false")},                                               \
        {"sliding_window", KEY_UNUSED, KEY_LEFT, KEY_NOWHERE},                                                         \
    {                                                                                                                  \
        "max_window_layers", KEY_UNUSED, KEY_LEFT, KEY_NOWHERE                                                         \
    }

extern const char *const decoder_buffers[], *const decoder_dropouts[];

#endif
