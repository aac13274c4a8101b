#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/strict_json.h"
#include "huggingface/config.h"

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

/* In the spelling of transformers 4, which 5 reads too. */
static bool put_rope(json_t *object, const char *key, const struct model_config *config)
{
    json_t *scaling = json_null();

    if (config->rope_scaling == ROPE_LINEAR)
        scaling = json_pack("{s:s, s:f}", "rope_type", "linear", "factor", config->rope_factor);
    else if (config->rope_scaling == ROPE_LLAMA3)
        scaling = json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor", config->rope_factor,
                            "low_freq_factor", config->rope_low_freq_factor, "high_freq_factor",
                            config->rope_high_freq_factor, "original_max_position_embeddings",
                            (json_int_t)config->rope_original_positions);
    return json_object_set_new(object, key, scaling) == 0;
}

/* The first of "false|..." as JSON, of "silu|swish" as a string. */
static json_t *allowed(const struct key *key)
{
    const size_t length = strcspn(key->fixed, "|");

    return key->kind == KEY_NAME ? json_stringn(key->fixed, length)
                                 : json_loadb(key->fixed, length, JSON_DECODE_ANY, NULL);
}

static bool put_extent(json_t *object, const struct key *key, const struct model_config *config)
{
    int64_t extent;

    memcpy(&extent, (const char *)config + key->offset, sizeof extent);
    if (extent == 0 && key->written == KEY_IF_SET)
        return json_object_del(object, key->name), true;
    if (extent == 0 && key->standard == NULL)
        return json_object_set_new(object, key->name, json_null()) == 0;
    return put_integer(object, key->name, extent == 0 ? key->standard(config) : extent);
}

static bool put_key(json_t *object, const struct key *key, const struct model_config *config)
{
    const char *at = (const char *)config + key->offset;
    double number;
    bool on;

    switch (key->kind) {
    case KEY_EXTENT:
    case KEY_OPTIONAL:
        return put_extent(object, key, config);
    case KEY_FRACTION:
    case KEY_BASE:
        memcpy(&number, at, sizeof number);
        return put_number(object, key->name, number);
    case KEY_SWITCH:
        memcpy(&on, at, sizeof on);
        return json_object_set_new(object, key->name, json_boolean(on)) == 0;
    case KEY_ROPE:
        return put_rope(object, key->name, config);
    case KEY_NAME:
    case KEY_FIXED:
        return json_object_set_new(object, key->name, allowed(key)) == 0;
    case KEY_UNUSED:
        break;
    }
    return true;
}

/* Other names of the original for dimensions that may be others now are left out. */
static bool put_keys(json_t *object, const struct model_config *config)
{
    bool good = true;

    for (const struct field_alias *alias = config->family->aliases; alias != NULL && alias->theirs != NULL; alias++)
        json_object_del(object, alias->theirs);
    for (const struct key *key = config->family->keys; key->name != NULL; key++) {
        if (key->written == KEY_REMOVED)
            json_object_del(object, key->name);
        else if (key->written != KEY_LEFT)
            good = put_key(object, key, config) && good;
    }
    return good;
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
static bool put_new_dropouts(json_t *object, const struct model_family *family)
{
    bool good = true;

    for (int i = 0; family->dropout > 0 && family->dropouts[i] != NULL; i++)
        good = json_object_set_new(object, family->dropouts[i], json_real(0)) == 0 && good;
    return good;
}

static bool put_all(json_t *object, const struct model_config *config, const struct hf_config_form *form)
{
    const char *dtype = form->dtype == LLMRUN_BF16 ? "bfloat16" : form->dtype == LLMRUN_F16 ? "float16" : "float32";

    json_object_del(object, "dtype");
    if (json_object_set_new(object, "model_type", json_string(config->family->type)) != 0 ||
        json_object_set_new(object, "architectures", json_pack("[s]", config->family->architecture)) != 0 ||
        json_object_set_new(object, "torch_dtype", json_string(dtype)) != 0)
        return false;
    return put_keys(object, config) &&
           ((form->original != NULL && !form->new_ids) || put_new_ids(object, form->end_of_text)) &&
           (form->original != NULL || put_new_dropouts(object, config->family));
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
