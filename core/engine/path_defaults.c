#include "engine/path_defaults.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "engine/request.h"
#include "huggingface/directory.h"
#include "huggingface/dropout.h"
#include "huggingface/weights.h"

/* False too where the weights are missing or broken. */
static bool has_own_head(const struct file_system *fs, const struct config *config, const struct model_config *model)
{
    struct hf_directory directory = {0};
    struct error ignored;
    bool own = false;

    if (hf_directory_open(fs, config->model.path, &directory, &ignored) != STATUS_OK ||
        hf_weights_own_head(&directory, model, &own, &ignored) != STATUS_OK)
        own = false;
    hf_directory_close(&directory);
    return own;
}

static int set_dropout(const struct file_system *fs, struct config *config, const struct model_family *family,
                       struct error *error)
{
    struct hf_dropout dropout;
    struct error ignored;
    char text[40];

    if (hf_dropout_read(fs, config->model.path, family, &dropout, &ignored) != STATUS_OK ||
        !hf_dropout_is_one(&dropout))
        return STATUS_OK;
    snprintf(text, sizeof text, "%.17g", dropout.values[0]);
    return config_set_from_path(config, "model.dropout", text, error);
}

int path_defaults_set(const struct file_system *fs, struct config *config, struct error *error)
{
    struct model_config model;
    struct error ignored;
    int status;

    if (config->model.path[0] == '\0' || !hf_has_file(fs, config->model.path, HF_CONFIG_NAME) ||
        request_model(fs, config, 0, &model, &ignored) != STATUS_OK)
        return STATUS_OK;
    status = set_dropout(fs, config, model.family, error);
    if (status == STATUS_OK && config->model.init == CONFIG_INIT_WEIGHTS && model.tie_word_embeddings &&
        has_own_head(fs, config, &model))
        status = config_set_from_path(config, "model.overrides." PATH_TIE_ENTRY, "false", error);
    return status;
}

const struct config_pair *path_tie_entry(const struct config *config)
{
    for (int64_t i = 0; i < config->model.overrides.count; i++)
        if (strcmp(config->model.overrides.pairs[i].name, PATH_TIE_ENTRY) == 0)
            return &config->model.overrides.pairs[i];
    return NULL;
}

void path_defaults_tell_head(const struct config *config)
{
    const struct config_pair *tie = path_tie_entry(config);

    if (tie != NULL && tie->source.level == CONFIG_PATH)
        log_line(LOG_WARNING,
                 "%s: %s differs from the token embedding, though %s ties them; both are used, as transformers does",
                 config->model.path, MODEL_HEAD_NAME, HF_CONFIG_NAME);
}

static void tell_weights(const struct file_system *fs, const struct config *config)
{
    const char *path = config->model.path;

    if (config->model.init == CONFIG_INIT_WEIGHTS)
        path_defaults_tell_head(config);
    else if (hf_has_file(fs, path, HF_MODEL_NAME) || hf_has_file(fs, path, HF_INDEX_NAME))
        log_line(LOG_WARNING,
                 "the first weights are random: of model.path %s only the shape is taken; model.init weights takes "
                 "those that are stored there",
                 path);
    else
        log_line(LOG_INFO, "the first weights are random: model.path %s gives the shape", path);
}

static int tell_dropout(const struct file_system *fs, const struct config *config, struct error *error)
{
    struct model_config model;
    struct hf_dropout dropout;
    struct text values = {0};
    int status;

    if (config->sources[CONFIG_KEY_model_dropout].level == CONFIG_PATH && config->model.dropout > 0)
        log_line(LOG_INFO, "model.dropout is %g, as in %s of %s", config->model.dropout, HF_CONFIG_NAME,
                 config->model.path);
    if (config->sources[CONFIG_KEY_model_dropout].level != CONFIG_DEFAULT)
        return STATUS_OK;
    status = request_model(fs, config, 0, &model, error);
    if (status == STATUS_OK)
        status = hf_dropout_read(fs, config->model.path, model.family, &dropout, error);
    if (status != STATUS_OK || hf_dropout_is_one(&dropout))
        return status;
    for (int i = 0; i < dropout.count; i++)
        text_add(&values, "%s%s %g", i > 0 ? ", " : "", dropout.fields[i], dropout.values[i]);
    log_line(LOG_WARNING, "%s of %s has %s; model.dropout is one for all, and it is 0 where nobody sets it",
             HF_CONFIG_NAME, config->model.path, values.failed ? "several dropouts" : values.data);
    text_finish(&values);
    return STATUS_OK;
}

int path_defaults_tell(const struct file_system *fs, const struct config *config, struct error *error)
{
    if (config->model.path[0] == '\0')
        return STATUS_OK;
    tell_weights(fs, config);
    return tell_dropout(fs, config, error);
}
