/* The parts of opening a checkpoint; each tells damage from what could not be read. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/manifest_seal.h"
#include "checkpoint/safetensors.h"

const struct manifest_tensor *checkpoint_tensor_find(const struct checkpoint *checkpoint, const char *name)
{
    int64_t position = name_index_find(&checkpoint->names, name);

    return position >= 0 ? &checkpoint->manifest.tensors[position] : NULL;
}

static int join(const char *folder, const char *name, char path[PATH_MAX], struct error *error)
{
    return file_join(path, PATH_MAX, folder, name)
               ? STATUS_OK
               : error_set(error, STATUS_INPUT, "%.200s...: the path of %s in it is too long", folder, name);
}

/* One that may not be read proves nothing. */
int checkpoint_file_problem(const char *path, int problem, struct error *error)
{
    bool told = file_problem_status(problem) == STATUS_INPUT && problem != EACCES && problem != EPERM;

    if (told)
        return error_set(error, STATUS_INPUT, "%s: %s; the checkpoint needs this file", path,
                         file_problem_text(problem));
    return error_set(error, STATUS_STORAGE, "%s could not be read, which says nothing about the checkpoint: %s", path,
                     file_problem_text(problem));
}

static int open_path(const struct file_system *fs, const char *path, int *handle, struct error *error)
{
    do
        *handle = fs->open(fs, path, FILE_READ);
    while (*handle == -EINTR);
    return *handle >= 0 ? STATUS_OK : checkpoint_file_problem(path, -*handle, error);
}

int checkpoint_read_manifest(const struct file_system *fs, const char *folder, struct manifest *manifest,
                             struct error *error)
{
    char path[PATH_MAX], *text = NULL;
    int64_t bytes = 0;
    int handle, result;

    *manifest = (struct manifest){0};
    if ((result = join(folder, MANIFEST_NAME, path, error)) != STATUS_OK ||
        (result = open_path(fs, path, &handle, error)) != STATUS_OK)
        return result;
    result = file_read_handle(fs, handle, path, MANIFEST_LIMIT, &text, &bytes, error);
    fs->close(fs, handle);
    if (result == STATUS_OK)
        result = manifest_parse(text, bytes, path, manifest, error);
    free(text);
    return result;
}

int checkpoint_open_file(const struct file_system *fs, const char *folder, const struct manifest_file *file,
                         char path[PATH_MAX], int *handle, struct error *error)
{
    int64_t bytes;
    int result = join(folder, file->name, path, error);

    if (result != STATUS_OK || (result = open_path(fs, path, handle, error)) != STATUS_OK)
        return result;
    bytes = fs->size(fs, *handle);
    if (bytes < 0)
        result = checkpoint_file_problem(path, (int)-bytes, error);
    else if (bytes != file->bytes)
        result = error_set(error, STATUS_INPUT, "%s has %lld bytes; the manifest says %lld", path, (long long)bytes,
                           (long long)file->bytes);
    if (result != STATUS_OK)
        fs->close(fs, *handle);
    return result;
}

int checkpoint_check_sizes(const struct file_system *fs, const char *folder, const struct manifest *manifest,
                           struct error *error)
{
    char path[PATH_MAX];
    int handle;

    for (int64_t i = 0; i < manifest->file_count; i++) {
        int result = checkpoint_open_file(fs, folder, &manifest->files[i], path, &handle, error);

        if (result != STATUS_OK)
            return result;
        fs->close(fs, handle);
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

/* The part of a tensor in a file; NULL when there is none. */
static const struct manifest_part *part_in(const struct manifest_tensor *tensor, int64_t file)
{
    for (int64_t i = 0; tensor != NULL && i < tensor->part_count; i++)
        if (tensor->parts[i].file == file)
            return &tensor->parts[i];
    return NULL;
}

static int check_tensors(const struct checkpoint *checkpoint, int64_t file, const struct safetensors *shard,
                         struct error *error)
{
    const struct manifest *manifest = &checkpoint->manifest;
    int64_t listed = 0;

    for (int64_t i = 0; i < manifest->tensor_count; i++)
        for (int64_t j = 0; j < manifest->tensors[i].part_count; j++)
            listed += manifest->tensors[i].parts[j].file == file;
    if (listed != shard->count)
        return error_set(error, STATUS_INPUT, "%s holds %lld tensors; the manifest lists %lld", shard->path,
                         (long long)shard->count, (long long)listed);
    for (int64_t i = 0; i < shard->count; i++) {
        const struct safetensors_tensor *stored = &shard->tensors[i];
        const struct manifest_tensor *tensor = checkpoint_tensor_find(checkpoint, stored->name);
        const struct manifest_part *part = part_in(tensor, file);
        struct shape shape = {0};

        if (part != NULL)
            shape = box_shape(&part->box, tensor->shape.rank);
        if (part == NULL || part->offset != stored->offset || part->bytes != stored->bytes ||
            !shape_equal(&shape, &stored->shape))
            return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' is not as the manifest lists it", shard->path,
                             stored->name);
    }
    return STATUS_OK;
}

int checkpoint_check_shard(const struct checkpoint *checkpoint, int64_t file, int handle, const char *path,
                           struct error *error)
{
    const struct manifest_file *wanted = &checkpoint->manifest.files[file];
    struct safetensors shard = {0};
    int result = safetensors_open_handle(checkpoint->fs, handle, path, &shard, error);

    if (result != STATUS_OK)
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

int checkpoint_most_held(void)
{
    struct rlimit limit;

    /* Other parts of a process need descriptors too. */
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > 1024)
        return 256;
    return (int)limit.rlim_cur / 4;
}

int checkpoint_look_again(const struct file_system *fs, const char *folder, const struct manifest *manifest,
                          enum checkpoint_presence *presence, struct error *error)
{
    char path[PATH_MAX], seal[MANIFEST_SEAL_BYTES];
    uint64_t checksum = 0;
    int handle, result = join(folder, MANIFEST_NAME, path, error);

    if (result == STATUS_OK)
        result = open_path(fs, path, &handle, error);
    if (result == STATUS_INPUT) {
        *presence = CHECKPOINT_GONE;
        return STATUS_OK;
    }
    if (result != STATUS_OK)
        return result;
    result = file_read_range(fs, handle, path, 0, seal, sizeof seal, error);
    fs->close(fs, handle);
    if (result == STATUS_STORAGE)
        return result;
    *presence =
        result == STATUS_OK && manifest_seal_value(seal, sizeof seal, &checksum) && checksum == manifest->checksum
            ? CHECKPOINT_SAME
            : CHECKPOINT_REPLACED;
    return STATUS_OK;
}

int checkpoint_removed(const char *folder, struct error *error)
{
    return error_set(error, STATUS_INPUT,
                     "%s was removed while it was being read; a run that saves beside it keeps the newest only: name "
                     "the run folder, or raise the run's checkpoint.keep",
                     folder);
}
