#include "conversion/export.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/find.h"
#include "checkpoint/stored_file.h"
#include "conversion/exported_class.h"
#include "conversion/import.h"
#include "conversion/new_folder.h"
#include "engine/model_files.h"
#include "engine/request.h"
#include "engine/state_dict.h"
#include "engine/stored_model.h"
#include "huggingface/config.h"
#include "huggingface/directory.h"
#include "huggingface/files.h"
#include "huggingface/stop_ids.h"
#include "tensor/convert.h"

#define BLOCK_ELEMENTS ((int64_t)1 << 18) /* converted and written at once */

/* Everything that an export reads and writes. */
struct export
{
    const struct export_options *options;
    struct checkpoint checkpoint;
    struct model_config model;
    bool keeps_ids;      /* token ids are those of the directory that the model came from */
    int64_t end_of_text; /* of the tokenizer, -1 for none */
    struct program program;
    struct state_dict list; /* our parameters */
    struct hf_stored_list stored;
    struct hf_files files;
    struct new_folder target;
    float *parameter, *tensor; /* the largest of each */
    void *block;
};

static int read_model(struct export *export, struct error *error)
{
    struct tokenizer *tokenizer = NULL;
    struct config config;
    const char *name;
    const struct file_system *fs = checkpoint_files(&export->checkpoint);
    int64_t vocabulary = 0;
    int status = stored_model_config(&export->checkpoint, NULL, &config, error);

    if (status != STATUS_OK)
        return status;
    export->keeps_ids = request_keeps_ids(&config);
    name = stored_model_tokenizer(&export->checkpoint, &config);
    /* Weights that came with a config.json have its vocabulary. */
    if (name != NULL && config.model.init != CONFIG_INIT_WEIGHTS)
        status = tokenizer_open_from(fs, name, &tokenizer, error);
    if (tokenizer != NULL) {
        vocabulary = tokenizer_vocabulary(tokenizer);
        export->end_of_text = tokenizer_end_of_text(tokenizer);
    }
    if (status == STATUS_OK)
        status = request_model(fs, &config, vocabulary, &export->model, error);
    tokenizer_close(tokenizer);
    config_finish(&config);
    return status;
}

static int choose_dtypes(struct export *export, struct error *error)
{
    for (int64_t i = 0; i < export->stored.count; i++) {
        struct hf_stored *tensor = &export->stored.tensors[i];
        const char *name = export->list.forms[tensor->parameters[0]].name, *imported;
        char *key = import_dtype_key(name);

        if (key == NULL)
            return error_set(error, STATUS_MEMORY, "no memory to export %.80s", name);
        imported = checkpoint_state_text(&export->checkpoint.manifest.state, key);
        free(key);
        if (export->options->dtype != LLMRUN_NONE)
            tensor->dtype = export->options->dtype;
        else if (imported != NULL)
            tensor->dtype = dtype_from_name(imported);
        if (tensor->dtype != LLMRUN_F32 && tensor->dtype != LLMRUN_BF16 && tensor->dtype != LLMRUN_F16)
            return error_set(error, STATUS_INPUT,
                             "%s: its manifest has '%.40s' as " IMPORT_DTYPE_KEY "%s; f32, bf16 or f16 is wanted",
                             export->checkpoint.folder, imported != NULL ? imported : "nothing", name);
    }
    return STATUS_OK;
}

static int plan(struct export *export, struct error *error)
{
    int status = state_dict_of_model(&export->model, &export->program, &export->list, error);

    for (int64_t i = 0; i < export->list.count && status == STATUS_OK; i++) {
        const struct manifest_tensor *tensor;

        status = state_dict_find(&export->checkpoint, &export->list.forms[i], &tensor, error);
    }
    if (status == STATUS_OK)
        status = hf_stored_list_make(&export->model, export->list.forms, export->list.count, &export->stored, error);
    if (status == STATUS_OK)
        status = choose_dtypes(export, error);
    if (status == STATUS_OK) {
        hf_stored_list_order(&export->stored);
        status = hf_files_plan(&export->stored, export->options->shard_bytes, &export->files, error);
    }
    return status;
}

