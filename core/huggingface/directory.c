#include "huggingface/directory.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/lfs_pointer.h"
#include "base/strict_json.h"
#include "checkpoint/manifest.h"

#define INDEX_LIMIT ((int64_t)16 << 20) /* bytes; LLaMA 70B needs 70 thousand */

bool hf_has_file(const struct file_system *fs, const char *folder, const char *name)
{
    char path[PATH_MAX];

    return file_join(path, sizeof path, folder, name) && file_is_there(fs, path);
}

int hf_read_text(const struct file_system *fs, const char *folder, const char *name, int64_t limit, char path[PATH_MAX],
                 char **text, int64_t *bytes, struct error *error)
{
    int status;

    *text = NULL;
    if (!file_join(path, PATH_MAX, folder, name))
        return error_set(error, STATUS_INPUT, "%.200s...: the path is too long", folder);
    status = file_read_all(fs, path, limit, text, bytes, error);
    return status == STATUS_OK ? lfs_pointer_refuse(path, *text, *bytes, error) : status;
}

bool hf_is_directory(const struct file_system *fs, const char *path)
{
    return hf_has_file(fs, path, HF_CONFIG_NAME) && !hf_has_file(fs, path, MANIFEST_NAME);
}

static int open_file(const struct file_system *fs, const char *name, struct hf_directory *directory,
                     struct error *error)
{
    struct safetensors *grown;
    char path[PATH_MAX];
    int status;

    if (!file_join(path, sizeof path, directory->path, name))
        return error_set(error, STATUS_INPUT, "%.200s...: the path of %s in it is too long", directory->path, name);
    if (directory->count == HF_MOST_SHARDS)
        return error_set(error, STATUS_INPUT, "%s names more than %d files; that many can be open at once",
                         directory->path, HF_MOST_SHARDS);
    grown = array_reserve(directory->files, directory->count, 1, &directory->capacity, sizeof *grown);
    if (grown == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to open %s", path);
    directory->files = grown;
    status = safetensors_open(fs, path, &grown[directory->count], error);
    directory->count += status == STATUS_OK;
    return status;
}

static int check_shard(const struct safetensors *shard, const char *name, const json_t *map, struct error *error)
{
    for (int64_t i = 0; i < shard->count; i++) {
        const char *wanted = json_string_value(json_object_get(map, shard->tensors[i].name));

        if (wanted == NULL || strcmp(wanted, name) != 0)
            return error_set(error, STATUS_INPUT, "%s holds tensor '%.200s', which %s puts into %.100s", shard->path,
                             shard->tensors[i].name, HF_INDEX_NAME, wanted != NULL ? wanted : "no file");
    }
    return STATUS_OK;
}

static int check_name(const char *index, const char *tensor, const json_t *value, struct error *error)
{
    const char *name = json_string_value(value);

    if (name == NULL)
        return error_set(error, STATUS_INPUT, "%s: the file of tensor '%.200s' is no text", index, tensor);
    if (!manifest_plain_name(name, MANIFEST_NAME_LIMIT))
        return error_set(error, STATUS_INPUT,
                         "%s: the file of tensor '%.200s' is '%.140s'; a plain name of letters, digits, '.', '_' and "
                         "'-' is wanted",
                         index, tensor, name);
    return STATUS_OK;
}

/* Opens each file once, and leaves in `opened` the number of tensors that the index puts into it. */
static int open_shards(const struct file_system *fs, const char *index, const json_t *map, json_t *opened,
                       struct hf_directory *directory, struct error *error)
{
    const char *tensor;
    json_t *value;

    json_object_foreach((json_t *)map, tensor, value)
    {
        int status = check_name(index, tensor, value, error);
        const char *name = json_string_value(value);

        if (status != STATUS_OK)
            return status;
        if (json_object_get(opened, name) == NULL) {
            status = open_file(fs, name, directory, error);
            if (status == STATUS_OK)
                status = check_shard(&directory->files[directory->count - 1], name, map, error);
            if (status == STATUS_OK && json_object_set_new(opened, name, json_integer(directory->count - 1)) != 0)
                status = error_set(error, STATUS_MEMORY, "no memory for the shards of %s", directory->path);
        }
        if (status != STATUS_OK)
            return status;
        if (safetensors_find(&directory->files[json_integer_value(json_object_get(opened, name))], tensor) == NULL)
            return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' is not in %s", index, tensor, name);
    }
    return STATUS_OK;
}

static int open_index(const struct file_system *fs, struct hf_directory *directory, struct error *error)
{
    json_t *root = NULL, *map, *opened = json_object();
    char path[PATH_MAX], *text = NULL;
    int64_t bytes;
    int status;

    if (opened == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the shards of %s", directory->path);
    status = hf_read_text(fs, directory->path, HF_INDEX_NAME, INDEX_LIMIT, path, &text, &bytes, error);
    if (status == STATUS_OK)
        status = strict_json_parse(text, bytes, path, &root, error);
    if (status == STATUS_OK)
        status = strict_json_object(root, "weight_map", path, &map, error);
    if (status == STATUS_OK)
        status = open_shards(fs, path, map, opened, directory, error);
    json_decref(opened);
    json_decref(root);
    free(text);
    return status;
}

int hf_directory_open(const struct file_system *fs, const char *path, struct hf_directory *directory,
                      struct error *error)
{
    int status;

    *directory = (struct hf_directory){.path = strdup(path)};
    if (directory->path == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to open %s", path);
    if (hf_has_file(fs, path, HF_MODEL_NAME))
        status = open_file(fs, HF_MODEL_NAME, directory, error);
    else if (hf_has_file(fs, path, HF_INDEX_NAME))
        status = open_index(fs, directory, error);
    else
        status = error_set(error, STATUS_INPUT, "%s holds neither %s nor %s; only safetensors files are read", path,
                           HF_MODEL_NAME, HF_INDEX_NAME);
    if (status != STATUS_OK)
        hf_directory_close(directory);
    return status;
}

void hf_directory_close(struct hf_directory *directory)
{
    for (int64_t i = 0; i < directory->count; i++)
        safetensors_close(&directory->files[i]);
    free(directory->files);
    free(directory->path);
    *directory = (struct hf_directory){0};
}

const struct safetensors_tensor *hf_directory_find(const struct hf_directory *directory, const char *name,
                                                   const struct safetensors **file)
{
    for (int64_t i = 0; i < directory->count; i++) {
        const struct safetensors_tensor *tensor = safetensors_find(&directory->files[i], name);

        if (tensor != NULL) {
            *file = &directory->files[i];
            return tensor;
        }
    }
    return NULL;
}
