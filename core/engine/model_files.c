#include "engine/model_files.h"

#include <stdlib.h>
#include <string.h>

#include "base/lfs_pointer.h"
#include "base/strict_json.h"
#include "base/text.h"
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

static bool is_there(const struct file_system *fs, const char *folder, const char *name, char path[PATH_MAX])
{
    return file_join(path, PATH_MAX, folder, name) && file_is_there(fs, path);
}

static bool is_utf8(const struct checkpoint_blob *blob)
{
    return memchr(blob->data, '\0', (size_t)blob->bytes) == NULL && text_is_utf8(blob->data);
}

/* The data of a blob that was read end with a NUL, which does not count. Numbers need not fit 64 bits: a tokenizer's
 * longest text is 1e30 in many files. */
static int check_file(const struct checkpoint_blob *blob, const char *path, struct error *error)
{
    static const char mark[] = "\xEF\xBB\xBF";
    const size_t length = strlen(blob->name);
    const int64_t skip = strncmp(blob->data, mark, 3) == 0 ? 3 : 0;
    json_t *root = NULL;
    int status = lfs_pointer_refuse(path, blob->data, blob->bytes, error);

    if (status != STATUS_OK)
        return status;
    if (blob->bytes == 0)
        return error_set(error, STATUS_INPUT, "%s is empty", path);
    if (strcmp(blob->name + length - strlen(".json"), ".json") == 0)
        status = strict_json_parse_reals((const char *)blob->data + skip, blob->bytes - skip, path, &root, error);
    else if (strcmp(blob->name, "tokenizer.model") != 0 && !is_utf8(blob))
        status = error_set(error, STATUS_INPUT, "%s is not UTF-8", path);
    json_decref(root);
    return status;
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

        if (folder[0] == '\0' || !is_there(fs, folder, names[i].name, path))
            continue;
        status = file_read_all(fs, path, MODEL_FILES_LIMIT, &data, &bytes, error);
        if (status != STATUS_OK)
            break;
        add(files, names[i].name, data, bytes);
        status = check_file(&files->blobs[files->count - 1], path, error);
    }
    if (status != STATUS_OK)
        model_files_finish(files);
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
        model_files_finish(files);
    return status;
}

void model_files_finish(struct model_files *files)
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

bool model_files_config_in(const struct file_system *fs, const char *folder)
{
    char path[PATH_MAX];

    return is_there(fs, folder, HF_CONFIG_NAME, path);
}

bool model_files_tokenizer_in(const struct file_system *fs, const char *folder)
{
    char path[PATH_MAX];

    for (int i = 0; i < MODEL_FILES; i++)
        if (names[i].opens && is_there(fs, folder, names[i].name, path))
            return true;
    return false;
}
