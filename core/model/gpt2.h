/* GPT-2 (Radford et al. 2019), as Hugging Face transformers names and computes it: pre-norm blocks, learned positions,
 * GELU in its tanh form, the head tied to the token embedding or its own. Q, K and V are separate tensors; weights are
 * [out, in]. */
#ifndef LLMRUN_MODEL_GPT2_H
#define LLMRUN_MODEL_GPT2_H

#include "model/model.h"

void gpt2_build_init(struct builder *builder, const struct model_config *config, uint64_t seed);
int32_t gpt2_build_hidden(struct builder *builder, const struct model_config *config, const struct model_batch *batch);
int32_t gpt2_build_head(struct builder *builder, const struct model_config *config);

#endif
