#include "conversion/import.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "checkpoint/save.h"
#include "conversion/new_folder.h"
#include "engine/model_files.h"
#include "engine/path_defaults.h"
#include "engine/pretrained.h"
#include "engine/request.h"
#include "engine/stored_model.h"
#include "huggingface/stop_ids.h"
#include "huggingface/weights.h"
#include "tokenizer/tokenizer.h"

#define STEP_FOLDER "step_00000000" /* of the checkpoint writer */
#define CHUNK_BYTES ((int64_t)1 << 20)

/* Everything that an import reads and writes. */
struct import {
    const struct file_system *fs;
    struct config config;
    struct model_config model;
    struct model_files files;
    struct pretrained source;
    struct checkpoint_state state;
    struct new_folder target;
};

char *import_dtype_key(const char *parameter)
{
    struct text key = {0};

    text_add(&key, "%s%s", IMPORT_DTYPE_KEY, parameter);
    if (key.failed)
        text_finish(&key);
    return key.data;
}

static int load_config(struct import *import, const char *source, const struct config_flag *given, int64_t given_count,
                       struct error *error)
{
    const struct config_flag fixed[] = {{"model.path", source}, {"model.init", "weights"}};
    struct config_flag *flags = malloc(((size_t)given_count + 2) * sizeof *flags);
    struct config_inputs inputs = {.flags = flags, .flag_count = given_count + 2};
    int status;

    if (flags == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the flags");
    memcpy(flags, fixed, sizeof fixed);
    if (given_count > 0)
        memcpy(flags + 2, given, (size_t)given_count * sizeof *flags);
    status = config_load(&import->config, &inputs, error);
    free(flags);
    if (status == STATUS_OK)
        status = path_defaults_set(import->fs, &import->config, error);
    if (status == STATUS_OK)
        status = request_model(import->fs, &import->config, 0, &import->model, error);
    if (status == STATUS_OK)
        status = model_files_read(import->fs, &import->config, &import->files, error);
    return status;
}

/* A tokenizer.json of a kind that is not read here comes along all the same, for those that read it. */
static int check_tokenizer(const struct import *import, const char *source, struct error *error)
{
    struct tokenizer *tokenizer = NULL;
    struct error reason = {0};
    int status;

    if (!model_files_tokenizer_in(import->fs, source))
        return STATUS_OK;
    status = tokenizer_open(source, &tokenizer, &reason);
    tokenizer_close(tokenizer);
    if (status == STATUS_OK)
        return STATUS_OK;
    if (status != STATUS_USAGE &&
        (status != STATUS_INPUT || model_files_find(&import->files, "tokenizer.json") == NULL))
        return error_set(error, status, "%s", reason.message);
    log_line(LOG_WARNING, "the tokenizer comes along, and eval and generate will need --tokenizer: %s", reason.message);
    return STATUS_OK;
}

/* What a checkpoint copies is read first, so that nothing broken gets a checksum that says that it is whole. */
static int check_files(const struct import *import, const char *source, struct error *error)
{
    struct hf_stop_ids stops = {.count = 0};
    int status = hf_stop_ids_read(import->fs, source, import->model.vocab_size, &stops, error);

    hf_stop_ids_finish(&stops);
    return status == STATUS_OK ? check_tokenizer(import, source, error) : status;
}

static int describe(struct import *import, struct error *error)
{
    const struct state_dict *list = &import->source.list;
    int status = checkpoint_state_set_integer(&import->state, "step", 0, error);

    if (status == STATUS_OK)
        status = checkpoint_state_set_integer(&import->state, "tokens", 0, error);
    for (int64_t i = 0; i < list->count && status == STATUS_OK; i++) {
        const char *name = list->forms[i].name;
        uint32_t dtype = hf_weights_dtype(&import->source.directory, &import->source.model, name);
        char *key = import_dtype_key(name);

        if (key == NULL)
            status = error_set(error, STATUS_MEMORY, "no memory to import %.80s", name);
        else
            status = checkpoint_state_set_text(&import->state, key, dtype_name(dtype), error);
        free(key);
    }
    return status;
}

static int write_tensors(const struct import *import, struct checkpoint_writer *writer, struct error *error)
{
    const struct state_dict *list = &import->source.list;
    float *memory = NULL;
    int status = pretrained_staging(&import->source, &memory, error);

    for (int64_t i = 0; i < list->count && status == STATUS_OK; i++) {
        const struct safetensors_form *form = &list->forms[i];
        int64_t bytes = shape_elements(&form->shape) * (int64_t)sizeof *memory;

        status = hf_weights_read(&import->source.directory, &import->source.model, form, memory, error);
        for (int64_t done = 0; done < bytes && status == STATUS_OK; done += CHUNK_BYTES)
            status = checkpoint_writer_add(writer, form->name, (const char *)memory + done,
                                           bytes - done < CHUNK_BYTES ? bytes - done : CHUNK_BYTES, error);
    }
    free(memory);
    return status;
}

static int write_files(const struct import *import, struct checkpoint_writer *writer, struct error *error)
{
    char *text = NULL;
    int status = config_to_text(&import->config, false, &text, error);

    if (status == STATUS_OK)
        status = checkpoint_writer_add_file(writer, STORED_CONFIG_NAME, text, (int64_t)strlen(text), error);
    free(text);
    for (int i = 0; i < import->files.count && status == STATUS_OK; i++) {
        const struct checkpoint_blob *blob = &import->files.blobs[i];

        status = checkpoint_writer_add_file(writer, blob->name, blob->data, blob->bytes, error);
    }
    return status;
}

static int write_checkpoint(struct import *import, const char *target, struct error *error)
{
    const struct state_dict *list = &import->source.list;
    struct checkpoint_writer *writer = NULL;
    int status = new_folder_begin(&import->target, import->fs, target, error);

    if (status == STATUS_OK) {
        const struct checkpoint_target where = {
            .fs = import->fs, .folder = import->target.partial, .step = 0, .run_id = "import"};

        status = checkpoint_writer_begin(&where, list->forms, list->count, &import->state, &writer, error);
    }
    if (status == STATUS_OK) {
        status = write_tensors(import, writer, error);
        if (status == STATUS_OK)
            status = write_files(import, writer, error);
        if (status == STATUS_OK)
            status = checkpoint_writer_commit(writer, error);
        else
            checkpoint_writer_abort(writer);
    }
    if (status == STATUS_OK)
        status = new_folder_commit(&import->target, STEP_FOLDER, error);
    new_folder_abandon(&import->target, STEP_FOLDER);
    return status;
}

int import_directory(const struct file_system *fs, const char *source, const char *target,
                     const struct config_flag *flags, int64_t flag_count, int64_t *parameters, struct error *error)
{
    struct import import = {.fs = fs};
    int status = load_config(&import, source, flags, flag_count, error);

    if (status == STATUS_OK)
        status = pretrained_open(&import.source, fs, source, &import.model, error);
    if (status == STATUS_OK)
        status = check_files(&import, source, error);
    if (status == STATUS_OK) {
        path_defaults_tell_head(&import.config);
        status = describe(&import, error);
    }
    if (status == STATUS_OK)
        status = write_checkpoint(&import, target, error);
    if (status == STATUS_OK && parameters != NULL)
        *parameters = model_parameters(&import.model);
    checkpoint_state_finish(&import.state);
    pretrained_close(&import.source);
    model_files_finish(&import.files);
    config_finish(&import.config);
    return status;
}
