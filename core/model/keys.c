#include "model/keys.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/edit_distance.h"
#include "base/text.h"

#define EXTENT_MAX (1 << 30)
#define BASE_MAX   1e12

enum key_kind {
    KEY_EXTENT,   /* int64_t, from 1 */
    KEY_OPTIONAL, /* the same, or null: 0 */
    KEY_FRACTION, /* double above 0, at most 1 */
    KEY_BASE,     /* double above 1 */
    KEY_SWITCH,   /* bool */
    KEY_ROPE,     /* the scaling of rotary positions */
    KEY_UNUSED,   /* a whole number from 1, or null, that changes nothing */
    KEY_NAME,     /* the name that may stand there, and others of the same function behind it */
    KEY_FIXED     /* the same of other values */
};

struct key {
    const char *name;
    enum key_kind kind;
    size_t offset;
    const char *fixed;
};

#define AT(field) offsetof(struct model_config, field), NULL

static const struct key gpt2_keys[] = {
    {"n_layer", KEY_EXTENT, AT(n_layer)},
    {"n_embd", KEY_EXTENT, AT(n_embd)},
    {"n_head", KEY_EXTENT, AT(n_head)},
    {"n_inner", KEY_OPTIONAL, AT(n_inner)},
    {"n_positions", KEY_EXTENT, AT(n_positions)},
    {"n_ctx", KEY_EXTENT, AT(n_positions)},
    {"vocab_size", KEY_EXTENT, AT(vocab_size)},
    {"layer_norm_epsilon", KEY_FRACTION, AT(layer_norm_epsilon)},
    {"initializer_range", KEY_FRACTION, AT(initializer_range)},
    {"activation_function", KEY_NAME, 0, "gelu_new|gelu_pytorch_tanh|gelu_fast"},
    {"tie_word_embeddings", KEY_SWITCH, AT(tie_word_embeddings)},
    {"scale_attn_weights", KEY_FIXED, 0, "true"},
    {"scale_attn_by_inverse_layer_idx", KEY_FIXED, 0, "false"},
    {"add_cross_attention", KEY_FIXED, 0, "false"},
    {NULL, KEY_FIXED, 0, NULL},
};

static const struct key llama_keys[] = {
    {"num_hidden_layers", KEY_EXTENT, AT(n_layer)},
    {"hidden_size", KEY_EXTENT, AT(n_embd)},
    {"num_attention_heads", KEY_EXTENT, AT(n_head)},
    {"num_key_value_heads", KEY_OPTIONAL, AT(n_kv_head)},
    {"head_dim", KEY_OPTIONAL, AT(head_dim)},
    {"intermediate_size", KEY_EXTENT, AT(n_inner)},
    {"max_position_embeddings", KEY_EXTENT, AT(n_positions)},
    {"vocab_size", KEY_EXTENT, AT(vocab_size)},
    {"rms_norm_eps", KEY_FRACTION, AT(layer_norm_epsilon)},
    {"initializer_range", KEY_FRACTION, AT(initializer_range)},
    {"tie_word_embeddings", KEY_SWITCH, AT(tie_word_embeddings)},
    {"rope_theta", KEY_BASE, AT(rope_theta)},
    {"rope_scaling", KEY_ROPE, 0, NULL},
    {"rope_parameters", KEY_ROPE, 0, NULL},
    {"hidden_act", KEY_NAME, 0, "silu|swish"},
    {"attention_bias", KEY_FIXED, 0, "false"},
    {"mlp_bias", KEY_FIXED, 0, "false"},
    {"pretraining_tp", KEY_UNUSED, 0, NULL}, /* in how many parts sums were cut */
    {NULL, KEY_FIXED, 0, NULL},
};

static const struct key *const families[MODEL_FAMILIES] = {[MODEL_GPT2] = gpt2_keys, [MODEL_LLAMA] = llama_keys};

static const struct key *find(enum model_family family, const char *name)
{
    const struct key *key = families[family];

    while (key->name != NULL && strcmp(key->name, name) != 0)
        key++;
    return key->name != NULL ? key : NULL;
}

bool model_has_key(enum model_family family, const char *key)
{
    return find(family, key) != NULL;
}

bool model_key_is_name(enum model_family family, const char *key)
{
    const struct key *found = find(family, key);

    return found != NULL && found->kind == KEY_NAME;
}

const char *model_key(enum model_family family, int i)
{
    return families[family][i].name;
}

const char *keys_name(enum model_family family, size_t offset)
{
    const struct key *key = families[family];

    while (key->name != NULL && (key->offset != offset || key->kind > KEY_SWITCH))
        key++;
    return key->name;
}

