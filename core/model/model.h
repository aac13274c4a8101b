/* Models as programs. A model is a family (GPT-2, LLaMA ...; model/family.h) and its dimensions. A family's file reads
 * like its paper: it writes the forward pass of a batch through the builder; everything else (gradients, optimizer,
 * element types, memory) is made by passes. */
#ifndef LLMRUN_MODEL_MODEL_H
#define LLMRUN_MODEL_MODEL_H

#include "program/builder.h"

/* The head's weight, where it is not the token embedding. */
#define MODEL_HEAD_NAME "lm_head.weight"

struct model_family; /* model/family.h */

enum rope_scaling { ROPE_UNSCALED, ROPE_LINEAR, ROPE_LLAMA3 };

/* Extents carry GPT-2's names; keys.c says how each family's config.json calls them. */
struct model_config {
    const struct model_family *family;
    int64_t n_layer;
    int64_t n_embd; /* width */
    int64_t n_head;
    int64_t n_kv_head;      /* heads of keys and values; 0: n_head */
    int64_t head_dim;       /* width of a head; 0: n_embd / n_head */
    int64_t n_inner;        /* width inside the MLP; 0: 4 n_embd */
    int64_t n_positions;    /* positions that it knows */
    int64_t sliding_window; /* tokens that a token sees, itself among them; 0: all before it */
    int64_t vocab_size;
    double layer_norm_epsilon;
    double initializer_range; /* std of initial weights */
    bool tie_word_embeddings; /* the head is the token embedding */

    /* Rotary positions, core/model/rope.h */
    double rope_theta;
    enum rope_scaling rope_scaling;
    double rope_factor;           /* linear, llama3 */
    double rope_low_freq_factor;  /* llama3, as the two below */
    double rope_high_freq_factor; /* above the low one */
    int64_t rope_original_positions;
};

/* Fills *config from a built-in preset. STATUS_USAGE lists the presets when there is none of that name. */
int model_preset(const char *name, struct model_config *config, struct error *error);
/* The name of the i-th preset, NULL after the last. */
const char *model_preset_name(int i);

/* Fills *config with what transformers takes for keys that a config.json of the family leaves out. */
void model_defaults(const struct model_family *family, struct model_config *config);

/* Sets one key as the family's config.json spells it. `value` is a number, true, false, null, the characters of a
 * string, or an object as JSON (rope_scaling, rope_parameters). Keys that fix how the family computes
 * (activation_function, attention_bias ...) accept what is computed here and nothing else. `where` stands before the
 * key in messages ("model.overrides.", "config.json: "); errors have the status `wrong`, an unknown key names the
 * nearest one. *config is unchanged on error. */
int model_set(struct model_config *config, const char *where, int wrong, const char *key, const char *value,
              struct error *error);

/* model_set for an entry of model.overrides: STATUS_USAGE. */
int model_override(struct model_config *config, const char *key, const char *value, struct error *error);

/* Extents that fit together: heads divide the width, nothing is zero. STATUS_USAGE says what to change. */
int model_check(const struct model_config *config, struct error *error);

/* Parameters of the model, counted once when tied. */
int64_t model_parameters(const struct model_config *config);

/* Extents with their defaults put in; of a config that model_check accepts. */
int64_t model_head_width(const struct model_config *config);
int64_t model_kv_heads(const struct model_config *config);
int64_t model_inner(const struct model_config *config);

/* Positions of a sequence that can be computed: those of the model, within its window. */
int64_t model_context(const struct model_config *config);

/* Rows of the embedding as stored: the vocabulary padded to a multiple of 64. */
int64_t model_padded_vocabulary(const struct model_config *config);

/* One batch as values of the program, rows = sequences * sequence. */
struct model_batch {
    int64_t sequences;      /* rows of text */
    int64_t sequence;       /* tokens in each */
    int64_t context;        /* positions lie below it; the same in all sections of a program */
    int32_t tokens;         /* i32 [rows] */
    int32_t positions;      /* i32 [rows], from 0 in each document */
    int32_t segment_starts; /* i32 [rows], index in the sequence where the token's document starts; NO_VALUE with a
                               cache */
    int32_t random;         /* of build_random; NO_VALUE without dropout */
    float dropout;
    int64_t cache_rows; /* 0: the batch is all there is; else rows of the caches of earlier tokens of the sequence */
    int32_t cached;     /* with a cache: i32 [1], the rows that the caches hold before the batch */
};

/* The attention of the builder's layer: within the batch, or to the layer's cache where the batch has one. */
int32_t model_build_attention(struct builder *builder, const struct model_batch *batch, int32_t q, int32_t k, int32_t v,
                              const struct attention_form *form, const char *name);

/* Writes the initial values of all parameters into the last section (init ops, keyed by `seed` and name). */
void model_build_init(struct builder *builder, const struct model_config *config, uint64_t seed);

/* Writes the forward pass up to the final norm; returns the hidden states [rows, n_embd]. */
int32_t model_build_hidden(struct builder *builder, const struct model_config *config, const struct model_batch *batch);

/* The weight of the head [padded vocabulary, n_embd]: the token embedding where tied. */
int32_t model_build_head(struct builder *builder, const struct model_config *config);

/* Writes the contents of a constant that the builder made (VALUE_CONSTANT): value_bytes into `data`. */
int model_fill_constant(const struct model_config *config, const struct value *value, void *data, struct error *error);

#endif
