#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "config/keys.h"
#include "config/precedence.h"

static bool holds_tokenizer(const char *folder)
{
    static const char *const names[] = {"tokenizer.json", "vocab.json", "tokenizer.model"};
    char path[4096];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (file_join(path, sizeof path, folder, names[i]) && access(path, F_OK) == 0)
            return true;
    return false;
}

int config_follow_path(struct config *config, struct error *error)
{
    char *copy;

    if (config->model.path[0] == '\0' || config->sources[CONFIG_KEY_data_tokenizer].level != CONFIG_DEFAULT ||
        !holds_tokenizer(config->model.path))
        return STATUS_OK;
    copy = strdup(config->model.path);
    if (copy == NULL)
        return error_set(error, STATUS_MEMORY, "data.tokenizer: no memory for its value");
    free(config->data.tokenizer);
    config->data.tokenizer = copy;
    config->sources[CONFIG_KEY_data_tokenizer] = (struct config_source){.level = CONFIG_PATH};
    return STATUS_OK;
}

static bool uses(enum config_command command, enum config_key_id key)
{
    return command == CONFIG_COMMAND_ANY || (config_key_commands[key] & command) != 0;
}

/* A file name may hold any bytes, but the config of a run is written in UTF-8. */
static int check_writable(const struct config *config, struct error *error)
{
    char place[300];

    for (int key = 0; key < CONFIG_KEYS; key++) {
        const void *member = (const char *)config + config_keys[key].offset;
        bool good = true;

        if (config_keys[key].type == CONFIG_TYPE_TEXT)
            good = text_is_utf8(*(char *const *)member);
        for (int64_t i = 0;
             config_keys[key].type == CONFIG_TYPE_LIST && i < ((const struct config_list *)member)->count; i++)
            good &= text_is_utf8(((const struct config_list *)member)->items[i]);
        if (good)
            continue;
        config_source_text(config, (enum config_key_id)key, place, sizeof place);
        return error_set(error, STATUS_USAGE,
                         "%s: the value of %s is not UTF-8, in which the config of a run is written; a link with "
                         "another name helps",
                         place, config_keys[key].dotted);
    }
    return STATUS_OK;
}

/* Each sentence begins with the place of the key that is easiest to change. */
int config_check(const struct config *config, enum config_command command, struct error *error)
{
    char place[300];

    if ((command == CONFIG_COMMAND_ANY || command == CONFIG_COMMAND_TRAIN) &&
        check_writable(config, error) != STATUS_OK)
        return STATUS_USAGE;
    if (config->model.path[0] == '\0' && config->model.preset[0] == '\0') {
        config_source_text(config, CONFIG_KEY_model_preset, place, sizeof place);
        return error_set(error, STATUS_USAGE,
                         "%s: model.path and model.preset are both empty; one of them names the model", place);
    }
    if (config->model.init == CONFIG_INIT_WEIGHTS && config->model.path[0] == '\0') {
        config_source_text(config, CONFIG_KEY_model_init, place, sizeof place);
        return error_set(error, STATUS_USAGE,
                         "%s: model.init is weights and model.path is empty; it names the directory that holds them",
                         place);
    }
    if (config->model.ignore.count > 0 && config->model.path[0] == '\0') {
        config_source_text(config, CONFIG_KEY_model_ignore, place, sizeof place);
        return error_set(error, STATUS_USAGE,
                         "%s: model.ignore names fields of a config.json, and model.path, which names that, is empty",
                         place);
    }
    if (uses(command, CONFIG_KEY_train_global_batch) && config->train.micro_batch > 0 &&
        config->train.global_batch % config->train.micro_batch != 0) {
        config_source_text(config, CONFIG_KEY_train_micro_batch, place, sizeof place);
        return error_set(error, STATUS_USAGE,
                         "%s: train.micro_batch is %lld, which does not divide train.global_batch %lld", place,
                         (long long)config->train.micro_batch, (long long)config->train.global_batch);
    }
    if (config->optim.min_lr > config->optim.lr) {
        config_source_text(config, CONFIG_KEY_optim_min_lr, place, sizeof place);
        return error_set(error, STATUS_USAGE, "%s: optim.min_lr is %g, above optim.lr %g", place, config->optim.min_lr,
                         config->optim.lr);
    }
    return STATUS_OK;
}