static int set_extent(void *at, const struct key *key, const char *where, int wrong, const char *value,
                      struct error *error)
{
    char *end;
    long long number = strtoll(value, &end, 10);
    int64_t extent = number;

    if ((key->kind == KEY_OPTIONAL || key->kind == KEY_UNUSED) && strcmp(value, "null") == 0)
        extent = 0;
    else if (end == value || *end != '\0' || number < 1 || number > EXTENT_MAX)
        return error_set(error, wrong, "%s%s is '%.80s'; a whole number from 1 to %d is wanted", where, key->name,
                         value, EXTENT_MAX);
    memcpy(at, &extent, sizeof extent);
    return STATUS_OK;
}

static int set_real(void *at, const struct key *key, const char *where, int wrong, const char *value,
                    struct error *error)
{
    char *end;
    double number = strtod(value, &end);
    bool whole = end != value && *end == '\0';

    if (key->kind == KEY_FRACTION && (!whole || !(number > 0) || number > 1))
        return error_set(error, wrong, "%s%s is '%.80s'; a number above 0 and at most 1 is wanted", where, key->name,
                         value);
    if (key->kind == KEY_BASE && (!whole || !(number > 1) || number > BASE_MAX))
        return error_set(error, wrong, "%s%s is '%.80s'; a number above 1 and at most %g is wanted", where, key->name,
                         value, BASE_MAX);
    memcpy(at, &number, sizeof number);
    return STATUS_OK;
}

static int set_switch(void *at, const struct key *key, const char *where, int wrong, const char *value,
                      struct error *error)
{
    bool on = strcmp(value, "true") == 0;

    if (!on && strcmp(value, "false") != 0)
        return error_set(error, wrong, "%s%s is '%.80s'; true or false is wanted", where, key->name, value);
    memcpy(at, &on, sizeof on);
    return STATUS_OK;
}

/* "<where> has no key 'n_layr' for GPT-2, did you mean n_layer? The keys are ..." */
static int unknown_key(enum model_family family, const char *where, int wrong, const char *name, struct error *error)
{
    const char *near = NULL;
    struct text all = {0};
    int nearest = 0;
    int status;

    for (const struct key *key = families[family]; key->name != NULL; key++) {
        int distance = edit_distance(name, key->name);

        if (edit_distance_is_typo(name, distance) && (near == NULL || distance < nearest)) {
            near = key->name;
            nearest = distance;
        }
        text_add(&all, "%s%s", key == families[family] ? "" : ", ", key->name);
    }
    status = error_set(error, wrong, "%s%.64s is no key of %s%s%s%s the keys are %s", where, name,
                       model_family_name(family), near != NULL ? ", did you mean " : "", near != NULL ? near : "",
                       near != NULL ? "?" : ";", all.failed ? "in its config.json" : all.data);
    text_free(&all);
    return status;
}

static bool is_one_of(const char *value, const char *names)
{
    const size_t length = strlen(value);

    for (; *names != '\0'; names += strcspn(names, "|"), names += *names == '|')
        if (strcspn(names, "|") == length && strncmp(names, value, length) == 0)
            return true;
    return false;
}

int model_set(struct model_config *config, const char *where, int wrong, const char *name, const char *value,
              struct error *error)
{
    const struct key *key = find(config->family, name);
    int64_t unused;
    void *at;

    if (key == NULL)
        return unknown_key(config->family, where, wrong, name, error);
    at = (char *)config + key->offset;
    switch (key->kind) {
    case KEY_EXTENT:
    case KEY_OPTIONAL:
        return set_extent(at, key, where, wrong, value, error);
    case KEY_FRACTION:
    case KEY_BASE:
        return set_real(at, key, where, wrong, value, error);
    case KEY_SWITCH:
        return set_switch(at, key, where, wrong, value, error);
    case KEY_UNUSED:
        return set_extent(&unused, key, where, wrong, value, error);
    case KEY_ROPE:
        return keys_set_rope(config, where, wrong, name, value, error);
    case KEY_NAME:
    case KEY_FIXED:
        break;
    }
    if (is_one_of(value, key->fixed))
        return STATUS_OK;
    return error_set(error, wrong, "%s%s is '%.80s'; %s here has %.*s", where, name, value,
                     model_family_name(config->family), (int)strcspn(key->fixed, "|"), key->fixed);
}

int model_override(struct model_config *config, const char *key, const char *value, struct error *error)
{
    return model_set(config, "model.overrides.", STATUS_USAGE, key, value, error);
}
