#include "train/stored_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/find.h"
#include "train/saver.h"
#include "train/weights.h"

static int read_config(struct stored_model *model, const struct checkpoint *checkpoint,
                       const struct stored_model_options *options, struct error *error)
{
    struct config_inputs inputs = {.file = SAVER_CONFIG_NAME,
                                   .environment = options->environment,
                                   .flags = options->flags,
                                   .flag_count = options->flag_count};
    char *text = NULL;
    int status = checkpoint_read_file(checkpoint, SAVER_CONFIG_NAME, &text, &inputs.text_bytes, error);

    if (status == STATUS_OK) {
        inputs.text = text;
        status = config_load(&model->config, &inputs, error);
    }
    free(text);
    return status;
}

/* From the checkpoint, else from the option; a tokenizer of bytes needs no files. */
static int open_tokenizer(struct stored_model *model, const struct stored_model_options *options, struct error *error)
{
    char vocabulary[4200];

    if (strcmp(model->config.data.tokenizer, "bytes") == 0)
        return tokenizer_open("bytes", &model->tokenizer, error);
    if (file_join(vocabulary, sizeof vocabulary, model->folder, "vocab.json") && access(vocabulary, R_OK) == 0)
        return tokenizer_open(model->folder, &model->tokenizer, error);
    if (options->tokenizer == NULL)
        return error_set(error, STATUS_USAGE, "%s holds no tokenizer; name one with --tokenizer", model->folder);
    return tokenizer_open(options->tokenizer, &model->tokenizer, error);
}

static int load(struct stored_model *model, struct checkpoint *checkpoint, unsigned uses, struct error *error)
{
    struct weight_list list;
    int status = engine_open(&model->engine, &model->config, tokenizer_vocabulary(model->tokenizer), uses, error);

    if (status != STATUS_OK)
        return status;
    status = weight_list_make(&executor_compiled(model->engine.executor)->program, &list, error);
    if (status == STATUS_OK) {
        status = weights_load(model->engine.executor, &list, checkpoint, error);
        weight_list_free(&list);
    }
    return status == STATUS_OK ? engine_refresh(&model->engine, error) : status;
}

int stored_model_open(struct stored_model *model, const struct file_system *fs,
                      const struct stored_model_options *options, struct error *error)
{
    struct checkpoint checkpoint = {0};
    int status;

    memset(model, 0, sizeof *model);
    status = checkpoint_resolve(fs, options->path, model->folder, error);
    if (status == STATUS_OK)
        status = checkpoint_open(fs, model->folder, &checkpoint, error);
    if (status == STATUS_OK)
        status = read_config(model, &checkpoint, options, error);
    if (status == STATUS_OK)
        status = open_tokenizer(model, options, error);
    if (status == STATUS_OK)
        status = load(model, &checkpoint, options->uses, error);
    if (status == STATUS_OK)
        model->step = checkpoint.manifest.step;
    else
        stored_model_close(model);
    checkpoint_close(&checkpoint);
    return status;
}

void stored_model_close(struct stored_model *model)
{
    engine_close(&model->engine);
    tokenizer_close(model->tokenizer);
    config_free(&model->config);
    memset(model, 0, sizeof *model);
}
