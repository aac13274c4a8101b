#include "huggingface/config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strict_json.h"
#include "base/text.h"
#include "huggingface/directory.h"
#include "huggingface/dropout.h"
#include "huggingface/fields.h"

static int read_family(const json_t *root, const char *source, const struct model_family **family, struct error *error)
{
    struct text known = {0};
    const char *type;
    int status = strict_json_text(root, "model_type", source, &type, error);

    *family = status == STATUS_OK ? model_family_of_type(type) : NULL;
    if (status != STATUS_OK || *family != NULL)
        return status;
    for (int i = 0; model_family_at(i) != NULL; i++)
        text_add(&known, "%s%s",
                 i == 0                           ? ""
                 : model_family_at(i + 1) == NULL ? " and "
                                                  : ", ",
                 model_family_at(i)->type);
    status = error_set(error, STATUS_INPUT, "%s: model_type is '%.60s'; %s can be read", source, type,
                       known.failed ? "others" : known.data);
    text_finish(&known);
    return status;
}

/* Its value is a string. */
static bool is_name(const struct model_family *family, const char *key)
{
    const struct key *found = keys_find(family, key);

    return found != NULL && found->kind == KEY_NAME;
}

static int set_field(struct model_config *config, const char *source, const char *key, const json_t *value,
                     struct error *error)
{
    char where[PATH_MAX + 8], *printed;
    int status;

    snprintf(where, sizeof where, "%s: ", source);
    if (json_is_string(value) && !is_name(config->family, key))
        return error_set(error, STATUS_INPUT, "%s: %s is '%.80s', a string; a value of another type is wanted", source,
                         key, json_string_value(value));
    if (json_is_string(value))
        return model_set(config, where, STATUS_INPUT, key, json_string_value(value), error);
    printed = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (printed == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to read %s", source);
    status = model_set(config, where, STATUS_INPUT, key, printed, error);
    free(printed);
    return status;
}

/* Files of different ages say it in different places; of two that stand there none is the one that counts. */
static int check_rotation(const json_t *root, const char *source, struct error *error)
{
    const json_t *scaling = json_object_get(root, "rope_scaling"), *theta = json_object_get(root, "rope_theta");
    const json_t *parameters = json_object_get(root, "rope_parameters");
    const json_t *objects[] = {scaling, parameters};

    if (scaling != NULL && parameters != NULL && !json_is_null(scaling) && !json_is_null(parameters) &&
        !json_equal(scaling, parameters))
        return error_set(error, STATUS_INPUT, "%s: rope_scaling and rope_parameters are both there and differ", source);
    for (int i = 0; i < 2; i++) {
        const json_t *inner = json_object_get(objects[i], "rope_theta");

        if (theta != NULL && inner != NULL && json_number_value(theta) != json_number_value(inner))
            return error_set(error, STATUS_INPUT, "%s: rope_theta and %s.rope_theta are both there and differ", source,
                             i == 0 ? "rope_scaling" : "rope_parameters");
    }
    return STATUS_OK;
}

static bool is_no_scaling(const char *key, const json_t *value)
{
    return json_is_null(value) && (strcmp(key, "rope_scaling") == 0 || strcmp(key, "rope_parameters") == 0);
}

/* The key that a field is another name of; NULL: of none. */
static const char *field_meant(const struct model_family *family, const char *field)
{
    for (const struct field_alias *alias = family->aliases; alias != NULL && alias->theirs != NULL; alias++)
        if (strcmp(alias->theirs, field) == 0)
            return alias->ours;
    return NULL;
}

static int set_other_name(const json_t *root, struct model_config *config, const char *source, const char *key,
                          const json_t *value, struct error *error)
{
    const char *meant = field_meant(config->family, key);
    const json_t *same = json_object_get(root, meant);

    if (same != NULL && !json_equal(same, value))
        return error_set(error, STATUS_INPUT, "%s: %s and %s, which mean the same, are both there and differ", source,
                         key, meant);
    return set_field(config, source, meant, value, error);
}

static bool names_field(const struct hf_ignored *ignored, const char *field)
{
    for (int64_t i = 0; ignored != NULL && i < ignored->count; i++)
        if (strcmp(ignored->names[i], field) == 0)
            return true;
    return false;
}

static bool is_read(const struct model_family *family, const char *field)
{
    for (int i = 0; family->dropouts[i] != NULL; i++)
        if (strcmp(field, family->dropouts[i]) == 0)
            return true;
    return strcmp(field, "model_type") == 0 || strcmp(field, "eos_token_id") == 0 || keys_find(family, field) != NULL ||
           field_meant(family, field) != NULL;
}

/* A name that does nothing is a slip, and a field that is read would be another model without it. */
static int check_ignored(const json_t *root, const char *source, const struct hf_ignored *ignored,
                         const struct model_family *family, struct error *error)
{
    for (int64_t i = 0; ignored != NULL && i < ignored->count; i++) {
        const char *name = ignored->names[i];

        if (json_object_get(root, name) == NULL)
            return error_set(error, STATUS_USAGE, "model.ignore names '%.100s', and %s has no such field", name,
                             source);
        if (is_read(family, name))
            return error_set(
                error, STATUS_USAGE, "model.ignore names '%.100s' of %s, which is read and not to be passed over%s",
                name, source, keys_find(family, name) != NULL ? "; model.overrides can give it another value" : "");
    }
    return STATUS_OK;
}

static int read_fields(const json_t *root, const char *source, const struct hf_ignored *ignored,
                       struct model_config *config, struct error *error)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)root, key, value)
    {
        int status = STATUS_OK;

        if (is_no_scaling(key, value) || names_field(ignored, key))
            continue;
        if (strcmp(key, "n_ctx") != 0 && keys_find(config->family, key) != NULL)
            status = set_field(config, source, key, value, error);
        else if (field_meant(config->family, key) != NULL)
            status = set_other_name(root, config, source, key, value, error);
        else if (!hf_field_changes_nothing(key, value))
            status = error_set(error, STATUS_INPUT,
                               "%s: the field '%.100s' is not known for %s, and what the model computes may depend on "
                               "it; where it does not, model.ignore '[%.100s]' passes over it",
                               source, key, config->family->name, key);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

int hf_config_parse(const char *text, int64_t bytes, const char *source, const struct hf_ignored *ignored,
                    struct model_config *config, struct error *error)
{
    const struct model_family *family = NULL;
    json_t *root = NULL;
    int status = strict_json_parse(text, bytes, source, &root, error);

    if (status == STATUS_OK)
        status = read_family(root, source, &family, error);
    if (status == STATUS_OK) {
        model_defaults(family, config);
        status = check_rotation(root, source, error);
        if (status == STATUS_OK)
            status = check_ignored(root, source, ignored, family, error);
        if (status == STATUS_OK)
            status = read_fields(root, source, ignored, config, error);
    }
    json_decref(root);
    if (status == STATUS_OK && model_check(config, error) != STATUS_OK) {
        if (error != NULL)
            error->status = STATUS_INPUT;
        error_prefix(error, "%s", source);
        status = STATUS_INPUT;
    }
    return status;
}

int hf_config_read(const struct file_system *fs, const char *folder, const struct hf_ignored *ignored,
                   struct model_config *config, struct error *error)
{
    char path[PATH_MAX], *text = NULL;
    int64_t bytes;
    int status = hf_read_text(fs, folder, HF_CONFIG_NAME, HF_CONFIG_LIMIT, path, &text, &bytes, error);

    if (status == STATUS_OK)
        status = hf_config_parse(text, bytes, path, ignored, config, error);
    free(text);
    return status;
}
