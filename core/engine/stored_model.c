#include "engine/stored_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/find.h"
#include "engine/layout.h"
#include "engine/model_files.h"
#include "engine/path_defaults.h"
#include "engine/state_dict.h"
#include "huggingface/directory.h"
#include "huggingface/stop_ids.h"

static int replace_text(char **text, const char *by, struct error *error)
{
    char *copy = strdup(by);

    if (copy == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the config of %s", by);
    free(*text);
    *text = copy;
    return STATUS_OK;
}

int stored_model_read_config(const struct checkpoint *checkpoint, const struct config_inputs *above,
                             struct config *config, struct error *error)
{
    struct config_inputs inputs = above != NULL ? *above : (struct config_inputs){.file = NULL};
    char *text = NULL;
    int status = checkpoint_read_file(checkpoint, STORED_CONFIG_NAME, &text, &inputs.text_bytes, error);

    if (status == STATUS_OK) {
        inputs.file = STORED_CONFIG_NAME;
        inputs.text = text;
        status = config_load(config, &inputs, error);
        /* What a flag or a variable above it says wrong names that. */
        if (status != STATUS_OK && strncmp(error->message, STORED_CONFIG_NAME, strlen(STORED_CONFIG_NAME)) == 0)
            error_prefix(error, "%s", checkpoint->folder);
    }
    free(text);
    return status;
}

int stored_model_config(const struct checkpoint *checkpoint, const struct config_inputs *above, struct config *config,
                        struct error *error)
{
    int status = stored_model_read_config(checkpoint, above, config, error);
    bool own_tokenizer;

    if (status != STATUS_OK || manifest_find_file(&checkpoint->manifest, HF_CONFIG_NAME) == NULL)
        return status;
    own_tokenizer = strcmp(config->data.tokenizer, config->model.path) == 0;
    status = replace_text(&config->model.path, checkpoint->folder, error);
    if (status == STATUS_OK && own_tokenizer)
        status = replace_text(&config->data.tokenizer, checkpoint->folder, error);
    if (status != STATUS_OK)
        config_finish(config);
    return status;
}

const char *stored_model_tokenizer(const struct checkpoint *checkpoint, const struct config *config)
{
    const bool trained = checkpoint_state_text(&checkpoint->manifest.state, "tokenizer") != NULL;

    if (trained && strcmp(config->data.tokenizer, "bytes") == 0)
        return config->data.tokenizer;
    return model_files_tokenizer_in(checkpoint_files(checkpoint), checkpoint->folder) ? checkpoint->folder : NULL;
}

static bool tokenizer_is_given(const struct stored_model *model)
{
    return config_is_given(&model->config, CONFIG_KEY_data_tokenizer);
}

/* `own`: the model's; NULL: it has none. */
static int open_tokenizer(struct stored_model *model, const struct file_system *fs, const char *own,
                          struct error *error)
{
    const char *path = tokenizer_is_given(model) ? model->config.data.tokenizer : own;

    if (path == NULL)
        return error_set(error, STATUS_USAGE, "%s holds no tokenizer; name one with --tokenizer", model->folder);
    return tokenizer_open_from(fs, path, &model->tokenizer, error);
}

/* A model that began with random weights has the vocabulary of the tokenizer that it was trained with, whichever reads
 * the texts now. One that is not read here came with the weights, whose vocabulary is known. */
static int trained_vocabulary(struct stored_model *model, struct error *error)
{
    struct tokenizer *tokenizer = NULL;
    struct config stored;
    struct error ignored;
    const char *own;
    int status;

    model->vocabulary = tokenizer_vocabulary(model->tokenizer);
    if (!tokenizer_is_given(model))
        return STATUS_OK;
    status = stored_model_config(&model->checkpoint, NULL, &stored, error);
    if (status != STATUS_OK)
        return status;
    own = stored_model_tokenizer(&model->checkpoint, &stored);
    if (own != NULL &&
        tokenizer_open_from(checkpoint_files(&model->checkpoint), own, &tokenizer, &ignored) == STATUS_OK) {
        model->vocabulary = tokenizer_vocabulary(tokenizer);
        tokenizer_close(tokenizer);
    }
    config_finish(&stored);
    return STATUS_OK;
}

static int open_checkpoint(struct stored_model *model, const struct file_system *fs,
                           const struct stored_model_options *options, struct error *error)
{
    const struct config_inputs above = {.command = options->command,
                                        .environment = options->environment,
                                        .flags = options->flags,
                                        .flag_count = options->flag_count};
    struct checkpoint *checkpoint = &model->checkpoint;
    int status = checkpoint_open_given(fs, options->path, checkpoint, error);

    if (status != STATUS_OK)
        return status;
    model->files = checkpoint_files(checkpoint);
    memcpy(model->folder, checkpoint->folder, sizeof model->folder);
    if (status == STATUS_OK)
        status = stored_model_config(checkpoint, &above, &model->config, error);
    if (status == STATUS_OK)
        layout_forget_stored(&model->config);
    if (status == STATUS_OK)
        config_set_log_level(&model->config);
    if (status == STATUS_OK)
        status = open_tokenizer(model, model->files, stored_model_tokenizer(checkpoint, &model->config), error);
    if (status == STATUS_OK)
        status = trained_vocabulary(model, error);
    if (status == STATUS_OK)
        status = request_model(model->files, &model->config, model->vocabulary, &model->extents, error);
    model->step = checkpoint->manifest.step;
    return status;
}

/* The defaults, with the directory as model.path, under the flags. */
static int directory_config(struct stored_model *model, const struct stored_model_options *options, struct error *error)
{
    struct config_inputs inputs = {
        .command = options->command, .environment = options->environment, .flag_count = options->flag_count + 2};
    struct config_flag *flags = malloc((size_t)inputs.flag_count * sizeof *flags);
    int status;

    if (flags == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the flags");
    flags[0] = (struct config_flag){"model.path", model->folder};
    flags[1] = (struct config_flag){"model.init", "weights"};
    if (options->flag_count > 0)
        memcpy(flags + 2, options->flags, (size_t)options->flag_count * sizeof *flags);
    inputs.flags = flags;
    status = config_load(&model->config, &inputs, error);
    if (status == STATUS_OK)
        config_set_log_level(&model->config);
    free(flags);
    return status;
}

static int open_directory(struct stored_model *model, const struct file_system *fs,
                          const struct stored_model_options *options, struct error *error)
{
    const char *own = NULL;
    int status;

    snprintf(model->folder, sizeof model->folder, "%s", options->path);
    status = directory_config(model, options, error);
    if (status == STATUS_OK)
        status = path_defaults_set(fs, &model->config, error);
    if (status == STATUS_OK && model->config.sources[CONFIG_KEY_data_tokenizer].level != CONFIG_DEFAULT)
        own = model->config.data.tokenizer;
    if (status == STATUS_OK)
        status = open_tokenizer(model, checkpoint_files_anywhere(), own, error);
    if (status != STATUS_OK)
        return status;
    model->vocabulary = tokenizer_vocabulary(model->tokenizer);
    status = request_model(fs, &model->config, model->vocabulary, &model->extents, error);
    if (status == STATUS_OK)
        status = pretrained_open(&model->pretrained, fs, model->folder, &model->extents, error);
    if (status == STATUS_OK)
        path_defaults_tell_head(&model->config);
    return status;
}

static int find_stops(struct stored_model *model, struct error *error)
{
    const int32_t end_of_text = tokenizer_end_of_text(model->tokenizer);
    const int64_t vocabulary = model->extents.vocab_size;
    struct hf_stop_ids named = {.count = 0};
    int status = STATUS_OK;

    if (request_keeps_ids(&model->config))
        status = hf_stop_ids_read(model->files, model->folder, vocabulary, &named, error);
    if (status != STATUS_OK)
        return status;
    model->stops = malloc((size_t)(named.count + 1) * sizeof *model->stops);
    if (model->stops == NULL) {
        hf_stop_ids_finish(&named);
        return error_set(error, STATUS_MEMORY, "no memory for the tokens that end a text");
    }
    if (end_of_text >= 0)
        model->stops[model->stop_count++] = end_of_text;
    for (int64_t i = 0; i < named.count; i++)
        model->stops[model->stop_count++] = named.ids[i];
    hf_stop_ids_finish(&named);
    return STATUS_OK;
}

int stored_model_open(struct stored_model *model, const struct file_system *fs,
                      const struct stored_model_options *options, struct error *error)
{
    int status;

    memset(model, 0, sizeof *model);
    model->files = fs;
    /* A checkpoint that has lost its manifest is no directory of Hugging Face. */
    model->is_directory = hf_is_directory(fs, options->path) && !hf_has_file(fs, options->path, STORED_CONFIG_NAME);
    if (model->is_directory)
        status = open_directory(model, fs, options, error);
    else
        status = open_checkpoint(model, fs, options, error);
    if (status != STATUS_OK)
        stored_model_close(model);
    return status;
}

static int load_weights(struct stored_model *model, struct error *error)
{
    struct executor *executor = model->engine.executor;
    struct state_dict list;
    int status;

    if (model->is_directory)
        return pretrained_load(&model->pretrained, executor, error);
    status = state_dict_check_surplus(&model->checkpoint, &model->engine.request.model, error);
    if (status == STATUS_OK)
        status = state_dict_make(&executor_compiled(executor)->program, &list, error);
    if (status != STATUS_OK)
        return status;
    status = state_dict_load(executor, &list, &model->checkpoint, error);
    state_dict_finish(&list);
    return status;
}

static void close_source(struct stored_model *model)
{
    checkpoint_close(&model->checkpoint);
    pretrained_close(&model->pretrained);
}

int stored_model_load(struct stored_model *model, const struct request_work *work, struct error *error)
{
    int status = engine_open(&model->engine, model->files, &model->config, model->vocabulary, work, error);

    if (status == STATUS_OK)
        status = load_weights(model, error);
    if (status == STATUS_OK)
        status = engine_cast_weights(&model->engine, error);
    if (status == STATUS_OK && (work->uses & USE_GENERATE) != 0)
        status = find_stops(model, error);
    close_source(model);
    return status;
}

void stored_model_close(struct stored_model *model)
{
    free(model->stops);
    engine_close(&model->engine);
    close_source(model);
    tokenizer_close(model->tokenizer);
    config_finish(&model->config);
    memset(model, 0, sizeof *model);
}
