#include "checkpoint/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "checkpoint/checksum.h"
#include "checkpoint/safetensors.h"

static int join(const char *folder, const char *name, char path[PATH_MAX], struct error *error)
{
    return file_join(path, PATH_MAX, folder, name)
               ? STATUS_OK
               : error_set(error, STATUS_INPUT, "%s: the path of %s in it is too long", folder, name);
}

int checkpoint_read_manifest(const struct file_system *fs, const char *folder, struct manifest *manifest,
                             struct error *error)
{
    char path[PATH_MAX], *text = NULL;
    int64_t bytes = 0;
    int result = join(folder, MANIFEST_NAME, path, error);

    *manifest = (struct manifest){0};
    if (result == STATUS_OK)
        result = file_read_all(fs, path, MANIFEST_LIMIT, &text, &bytes, error);
    if (result == STATUS_OK)
        result = manifest_parse(text, bytes, path, manifest, error);
    free(text);
    return result;
}

int checkpoint_check_sizes(const struct file_system *fs, const char *folder, const struct manifest *manifest,
                           struct error *error)
{
    char path[PATH_MAX];

    for (int64_t i = 0; i < manifest->file_count; i++) {
        int result = join(folder, manifest->files[i].name, path, error), handle;
        int64_t bytes;

        if (result != STATUS_OK)
            return result;
        handle = fs->open(fs, path, FILE_READ);
        if (handle < 0)
            return error_set(error, STATUS_INPUT, "%s: %s; the checkpoint needs this file", path, strerror(-handle));
        bytes = fs->size(fs, handle);
        fs->close(fs, handle);
        if (bytes != manifest->files[i].bytes)
            return error_set(error, STATUS_INPUT, "%s has %lld bytes; the manifest says %lld", path, (long long)bytes,
                             (long long)manifest->files[i].bytes);
    }
    return STATUS_OK;
}

static int check_origin(const struct manifest *manifest, const struct safetensors *shard, struct error *error)
{
    const char *run = safetensors_metadata(shard, CHECKPOINT_KEY_RUN);
    const char *step = safetensors_metadata(shard, CHECKPOINT_KEY_STEP);
    char wanted[32];

    snprintf(wanted, sizeof wanted, "%" PRId64, manifest->step);
    if (run == NULL || step == NULL || strcmp(run, manifest->run_id) != 0 || strcmp(step, wanted) != 0)
        return error_set(error, STATUS_INPUT, "%s is of run %.64s, step %.20s; the manifest is of run %s, step %s",
                         shard->path, run != NULL ? run : "unknown", step != NULL ? step : "unknown", manifest->run_id,
                         wanted);
    return STATUS_OK;
}

static int check_tensors(const struct checkpoint *checkpoint, int64_t file, const struct safetensors *shard,
                         struct error *error)
{
    const struct manifest *manifest = &checkpoint->manifest;
    int64_t listed = 0;

    for (int64_t i = 0; i < manifest->tensor_count; i++)
        listed += manifest->tensors[i].file == file;
    if (listed != shard->count)
        return error_set(error, STATUS_INPUT, "%s holds %lld tensors; the manifest lists %lld", shard->path,
                         (long long)shard->count, (long long)listed);
    for (int64_t i = 0; i < shard->count; i++) {
        const struct safetensors_tensor *tensor = &shard->tensors[i];
        const struct manifest_tensor *wanted = checkpoint_tensor_find(checkpoint, tensor->name);

        if (wanted == NULL || wanted->file != file || wanted->offset != tensor->offset ||
            wanted->bytes != tensor->bytes || !shape_equal(&wanted->shape, &tensor->shape))
            return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' is not as the manifest lists it", shard->path,
                             tensor->name);
    }
    return STATUS_OK;
}

int checkpoint_check_shard(const struct checkpoint *checkpoint, int64_t file, struct error *error)
{
    const struct manifest_file *wanted = &checkpoint->manifest.files[file];
    struct safetensors shard = {0};
    char path[PATH_MAX];
    int result = join(checkpoint->folder, wanted->name, path, error);

    if (result != STATUS_OK || (result = safetensors_open(checkpoint->fs, path, &shard, error)) != STATUS_OK)
        return result;
    result = check_origin(&checkpoint->manifest, &shard, error);
    if (result == STATUS_OK &&
        (shard.header_bytes != wanted->header_bytes || shard.header_checksum != wanted->header_checksum))
        result = error_set(error, STATUS_INPUT, "%s: its header is not the one that was written", path);
    if (result == STATUS_OK)
        result = check_tensors(checkpoint, file, &shard, error);
    safetensors_close(&shard);
    return result;
}

int checkpoint_open(const struct file_system *fs, const char *folder, struct checkpoint *checkpoint,
                    struct error *error)
{
    struct manifest *manifest = &checkpoint->manifest;
    int result;

