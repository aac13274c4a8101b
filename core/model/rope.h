/* Rotary positions (Su et al. 2021) as tables: the angle of position p and pair i is p times the pair's frequency. The
 * frequencies are made with the roundings of transformers 5.23: modeling_llama.py compute_default_rope_parameters,
 * modeling_rope_utils.py _compute_linear_scaling_rope_parameters and _compute_llama3_parameters, so that long contexts
 * agree too. */
#ifndef LLMRUN_MODEL_ROPE_H
#define LLMRUN_MODEL_ROPE_H

#include "model/model.h"

#define ROPE_COSINES "rope.cosines"
#define ROPE_SINES   "rope.sines"

/* Radians a position for pair `i` of head width / 2. In fp32: 1 / theta^(2 i / width), then the scaling:
 * linear: divided by the factor;
 * llama3: with wavelength w = 2 pi / frequency and context L = original_max_position_embeddings, unchanged for
 * w < L / high_freq_factor, divided by the factor for w > L / low_freq_factor, and in between a mix of both by
 * s = (L / w - low_freq_factor) / (high_freq_factor - low_freq_factor). */
float rope_frequency(const struct model_config *config, int64_t i);

/* table[rows, head width / 2] of positions 0 to rows - 1: cosine or sine, rounded to fp32, of the fp32 angle. */
void rope_cosines(const struct model_config *config, int64_t rows, float *table);
void rope_sines(const struct model_config *config, int64_t rows, float *table);

#endif
