#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/strict_json.h"
#include "huggingface/config.h"

enum field_kind { FIELD_INTEGER, FIELD_OPTIONAL /* 0 is null */, FIELD_REAL };

struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;
};

#define AT(field) offsetof(struct model_config, field)

static const struct field gpt2_fields[] = {
    {"n_layer", FIELD_INTEGER, AT(n_layer)},
    {"n_embd", FIELD_INTEGER, AT(n_embd)},
    {"n_head", FIELD_INTEGER, AT(n_head)},
    {"n_inner", FIELD_OPTIONAL, AT(n_inner)},
    {"n_positions", FIELD_INTEGER, AT(n_positions)},
    {"vocab_size", FIELD_INTEGER, AT(vocab_size)},
    {"layer_norm_epsilon", FIELD_REAL, AT(layer_norm_epsilon)},
    {"initializer_range", FIELD_REAL, AT(initializer_range)},
    {NULL, FIELD_INTEGER, 0},
};

static const struct field llama_fields[] = {
    {"num_hidden_layers", FIELD_INTEGER, AT(n_layer)},
    {"hidden_size", FIELD_INTEGER, AT(n_embd)},
    {"num_attention_heads", FIELD_INTEGER, AT(n_head)},
    {"max_position_embeddings", FIELD_INTEGER, AT(n_positions)},
    {"vocab_size", FIELD_INTEGER, AT(vocab_size)},
    {"rms_norm_eps", FIELD_REAL, AT(layer_norm_epsilon)},
    {"initializer_range", FIELD_REAL, AT(initializer_range)},
    {NULL, FIELD_INTEGER, 0},
};

/* Leaves the original's spelling of a number that is equal. */
static bool put_number(json_t *object, const char *key, double value)
{
    const json_t *there = json_object_get(object, key);

    return (json_is_number(there) && json_number_value(there) == value) ||
           json_object_set_new(object, key, json_real(value)) == 0;
}

static bool put_integer(json_t *object, const char *key, int64_t value)
{
    return json_object_set_new(object, key, json_integer(value)) == 0;
}

static bool put_field(json_t *object, const struct field *field, const struct model_config *config)
{
    const char *at = (const char *)config + field->offset;
    int64_t extent;
    double number;

    if (field->kind == FIELD_REAL) {
        memcpy(&number, at, sizeof number);
        return put_number(object, field->key, number);
    }
    memcpy(&extent, at, sizeof extent);
    if (field->kind == FIELD_OPTIONAL && extent == 0)
        return json_object_set_new(object, field->key, json_null()) == 0;
    return put_integer(object, field->key, extent);
}

/* In the spelling of transformers 4, which 5 reads too. */
static bool put_rope(json_t *object, const struct model_config *config)
{
    json_t *scaling = json_null();

    if (config->rope_scaling == ROPE_LINEAR)
        scaling = json_pack("{s:s, s:f}", "rope_type", "linear", "factor", config->rope_factor);
    else if (config->rope_scaling == ROPE_LLAMA3)
        scaling = json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor", config->rope_factor,
                            "low_freq_factor", config->rope_low_freq_factor, "high_freq_factor",
                            config->rope_high_freq_factor, "original_max_position_embeddings",
                            (json_int_t)config->rope_original_positions);
    json_object_del(object, "rope_parameters");
    return put_number(object, "rope_theta", config->rope_theta) &&
           json_object_set_new(object, "rope_scaling", scaling) == 0;
}

static bool put_tie(json_t *object, const struct model_config *config)
{
    return json_object_set_new(object, "tie_word_embeddings", json_boolean(config->tie_word_embeddings)) == 0;
}

static bool put_llama(json_t *object, const struct model_config *config)
{
    return put_integer(object, "intermediate_size", model_inner(config)) &&
           put_integer(object, "num_key_value_heads", model_kv_heads(config)) &&
           put_integer(object, "head_dim", model_head_width(config)) && put_tie(object, config) &&
           json_object_set_new(object, "hidden_act", json_string("silu")) == 0 &&
           json_object_set_new(object, "attention_bias", json_false()) == 0 &&
           json_object_set_new(object, "mlp_bias", json_false()) == 0 && put_rope(object, config);
}

