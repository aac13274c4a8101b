#include "engine/pretrained.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "huggingface/weights.h"

#define SAMPLE_BYTES 4096

/* The caller has asked for one matrix, and there are two. */
static int check_head(const struct hf_directory *directory, const struct model_config *model, struct error *error)
{
    bool own;
    int status = hf_weights_own_head(directory, model, &own, error);

    if (status == STATUS_OK && own)
        status = error_set(error, STATUS_INPUT,
                           "%s: %s differs from the token embedding, and tie_word_embeddings is true; "
                           "model.overrides.tie_word_embeddings false uses both",
                           directory->path, MODEL_HEAD_NAME);
    return status;
}

int pretrained_open(struct pretrained *pretrained, const struct file_system *fs, const char *path,
                    const struct model_config *model, struct error *error)
{
    int status;

    memset(pretrained, 0, sizeof *pretrained);
    program_init(&pretrained->program);
    pretrained->model = *model;
    status = hf_directory_open(fs, path, &pretrained->directory, error);
    if (status == STATUS_OK)
        status = hf_weights_check_layers(&pretrained->directory, model, error);
    if (status == STATUS_OK)
        status = state_dict_of_model(model, &pretrained->program, &pretrained->list, error);
    if (status == STATUS_OK)
        status = hf_weights_check(&pretrained->directory, model, pretrained->list.forms, pretrained->list.count, error);
    if (status == STATUS_OK && model->tie_word_embeddings)
        status = check_head(&pretrained->directory, model, error);
    if (status != STATUS_OK)
        pretrained_close(pretrained);
    return status;
}

void pretrained_close(struct pretrained *pretrained)
{
    hf_directory_close(&pretrained->directory);
    state_dict_finish(&pretrained->list);
    program_finish(&pretrained->program);
    memset(pretrained, 0, sizeof *pretrained);
}

static uint64_t add_hash(uint64_t hash, uint64_t more)
{
    const uint64_t both[2] = {hash, more};

    return hash_bytes(both, sizeof both);
}

static int hash_tensor(const struct safetensors *file, const struct safetensors_tensor *tensor, uint64_t *hash,
                       struct error *error)
{
    const int64_t bytes = tensor->bytes < SAMPLE_BYTES ? tensor->bytes : SAMPLE_BYTES;
    char sample[SAMPLE_BYTES];
    int status = STATUS_OK;

    for (int end = 0; end < 2 && bytes > 0 && status == STATUS_OK; end++) {
        status = safetensors_read(file, tensor, end == 0 ? 0 : tensor->bytes - bytes, sample, bytes, error);
        if (status == STATUS_OK)
            *hash = add_hash(*hash, hash_bytes(sample, (size_t)bytes));
    }
    return status;
}

int pretrained_hash(const struct pretrained *pretrained, uint64_t *hash, struct error *error)
{
    int status = STATUS_OK;

    *hash = 0;
    for (int64_t i = 0; i < pretrained->directory.count && status == STATUS_OK; i++) {
        const struct safetensors *file = &pretrained->directory.files[i];

        *hash = add_hash(*hash, file->header_checksum);
        for (int64_t t = 0; t < file->count && status == STATUS_OK; t++)
            status = hash_tensor(file, &file->tensors[t], hash, error);
    }
    return status;
}

int pretrained_staging(const struct pretrained *pretrained, float **memory, struct error *error)
{
    int64_t largest = 1;

    for (int64_t i = 0; i < pretrained->list.count; i++) {
        int64_t elements = shape_elements(&pretrained->list.forms[i].shape);

        largest = elements > largest ? elements : largest;
    }
    *memory = malloc((size_t)largest * sizeof **memory);
    if (*memory == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a tensor of %lld numbers", (long long)largest);
    return STATUS_OK;
}

int pretrained_load(const struct pretrained *pretrained, struct executor *executor, struct error *error)
{
    const struct program *program = &executor_compiled(executor)->program;
    float *memory = NULL;
    int status = pretrained_staging(pretrained, &memory, error);

    for (int64_t i = 0; i < pretrained->list.count && status == STATUS_OK; i++) {
        const struct safetensors_form *form = &pretrained->list.forms[i];
        int32_t value = program_find(program, form->name);

        if (value == NO_VALUE)
            continue; /* no section of this program uses it */
        status = hf_weights_read(&pretrained->directory, &pretrained->model, form, memory, error);
        if (status == STATUS_OK)
            status = executor_write_whole(executor, value, memory, error);
    }
    free(memory);
    return status;
}
