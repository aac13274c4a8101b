/* Models as programs. A model is a family (GPT-2; LLaMA and mixture-of-experts models will stand beside it) and its
 * extents, named as in the family's config.json. A family's file reads like its paper: it writes the forward pass of a
 * batch through the builder; everything else (gradients, update, element types, memory) is made by passes. */
#ifndef LLMRUN_MODEL_MODEL_H
#define LLMRUN_MODEL_MODEL_H

#include "program/builder.h"

enum model_family { MODEL_GPT2 };

struct model_config {
    enum model_family family;
    int64_t n_layer;
    int64_t n_embd; /* width */
    int64_t n_head;
    int64_t n_inner;     /* width inside the MLP; 0: 4 n_embd */
    int64_t n_positions; /* context */
    int64_t vocab_size;
    double layer_norm_epsilon;
    double initializer_range; /* deviation of initial weights */
};

/* Fills *config from a built-in preset. STATUS_USAGE lists the presets when there is none of that name. */
int model_preset(const char *name, struct model_config *config, struct error *error);
/* Names of the presets, NULL-terminated. */
const char *const *model_preset_names(void);

/* Sets one key as config.json spells it. STATUS_USAGE names the nearest key for an unknown one, or what the value must
 * be. */
int model_override(struct model_config *config, const char *key, const char *value, struct error *error);

/* Extents that fit together: heads divide the width, nothing is zero. STATUS_USAGE says what to change. */
int model_check(const struct model_config *config, struct error *error);

/* Parameters of the model, counted once when tied. */
int64_t model_parameters(const struct model_config *config);

/* Rows of the embedding as stored: the vocabulary padded to a multiple of 64. */
int64_t model_padded_vocabulary(const struct model_config *config);

/* One batch as values of the program, rows = sequences * sequence. */
struct model_batch {
    int64_t sequences;      /* rows of text */
    int64_t sequence;       /* tokens in each */
    int32_t tokens;         /* i32 [rows] */
    int32_t positions;      /* i32 [rows], from 0 in each document */
    int32_t segment_starts; /* i32 [rows], index in the sequence where the token's document starts */
    int32_t random;         /* u32 [4], see llmrun/random.h; NO_VALUE without dropout */
    float dropout;
};

/* Writes the initial values of all parameters into the last section (init ops, keyed by `seed` and name). */
void model_build_init(struct builder *builder, const struct model_config *config, uint64_t seed);

/* Writes the forward pass up to the final norm; returns the hidden states [rows, n_embd]. */
int32_t model_build_hidden(struct builder *builder, const struct model_config *config, const struct model_batch *batch);

/* The weight of the head [padded vocabulary, n_embd]: the token embedding where tied. */
int32_t model_build_head(struct builder *builder, const struct model_config *config);

#endif
