#include "train/request.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "huggingface/config.h"
#include "model/keys.h"

static int apply_overrides(const struct config *config, struct model_config *model, bool *vocabulary_given,
                           struct error *error)
{
    const struct config_map *overrides = &config->model.overrides;

    for (int64_t i = 0; i < overrides->count; i++) {
        const struct config_pair *pair = &overrides->pairs[i];
        int status = model_override(model, pair->name, pair->text, error);

        if (status != STATUS_OK)
            return status;
        *vocabulary_given |= strcmp(pair->name, "vocab_size") == 0;
    }
    return STATUS_OK;
}

int request_model(const struct file_system *fs, const struct config *config, int64_t vocabulary,
                  struct model_config *model, struct error *error)
{
    bool overridden = false;
    int status;

    if (config->model.path[0] != '\0')
        status = hf_config_read(
            fs, config->model.path,
            &(struct hf_ignored){.names = config->model.ignore.items, .count = config->model.ignore.count}, model,
            error);
    else
        status = model_preset(config->model.preset, model, error);
    if (status == STATUS_OK)
        status = apply_overrides(config, model, &overridden, error);
    if (status != STATUS_OK)
        return status;
    if (vocabulary > 0 && !overridden && config->model.init != CONFIG_INIT_WEIGHTS)
        model->vocab_size = vocabulary;
    return model_check(model, error);
}

bool request_keeps_ids(const struct config *config)
{
    return config->model.path[0] != '\0' &&
           (config->model.init == CONFIG_INIT_WEIGHTS || strcmp(config->data.tokenizer, config->model.path) == 0);
}

enum special_tokens request_special_tokens(const struct config *config)
{
    switch (config->data.special) {
    case CONFIG_SPECIAL_TEXT:
        return SPECIAL_NOWHERE;
    case CONFIG_SPECIAL_FIND:
        return SPECIAL_EVERYWHERE;
    default:
        return SPECIAL_IN_PROMPTS;
    }
}

static enum recompute recompute_mode(const struct config *config)
{
    switch (config->parallel.recompute) {
    case CONFIG_RECOMPUTE_SELECTIVE:
        return RECOMPUTE_SELECTIVE;
    case CONFIG_RECOMPUTE_FULL:
        return RECOMPUTE_FULL;
    default:
        return RECOMPUTE_NONE;
    }
}

/* Ops count tokens in 32 bits. */
static int check_tokens(const struct config *config, const struct compile_request *request, struct error *error)
{
    const enum model_family family = request->model.family;

    if (!request->train || request->micro_batch <= INT32_MAX / request->sequence)
        return STATUS_OK;
    return error_set(
        error, STATUS_USAGE,
        "train.micro_batch is %lld and data.seq_len %lld%s%s%s; at most %d tokens are computed at once, set "
        "smaller ones",
        (long long)request->micro_batch, (long long)request->sequence,
        config->data.seq_len > 0 ? "" : " (not set: the ",
        config->data.seq_len > 0 ? "" : keys_name(family, offsetof(struct model_config, n_positions)),
        config->data.seq_len > 0 ? "" : " of the model)", INT32_MAX);
}

int request_make(const struct file_system *fs, const struct config *config, int64_t vocabulary, unsigned uses,
                 struct compile_request *request, struct error *error)
{
    int status;

    memset(request, 0, sizeof *request);
    status = request_model(fs, config, vocabulary, &request->model, error);
    if (status != STATUS_OK)
        return status;
    request->seed = (uint64_t)config->run.seed;
    request->sequence = config->data.seq_len > 0 ? config->data.seq_len : request->model.n_positions;
    request->global_batch = config->train.global_batch;
    request->micro_batch = config->train.micro_batch > 0 ? config->train.micro_batch : config->train.global_batch;
    if (request->micro_batch > request->global_batch)
        request->micro_batch = request->global_batch;
    request->lanes = config->numerics.lanes;
    request->train = uses & USE_TRAIN;
    request->eval_batch = uses & USE_EVALUATE ? request->micro_batch : 0;
    request->generate = uses & USE_GENERATE;
    request->dropout = (float)config->model.dropout;
    request->compute_dtype = config->precision.compute == CONFIG_COMPUTE_BF16 ? LLMRUN_BF16 : LLMRUN_F32;
    request->recompute = recompute_mode(config);
    request->update = (struct update_policy){.beta1 = (float)config->optim.beta1,
                                             .beta2 = (float)config->optim.beta2,
                                             .epsilon = (float)config->optim.eps,
                                             .weight_decay = (float)config->optim.weight_decay,
                                             .clip = (float)config->optim.clip};
    return check_tokens(config, request, error);
}

/* Threads that turn text into tokens; their number changes no token. */
static int reader_threads(const struct config *config)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);

    if (config->run.threads > 0)
        return (int)config->run.threads;
    return online < 1 ? 1 : online > 8 ? 8 : (int)online;
}

void request_corpus(const struct config *config, struct corpus_options *options)
{
    options->special = request_special_tokens(config);
    options->mask_prompt = config->data.mask == CONFIG_MASK_PROMPT;
    options->threads = reader_threads(config);
}

void request_learning_rate(const struct config *config, struct learning_rate *schedule)
{
    static const enum learning_rate_decay decays[] = {[CONFIG_DECAY_COSINE] = DECAY_COSINE,
                                                      [CONFIG_DECAY_LINEAR] = DECAY_LINEAR,
                                                      [CONFIG_DECAY_CONSTANT] = DECAY_CONSTANT,
                                                      [CONFIG_DECAY_WSD] = DECAY_WSD};

    *schedule = (struct learning_rate){decays[config->optim.decay], config->optim.lr,    config->optim.min_lr,
                                       config->optim.warmup,        config->train.steps, config->optim.decay_steps};
}