/* Other names of the original for extents that may be others now are left out. */
static bool put_gpt2(json_t *object, const struct model_config *config)
{
    static const char *const others[] = {"hidden_size", "max_position_embeddings", "num_attention_heads",
                                         "num_hidden_layers"};

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        json_object_del(object, others[i]);
    return json_object_set_new(object, "activation_function", json_string("gelu_new")) == 0 && put_tie(object, config);
}

/* Those of the published models are transformers' defaults. */
static bool put_new_ids(json_t *object, int64_t end_of_text)
{
    static const char *const ends[] = {"bos_token_id", "eos_token_id"};
    static const char *const others[] = {"pad_token_id", "sep_token_id", "unk_token_id", "decoder_start_token_id"};
    bool good = true;

    for (int i = 0; i < 2; i++)
        good = good &&
               json_object_set_new(object, ends[i], end_of_text >= 0 ? json_integer(end_of_text) : json_null()) == 0;
    for (int i = 0; i < 4; i++)
        json_object_del(object, others[i]);
    return good;
}

/* Transformers' defaults are those of the published models here too. */
static bool put_new_dropouts(json_t *object, const struct model_config *config)
{
    static const char *const dropouts[] = {"attn_pdrop", "embd_pdrop", "resid_pdrop"};
    bool good = true;

    for (int i = 0; i < 3 && config->family == MODEL_GPT2; i++)
        good = good && json_object_set_new(object, dropouts[i], json_real(0)) == 0;
    return good;
}

static bool put_all(json_t *object, const struct model_config *config, const struct hf_config_form *form)
{
    const struct field *field = config->family == MODEL_GPT2 ? gpt2_fields : llama_fields;
    const char *architecture = config->family == MODEL_GPT2 ? "GPT2LMHeadModel" : "LlamaForCausalLM";
    const char *dtype = form->dtype == LLMRUN_BF16 ? "bfloat16" : form->dtype == LLMRUN_F16 ? "float16" : "float32";

    json_object_del(object, "dtype");
    if (json_object_set_new(object, "model_type", json_string(model_family_type(config->family))) != 0 ||
        json_object_set_new(object, "architectures", json_pack("[s]", architecture)) != 0 ||
        json_object_set_new(object, "torch_dtype", json_string(dtype)) != 0)
        return false;
    for (; field->key != NULL; field++)
        if (!put_field(object, field, config))
            return false;
    return (config->family == MODEL_GPT2 ? put_gpt2(object, config) : put_llama(object, config)) &&
           ((form->original != NULL && !form->new_ids) || put_new_ids(object, form->end_of_text)) &&
           (form->original != NULL || put_new_dropouts(object, config));
}

/* 0.3 rather than 0.29999999999999999, where that is the same number. */
static char *print_shortly(const json_t *object)
{
    const size_t flags = JSON_INDENT(2) | JSON_SORT_KEYS;
    char *text = json_dumps(object, flags | JSON_REAL_PRECISION(15));
    json_t *back = text != NULL ? json_loads(text, 0, NULL) : NULL;

    if (!json_equal(back, object)) {
        free(text);
        text = json_dumps(object, flags);
    }
    json_decref(back);
    return text;
}

int hf_config_print(const struct model_config *config, const struct hf_config_form *form, char **text,
                    struct error *error)
{
    json_t *object;

    *text = NULL;
    strict_json_watch_memory();
    object = form->original != NULL ? json_loads(form->original, 0, NULL) : json_object();
    if (object != NULL && put_all(object, config, form))
        *text = print_shortly(object);
    json_decref(object);
    if (strict_json_lacked_memory()) {
        free(*text);
        *text = NULL;
    }
    return *text != NULL ? STATUS_OK : error_set(error, STATUS_MEMORY, "no memory for a config.json");
}
