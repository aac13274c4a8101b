/* LLaMA 1, 2 and 3 (Touvron et al. 2023; Grattafiori et al. 2024), as Hugging Face transformers names and computes
 * them: pre-norm blocks with RMS norm, rotary positions, grouped queries and SwiGLU, no biases; the head is a matrix of
 * its own or tied to the token embedding. Weights are [out, in]. */
#ifndef LLMRUN_MODEL_LLAMA_H
#define LLMRUN_MODEL_LLAMA_H

#include "model/model.h"

void llama_build_init(struct builder *builder, const struct model_config *config, uint64_t seed);
int32_t llama_build_hidden(struct builder *builder, const struct model_config *config, const struct model_batch *batch);
int32_t llama_build_head(struct builder *builder, const struct model_config *config);

#endif