static int make_memory(struct export *export, struct error *error)
{
    int64_t parameter = 1, tensor = 1;

    for (int64_t i = 0; i < export->list.count; i++) {
        int64_t elements = shape_elements(&export->list.forms[i].shape);

        parameter = elements > parameter ? elements : parameter;
    }
    for (int64_t i = 0; i < export->stored.count; i++) {
        int64_t elements = shape_elements(&export->stored.tensors[i].shape);

        tensor = elements > tensor ? elements : tensor;
    }
    export->parameter = malloc((size_t)parameter * sizeof(float));
    export->tensor = malloc((size_t)tensor * sizeof(float));
    export->block = malloc(BLOCK_ELEMENTS * sizeof(float));
    if (export->parameter == NULL || export->tensor == NULL || export->block == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a tensor of %lld numbers", (long long)tensor);
    return STATUS_OK;
}

static int assemble(struct export *export, const struct hf_stored *tensor, struct error *error)
{
    int status = STATUS_OK;

    for (int part = 0; part < tensor->parts && status == STATUS_OK; part++) {
        const struct manifest_tensor *stored;

        status = state_dict_find(&export->checkpoint, &export->list.forms[tensor->parameters[part]], &stored, error);
        if (status == STATUS_OK)
            status = checkpoint_read(&export->checkpoint, stored, export->parameter, stored->bytes, error);
        if (status == STATUS_OK)
            hf_stored_place(tensor, part, export->parameter, export->tensor);
    }
    return status;
}

/* A number that was finite stays finite. */
static int check_range(const struct hf_stored *tensor, const float *values, int64_t count, struct error *error)
{
    const float largest = (float)dtype_facts(tensor->dtype)->max;

    for (int64_t i = 0; i < count; i++)
        if (fabsf(values[i]) > largest && isfinite(values[i]) &&
            !isfinite(convert_decode(tensor->dtype, convert_encode(tensor->dtype, values[i], CONVERT_OVERFLOW))))
            return error_set(error, STATUS_USAGE, "tensor %s holds %g, which %s cannot hold; choose another --dtype",
                             tensor->name, (double)values[i], dtype_name(tensor->dtype));
    return STATUS_OK;
}

static int write_tensor(struct export *export, const struct hf_stored *tensor, struct stored_file *file,
                        struct error *error)
{
    const int64_t count = shape_elements(&tensor->shape), bytes = dtype_bytes(tensor->dtype);
    int status = assemble(export, tensor, error);

    for (int64_t done = 0; done < count && status == STATUS_OK; done += BLOCK_ELEMENTS) {
        const int64_t some = count - done < BLOCK_ELEMENTS ? count - done : BLOCK_ELEMENTS;
        const void *data = export->tensor + done;

        if (tensor->dtype != LLMRUN_F32) {
            status = check_range(tensor, export->tensor + done, some, error);
            convert_from_f32(tensor->dtype, export->tensor + done, export->block, some, CONVERT_OVERFLOW);
            data = export->block;
        }
        if (status == STATUS_OK)
            status = stored_file_write(file, data, some * bytes, error);
    }
    return status;
}

static int write_tensors(struct export *export, const struct hf_file *planned, struct error *error)
{
    struct stored_file file = {.handle = -1};
    uint64_t checksum;
    int status = stored_file_create(&file, export->options->fs, export->target.partial, planned->name, error);

    if (status == STATUS_OK)
        status = stored_file_write(&file, planned->header, planned->header_bytes, error);
    for (int64_t i = 0; i < planned->count && status == STATUS_OK; i++)
        status = write_tensor(export, &export->stored.tensors[planned->first + i], &file, error);
    if (status == STATUS_OK)
        status = stored_file_finish(&file, &checksum, error);
    stored_file_abandon(&file);
    return status;
}

static int write_file(struct export *export, const char *name, const void *data, int64_t bytes, struct error *error)
{
    struct stored_file file = {.handle = -1};
    uint64_t checksum;
    int status = stored_file_create(&file, export->options->fs, export->target.partial, name, error);

    if (status == STATUS_OK)
        status = stored_file_write(&file, data, bytes, error);
    if (status == STATUS_OK)
        status = stored_file_finish(&file, &checksum, error);
    stored_file_abandon(&file);
    return status;
}

/* generation_config.json names ids of the vocabulary that came with the model. */
static int write_tokenizer(struct export *export, const struct model_files *files, struct error *error)
{
    char *class = NULL;
    int status = export->keeps_ids ? STATUS_OK : exported_class_print(files, &class, error);

    for (int i = 0; i < files->count && status == STATUS_OK; i++) {
        const struct checkpoint_blob *file = &files->blobs[i];

        if (strcmp(file->name, HF_CONFIG_NAME) != 0 &&
            (export->keeps_ids || strcmp(file->name, HF_GENERATION_NAME) != 0) &&
            (class == NULL || strcmp(file->name, EXPORTED_CLASS_FILE) != 0))
            status = write_file(export, file->name, file->data, file->bytes, error);
    }
    if (status == STATUS_OK && class != NULL)
        status = write_file(export, EXPORTED_CLASS_FILE, class, (int64_t)strlen(class), error);
    free(class);
    return status;
}

/* config.json says the widest type of the tensors, which come in that order. */
static int write_small_files(struct export *export, struct error *error)
{
    struct hf_config_form form = {
        .dtype = export->stored.tensors[0].dtype, .new_ids = !export->keeps_ids, .end_of_text = export->end_of_text};
    const struct checkpoint_blob *original;
    struct model_files files;
    char *text = NULL;
    int status = model_files_read_checkpoint(&export->checkpoint, &files, error);

    if (status != STATUS_OK)
        return status;
    original = model_files_find(&files, HF_CONFIG_NAME);
    form.original = original != NULL ? original->data : NULL;
    status = hf_config_print(&export->model, &form, &text, error);
    if (status == STATUS_OK)
        status = write_file(export, HF_CONFIG_NAME, text, (int64_t)strlen(text), error);
    if (status == STATUS_OK)
        status = write_tokenizer(export, &files, error);
    if (status == STATUS_OK && export->files.index != NULL)
        status = write_file(export, HF_INDEX_NAME, export->files.index, (int64_t)strlen(export->files.index), error);
    free(text);
    model_files_finish(&files);
    return status;
}

static int write_all(struct export *export, struct error *error)
{
    int status = new_folder_begin(&export->target, export->options->fs, export->options->target, error);

    for (int64_t i = 0; i < export->files.count && status == STATUS_OK; i++)
        status = write_tensors(export, &export->files.files[i], error);
    if (status == STATUS_OK)
        status = write_small_files(export, error);
    if (status == STATUS_OK)
        status = new_folder_commit(&export->target, NULL, error);
    new_folder_abandon(&export->target, NULL);
    return status;
}

int export_checkpoint(const struct export_options *options, struct export_report *report, struct error *error)
{
    struct export export = {.options = options, .end_of_text = -1};
    int status = checkpoint_open_given(options->fs, options->source, &export.checkpoint, error);

    program_init(&export.program);
    if (status == STATUS_OK)
        status = read_model(&export, error);
    if (status == STATUS_OK)
        status = plan(&export, error);
    if (status == STATUS_OK)
        status = make_memory(&export, error);
    if (status == STATUS_OK)
        status = write_all(&export, error);
    if (status == STATUS_OK)
        *report = (struct export_report){export.stored.count, export.files.total_bytes, export.files.count};
    free(export.parameter);
    free(export.tensor);
    free(export.block);
    hf_files_finish(&export.files);
    hf_stored_list_finish(&export.stored);
    state_dict_finish(&export.list);
    program_finish(&export.program);
    checkpoint_close(&export.checkpoint);
    return status;
}
