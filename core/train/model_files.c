#include "train/model_files.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "huggingface/directory.h"
#include "huggingface/stop_ids.h"

/* `opens`: a tokenizer is opened from it (with merges.txt beside vocab.json), or refused for what it is. */
static const struct {
    const char *name;
    bool of_model, opens;
} names[MODEL_FILES] = {
    {HF_CONFIG_NAME, true, false},
    {HF_GENERATION_NAME, true, false},
    {"tokenizer.json", false, true},
    {"tokenizer_config.json", false, false},
    {"special_tokens_map.json", false, false},
    {"added_tokens.json", false, false},
    {"chat_template.jinja", false, false},
    {"vocab.json", false, true},
    {"merges.txt", false, false},
    {"tokenizer.model", false, true},
};

static void add(struct model_files *files, const char *name, char *data, int64_t bytes)
{
    files->blobs[files->count++] = (struct checkpoint_blob){name, data, bytes};
}

static bool is_there(const char *folder, const char *name, char path[PATH_MAX])
{
    return file_join(path, PATH_MAX, folder, name) && access(path, F_OK) == 0;
}

int model_files_read(const struct file_system *fs, const struct config *config, struct model_files *files,
                     struct error *error)
{
    char path[PATH_MAX], *data;
    int64_t bytes;
    int status = STATUS_OK;

    *files = (struct model_files){.count = 0};
    for (int i = 0; i < MODEL_FILES && status == STATUS_OK; i++) {
        const char *folder = names[i].of_model ? config->model.path : config->data.tokenizer;

        if (folder[0] == '\0' || !is_there(folder, names[i].name, path))
            continue;
        status = file_read_all(fs, path, MODEL_FILES_LIMIT, &data, &bytes, error);
        if (status == STATUS_OK)
            add(files, names[i].name, data, bytes);
    }
    if (status != STATUS_OK)
        model_files_free(files);
    return status;
}

int model_files_read_checkpoint(const struct checkpoint *checkpoint, struct model_files *files, struct error *error)
{
    char *data;
    int64_t bytes;
    int status = STATUS_OK;

    *files = (struct model_files){.count = 0};
    for (int i = 0; i < MODEL_FILES && status == STATUS_OK; i++) {
        if (manifest_find_file(&checkpoint->manifest, names[i].name) == NULL)
            continue;
        status = checkpoint_read_file(checkpoint, names[i].name, &data, &bytes, error);
        if (status == STATUS_OK)
            add(files, names[i].name, data, bytes);
    }
    if (status != STATUS_OK)
        model_files_free(files);
    return status;
}

void model_files_free(struct model_files *files)
{
    for (int i = 0; i < files->count; i++)
        free((void *)files->blobs[i].data);
    *files = (struct model_files){.count = 0};
}

const struct checkpoint_blob *model_files_find(const struct model_files *files, const char *name)
{
    for (int i = 0; i < files->count; i++)
        if (strcmp(files->blobs[i].name, name) == 0)
            return &files->blobs[i];
    return NULL;
}

bool model_files_config_in(const char *folder)
{
    char path[PATH_MAX];

    return is_there(folder, HF_CONFIG_NAME, path);
}

bool model_files_tokenizer_in(const char *folder)
{
    char path[PATH_MAX];

    for (int i = 0; i < MODEL_FILES; i++)
        if (names[i].opens && is_there(folder, names[i].name, path))
            return true;
    return false;
}
