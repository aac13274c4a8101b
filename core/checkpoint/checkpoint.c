#include "checkpoint/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "checkpoint/within.h"

/* A run may replace a checkpoint of the same step while it is being opened, once in a while. */
#define MOST_TRIES 20

static void release_all(struct checkpoint *checkpoint)
{
    for (int64_t i = 0; checkpoint->held > 0 && i < checkpoint->manifest.file_count; i++)
        if (checkpoint->handles[i] >= 0) {
            checkpoint->fs->close(checkpoint->fs, checkpoint->handles[i]);
            checkpoint->handles[i] = -1;
            checkpoint->held--;
        }
}

int checkpoint_hold_shard(struct checkpoint *checkpoint, int64_t file, char path[PATH_MAX], struct error *error)
{
    int result;

    if (checkpoint->held > 0 && checkpoint->held >= checkpoint_most_held())
        release_all(checkpoint);
    result = checkpoint_open_file(checkpoint->fs, checkpoint->folder, &checkpoint->manifest.files[file], path,
                                  &checkpoint->handles[file], error);
    if (result == STATUS_OK)
        checkpoint->held++;
    else
        checkpoint->handles[file] = -1;
    return result;
}

static int read_small(struct checkpoint *checkpoint, int64_t file, struct error *error)
{
    const struct manifest_file *wanted = &checkpoint->manifest.files[file];
    char path[PATH_MAX], **content = &checkpoint->contents[file];
    int64_t bytes;
    int handle, result = checkpoint_open_file(checkpoint->fs, checkpoint->folder, wanted, path, &handle, error);

    if (result != STATUS_OK)
        return result;
    result = file_read_handle(checkpoint->fs, handle, path, CHECKPOINT_SMALL_LIMIT, content, &bytes, error);
    checkpoint->fs->close(checkpoint->fs, handle);
    if (result == STATUS_OK && (bytes != wanted->bytes || hash_bytes(*content, (size_t)bytes) != wanted->checksum))
        result = error_set(error, STATUS_INPUT, "%s is damaged: its bytes are not the ones that were written", path);
    return result;
}

static int open_files(struct checkpoint *checkpoint, struct error *error)
{
    const struct manifest *manifest = &checkpoint->manifest;
    char path[PATH_MAX];
    int result;

    checkpoint->handles = malloc((size_t)(manifest->file_count + 1) * sizeof *checkpoint->handles);
    checkpoint->contents = calloc((size_t)manifest->file_count + 1, sizeof *checkpoint->contents);
    if (checkpoint->handles == NULL || checkpoint->contents == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to open %s", checkpoint->folder);
    for (int64_t i = 0; i < manifest->file_count; i++)
        checkpoint->handles[i] = -1;
    result = name_index_make(manifest->tensors, manifest->tensor_count, sizeof *manifest->tensors, &checkpoint->names,
                             error);
    for (int64_t i = 0; i < manifest->file_count && result == STATUS_OK; i++) {
        if (manifest->files[i].header_bytes == 0)
            result = read_small(checkpoint, i, error);
        else if ((result = checkpoint_hold_shard(checkpoint, i, path, error)) == STATUS_OK)
            result = checkpoint_check_shard(checkpoint, i, checkpoint->handles[i], path, error);
    }
    return result;
}

/* Once all files are open, the manifest is looked at again: where it is the same, all of them are of one checkpoint. */
static int open_once(const struct file_system *fs, const char *folder, struct checkpoint *checkpoint, bool *again,
                     struct error *error)
{
    enum checkpoint_presence presence;
    struct error unread;
    int result, looked;

    *again = false;
    *checkpoint = (struct checkpoint){.fs = fs, .within = checkpoint_within};
    strcpy(checkpoint->folder, folder);
    result = checkpoint_read_manifest(fs, folder, &checkpoint->manifest, error);
    if (result != STATUS_OK)
        return result;
    result = open_files(checkpoint, error);
    if (result != STATUS_OK && result != STATUS_INPUT)
        return result;
    looked = checkpoint_look_again(fs, folder, &checkpoint->manifest, &presence, &unread);
    if (looked != STATUS_OK)
        return error_set(error, looked, "%s", unread.message);
    *again = presence == CHECKPOINT_REPLACED;
    return presence == CHECKPOINT_GONE && result != STATUS_OK ? checkpoint_removed(folder, error) : result;
}

int checkpoint_open(const struct file_system *fs, const char *folder, struct checkpoint *checkpoint,
                    struct error *error)
{
    bool again = true;
    int result = STATUS_OK;

    *checkpoint = (struct checkpoint){0};
    if (strlen(folder) >= sizeof checkpoint->folder)
        return error_set(error, STATUS_INPUT, "the path of the checkpoint is too long: %.200s...", folder);
    for (int tries = 0; tries < MOST_TRIES && again; tries++) {
        checkpoint_close(checkpoint);
        result = open_once(fs, folder, checkpoint, &again, error);
    }
    if (again && result == STATUS_OK)
        result =
            error_set(error, STATUS_INPUT, "%s is replaced all the time; its files do not belong together", folder);
    if (result != STATUS_OK)
        checkpoint_close(checkpoint);
    return result;
}

void checkpoint_close(struct checkpoint *checkpoint)
{
    if (checkpoint->handles != NULL)
        release_all(checkpoint);
    for (int64_t i = 0; checkpoint->contents != NULL && i < checkpoint->manifest.file_count; i++)
        free(checkpoint->contents[i]);
    free(checkpoint->handles);
    free(checkpoint->contents);
    name_index_finish(&checkpoint->names);
    manifest_finish(&checkpoint->manifest);
    *checkpoint = (struct checkpoint){0};
}

int checkpoint_read_file(const struct checkpoint *checkpoint, const char *name, char **data, int64_t *bytes,
                         struct error *error)
{
    const struct manifest_file *file = manifest_find_file(&checkpoint->manifest, name);
    const char *content = file != NULL ? checkpoint->contents[file - checkpoint->manifest.files] : NULL;

    if (content == NULL)
        return error_set(error, STATUS_INPUT, "%s holds no file %s", checkpoint->folder, name);
    *data = malloc((size_t)file->bytes + 1);
    if (*data == NULL)
        return error_set(error, STATUS_MEMORY, "%s/%s: no memory for its %lld bytes", checkpoint->folder, name,
                         (long long)file->bytes);
    memcpy(*data, content, (size_t)file->bytes + 1);
    *bytes = file->bytes;
    return STATUS_OK;
}

const struct file_system *checkpoint_files(const struct checkpoint *checkpoint)
{
    return &checkpoint->within;
}
