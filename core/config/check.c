#include "config/keys.h"
#include "config/levels.h"

/* Each sentence begins with the place of the key that is easiest to change. */
int config_check(const struct config *config, struct error *error)
{
    char place[300];

    if (config->model.path[0] == '\0' && config->model.preset[0] == '\0') {
        config_source_text(config, CONFIG_KEY_model_preset, place, sizeof place);
        return error_set(error, STATUS_USAGE,
                         "%s: model.path and model.preset are both empty; one of them names the model", place);
    }
    if (config->train.micro_batch > 0 && config->train.global_batch % config->train.micro_batch != 0) {
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