    *checkpoint = (struct checkpoint){.fs = fs, .open_file = -1};
    if (strlen(folder) >= sizeof checkpoint->folder)
        return error_set(error, STATUS_INPUT, "the path of the checkpoint is too long: %.200s...", folder);
    strcpy(checkpoint->folder, folder);
    if ((result = checkpoint_read_manifest(fs, folder, manifest, error)) != STATUS_OK ||
        (result = checkpoint_check_sizes(fs, folder, manifest, error)) != STATUS_OK)
        goto out;
    result = name_index_make(manifest->tensors, manifest->tensor_count, sizeof *manifest->tensors, &checkpoint->names,
                             error);
    for (int64_t i = 0; i < manifest->file_count && result == STATUS_OK; i++)
        if (manifest->files[i].header_bytes > 0)
            result = checkpoint_check_shard(checkpoint, i, error);
out:
    if (result != STATUS_OK)
        checkpoint_close(checkpoint);
    return result;
}

void checkpoint_close(struct checkpoint *checkpoint)
{
    if (checkpoint->fs != NULL && checkpoint->open_file >= 0)
        checkpoint->fs->close(checkpoint->fs, checkpoint->handle);
    name_index_finish(&checkpoint->names);
    manifest_finish(&checkpoint->manifest);
    *checkpoint = (struct checkpoint){.open_file = -1};
}

const struct manifest_tensor *checkpoint_tensor_find(const struct checkpoint *checkpoint, const char *name)
{
    int64_t position = name_index_find(&checkpoint->names, name);

    return position >= 0 ? &checkpoint->manifest.tensors[position] : NULL;
}

/* Keeps the last shard open: tensors are mostly read in the order in which they stand. */
static int open_shard(struct checkpoint *checkpoint, int64_t file, const char *path, struct error *error)
{
    if (checkpoint->open_file == file)
        return STATUS_OK;
    if (checkpoint->open_file >= 0)
        checkpoint->fs->close(checkpoint->fs, checkpoint->handle);
    checkpoint->open_file = -1;
    checkpoint->handle = checkpoint->fs->open(checkpoint->fs, path, FILE_READ);
    if (checkpoint->handle < 0)
        return error_set(error, STATUS_INPUT, "%s: %s", path, strerror(-checkpoint->handle));
    checkpoint->open_file = file;
    return STATUS_OK;
}

int checkpoint_read(struct checkpoint *checkpoint, const struct manifest_tensor *tensor, void *memory, int64_t bytes,
                    struct error *error)
{
    char path[PATH_MAX], found[CHECKSUM_TEXT_BYTES], wanted[CHECKSUM_TEXT_BYTES];
    uint64_t checksum;
    int result;

    if (bytes != tensor->bytes)
        return error_set(error, STATUS_BUG, "tensor '%.200s' has %lld bytes; memory of %lld was given", tensor->name,
                         (long long)tensor->bytes, (long long)bytes);
    if ((result = join(checkpoint->folder, checkpoint->manifest.files[tensor->file].name, path, error)) != STATUS_OK ||
        (result = open_shard(checkpoint, tensor->file, path, error)) != STATUS_OK)
        return result;
    result = file_read_range(checkpoint->fs, checkpoint->handle, path, tensor->offset, memory, bytes, error);
    if (result != STATUS_OK)
        return error_prefix(error, "tensor '%.200s'", tensor->name);
    checksum = hash_bytes(memory, (size_t)bytes);
    if (checksum != tensor->checksum)
        return error_set(error, STATUS_INPUT, "%s is damaged: tensor '%.200s' has the checksum %s, %s was written",
                         path, tensor->name, checksum_print(checksum, found), checksum_print(tensor->checksum, wanted));
    return STATUS_OK;
}

int checkpoint_read_file(const struct checkpoint *checkpoint, const char *name, char **data, int64_t *bytes,
                         struct error *error)
{
    const struct manifest_file *file = manifest_find_file(&checkpoint->manifest, name);
    char path[PATH_MAX];
    int result;

    if (file == NULL)
        return error_set(error, STATUS_INPUT, "%s holds no file %s", checkpoint->folder, name);
    if ((result = join(checkpoint->folder, name, path, error)) != STATUS_OK ||
        (result = file_read_all(checkpoint->fs, path, file->bytes, data, bytes, error)) != STATUS_OK)
        return result;
    if (*bytes != file->bytes || hash_bytes(*data, (size_t)*bytes) != file->checksum) {
        free(*data);
        *data = NULL;
        return error_set(error, STATUS_INPUT, "%s is damaged: its bytes are not the ones that were written", path);
    }
    return STATUS_OK;
}
