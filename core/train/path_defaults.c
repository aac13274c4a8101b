#include "train/path_defaults.h"

#include <string.h>

#include "base/log.h"
#include "huggingface/directory.h"
#include "huggingface/weights.h"
#include "train/request.h"

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

int path_defaults_set(const struct file_system *fs, struct config *config, struct error *error)
{
    struct model_config model;
    struct error ignored;

    if (config->model.path[0] == '\0' || !hf_is_directory(fs, config->model.path) ||
        request_model(config, 0, &model, &ignored) != STATUS_OK)
        return STATUS_OK;
    if (config->model.init == CONFIG_INIT_WEIGHTS && model.tie_word_embeddings && has_own_head(fs, config, &model))
        return config_set_from_path(config, "model.overrides." PATH_TIE_ENTRY, "false", error);
    return STATUS_OK;
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
