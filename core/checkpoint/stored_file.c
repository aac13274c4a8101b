#include "checkpoint/stored_file.h"

#include <errno.h>
#include <string.h>

int stored_file_create(struct stored_file *file, const struct file_system *fs, const char *folder, const char *name,
                       struct error *error)
{
    *file = (struct stored_file){.fs = fs, .handle = -1};
    if (!file_join(file->path, sizeof file->path, folder, name))
        return error_set(error, STATUS_STORAGE, "%.200s...: the path of %s in it is too long", folder, name);
    file->checksum = checksum_create();
    if (file->checksum == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to write %s", file->path);
    do
        file->handle = fs->open(fs, file->path, FILE_CREATE);
    while (file->handle == -EINTR);
    if (file->handle < 0) {
        int problem = -file->handle;

        stored_file_abandon(file);
        return error_set(error, STATUS_STORAGE, "%s: could not create: %s", file->path, file_problem_text(problem));
    }
    return STATUS_OK;
}

int stored_file_write(struct stored_file *file, const void *data, int64_t bytes, struct error *error)
{
    int result = file_write_all(file->fs, file->handle, file->path, data, (size_t)bytes, error);

    if (result == STATUS_OK) {
        checksum_add(file->checksum, data, (size_t)bytes);
        file->bytes += bytes;
    }
    return result;
}

int stored_file_finish(struct stored_file *file, uint64_t *checksum, struct error *error)
{
    int result, handle = file->handle;

    do
        result = file->fs->sync(file->fs, handle);
    while (result == -EINTR);
    if (result != 0)
        return error_set(error, STATUS_STORAGE, "%s: could not sync: %s", file->path, strerror(-result));
    *checksum = checksum_value(file->checksum);
    file->handle = -1;
    result = file->fs->close(file->fs, handle);
    stored_file_abandon(file);
    /* Linux has closed a handle whose close was interrupted. */
    if (result != 0 && result != -EINTR)
        return error_set(error, STATUS_STORAGE, "%s: could not close: %s", file->path, strerror(-result));
    return STATUS_OK;
}

void stored_file_abandon(struct stored_file *file)
{
    if (file->handle >= 0)
        file->fs->close(file->fs, file->handle);
    file->handle = -1;
    checksum_destroy(file->checksum);
    file->checksum = NULL;
}

int stored_folder_sync(const struct file_system *fs, const char *path, struct error *error)
{
    int result;

    do
        result = fs->sync_folder(fs, path);
    while (result == -EINTR);
    if (result != 0)
        return error_set(error, STATUS_STORAGE, "%s: could not sync: %s", path, strerror(-result));
    return STATUS_OK;
}
