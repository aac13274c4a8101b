/* The keys of config.json: a family has a table of them, by which they are read, overridden and written. */
#ifndef LLMRUN_MODEL_KEYS_H
#define LLMRUN_MODEL_KEYS_H

#include <stddef.h>

#include "model/model.h"

enum key_kind {
    KEY_EXTENT,   /* int64_t, from 1 */
    KEY_OPTIONAL, /* the same, or null: 0 */
    KEY_FRACTION, /* double above 0, at most 1 */
    KEY_BASE,     /* double above 1 */
    KEY_SWITCH,   /* bool */
    KEY_ROPE,     /* the scaling of rotary positions */
    KEY_UNUSED,   /* a whole number from 1, or null, that changes nothing */
    KEY_NAME,     /* a string: the one that may stand there, and others of the same function behind it */
    KEY_FIXED     /* the same of other values */
};

/* Whether a config.json that is written has the key. */
enum key_written {
    KEY_LEFT,    /* as it was */
    KEY_WRITTEN, /* its value; 0 of a KEY_OPTIONAL is null */
    KEY_IF_SET,  /* its value where that is not 0 */
    KEY_REMOVED  /* no: another key says it */
};

struct key {
    const char *name;
    enum key_kind kind;
    enum key_written written;
    size_t offset;                                          /* in struct model_config; 0 where it has no place there */
    const char *fixed;                                      /* KEY_NAME, KEY_FIXED: values, with | between them */
    int64_t (*standard)(const struct model_config *config); /* written for 0; NULL: null is */
};

#define KEY_AT(field)      offsetof(struct model_config, field), NULL, NULL
#define KEY_ALLOWS(values) 0, values, NULL
#define KEY_NOWHERE        0, NULL, NULL

/* Rows that all families with rotary positions have. */
#define KEYS_OF_DECODERS                                                                                               \
    {"num_hidden_layers", KEY_EXTENT, KEY_WRITTEN, KEY_AT(n_layer)},                                                   \
        {"hidden_size", KEY_EXTENT, KEY_WRITTEN, KEY_AT(n_embd)},                                                      \
        {"num_attention_heads", KEY_EXTENT, KEY_WRITTEN, KEY_AT(n_head)},                                              \
        {"num_key_value_heads", KEY_OPTIONAL, KEY_WRITTEN, offsetof(struct model_config, n_kv_head), NULL,             \
         model_kv_heads},                                                                                              \
        {"intermediate_size", KEY_EXTENT, KEY_WRITTEN, offsetof(struct model_config, n_inner), NULL, model_inner},     \
        {"max_position_embeddings", KEY_EXTENT, KEY_WRITTEN, KEY_AT(n_positions)},                                     \
        {"vocab_size", KEY_EXTENT, KEY_WRITTEN, KEY_AT(vocab_size)},                                                   \
        {"rms_norm_eps", KEY_FRACTION, KEY_WRITTEN, KEY_AT(layer_norm_epsilon)},                                       \
        {"initializer_range", KEY_FRACTION, KEY_WRITTEN, KEY_AT(initializer_range)},                                   \
        {"tie_word_embeddings", KEY_SWITCH, KEY_WRITTEN, KEY_AT(tie_word_embeddings)},                                 \
        {"rope_theta", KEY_BASE, KEY_WRITTEN, KEY_AT(rope_theta)},                                                     \
        {"rope_scaling", KEY_ROPE, KEY_WRITTEN, KEY_NOWHERE}, {"rope_parameters", KEY_ROPE, KEY_REMOVED, KEY_NOWHERE}, \
    {                                                                                                                  \
        "hidden_act", KEY_NAME, KEY_WRITTEN, KEY_ALLOWS("silu|swish")                                                  \
    }

/* NULL where the family has no such key. */
const struct key *keys_find(const struct model_family *family, const char *name);

/* The name under which a family's config.json has the dimension at this offset of struct model_config. */
const char *keys_name(const struct model_family *family, size_t offset);

/* Sets *config from the JSON object or null of rope_scaling (or rope_parameters, which has rope_theta too): rope_type
 * (or type) default, linear or llama3, and the numbers of that type. Errors as model_set. */
int keys_set_rope(struct model_config *config, const char *where, int wrong, const char *key, const char *value,
                  struct error *error);

#endif
