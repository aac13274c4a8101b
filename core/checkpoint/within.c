#include "checkpoint/within.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "checkpoint/checkpoint.h"

/* Handles from here on are files of the checkpoint's manifest; those of the system are small numbers. */
#define FIRST_HANDLE (1 << 30)

static const struct checkpoint *self(const struct file_system *fs)
{
    return (const struct checkpoint *)((const char *)fs - offsetof(struct checkpoint, within));
}

/* The file of a handle, NULL where it is one of the table below. */
static const struct manifest_file *file_of(const struct file_system *fs, int handle)
{
    return handle >= FIRST_HANDLE ? &self(fs)->manifest.files[handle - FIRST_HANDLE] : NULL;
}

/* The part of `path` behind the checkpoint's folder, NULL where it is no name in it. */
static const char *name_within(const struct checkpoint *checkpoint, const char *path)
{
    char start[PATH_MAX];

    if (checkpoint->folder[0] == '\0' || !file_join(start, sizeof start, checkpoint->folder, "") ||
        strncmp(path, start, strlen(start)) != 0 || strchr(path + strlen(start), '/') != NULL)
        return NULL;
    return path + strlen(start);
}

/* 0, or what speaks against using the file that `path` and `handle` are: a manifest beside it lists it otherwise. */
static int compare(const struct file_system *fs, const char *path, int handle)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    char folder[PATH_MAX], beside[PATH_MAX], *data = NULL;
    const struct manifest_file *file;
    struct manifest manifest;
    int64_t bytes;
    int result, other;

    if (strlen(path) >= sizeof folder || strcmp(name, MANIFEST_NAME) == 0)
        return 0;
    snprintf(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1, slash != NULL ? path : ".");
    if (!file_join(beside, sizeof beside, folder, MANIFEST_NAME))
        return 0;
    other = fs->open(fs, beside, FILE_READ);
    if (other < 0)
        return other == -ENOENT || other == -ENOTDIR ? 0 : -other;
    fs->close(fs, other);
    result = checkpoint_read_manifest(fs, folder, &manifest, NULL);
    file = result == STATUS_OK ? manifest_find_file(&manifest, name) : NULL;
    if (result == STATUS_OK && file != NULL && file->header_bytes == 0)
        result = file_read_handle(fs, handle, path, CHECKPOINT_SMALL_LIMIT, &data, &bytes, NULL);
    if (result == STATUS_OK && data != NULL &&
        (bytes != file->bytes || hash_bytes(data, (size_t)bytes) != file->checksum))
        result = STATUS_INPUT;
    free(data);
    result = result == STATUS_INPUT     ? FILE_DAMAGED
             : result == STATUS_MEMORY  ? ENOMEM
             : result == STATUS_STORAGE ? EIO
             : file == NULL             ? ENOENT
                                        : 0;
    manifest_finish(&manifest);
    return result;
}

/* Another folder may be a checkpoint too: a tokenizer that was named, a model's shape. */
static int open_elsewhere(const struct file_system *fs, const char *path, enum file_mode mode)
{
    int handle = fs->open(fs, path, mode), problem = 0;

    if (handle >= 0 && mode == FILE_READ)
        problem = compare(fs, path, handle);
    if (problem == 0)
        return handle;
    fs->close(fs, handle);
    return -problem;
}

static int within_open(const struct file_system *fs, const char *path, enum file_mode mode)
{
    const struct checkpoint *checkpoint = self(fs);
    const char *name = name_within(checkpoint, path);
    const struct manifest_file *file;

    if (name == NULL)
        return open_elsewhere(checkpoint->fs, path, mode);
    if (mode != FILE_READ)
        return -EROFS;
    file = manifest_find_file(&checkpoint->manifest, name);
    if (file == NULL || checkpoint->contents[file - checkpoint->manifest.files] == NULL)
        return -ENOENT;
    return FIRST_HANDLE + (int)(file - checkpoint->manifest.files);
}

static int64_t within_read(const struct file_system *fs, int handle, void *data, size_t bytes, int64_t offset)
{
    const struct manifest_file *file = file_of(fs, handle);
    size_t rest;

    if (file == NULL)
        return self(fs)->fs->read(self(fs)->fs, handle, data, bytes, offset);
    if (offset < 0 || offset >= file->bytes)
        return 0;
    rest = (size_t)(file->bytes - offset);
    bytes = bytes < rest ? bytes : rest;
    memcpy(data, self(fs)->contents[handle - FIRST_HANDLE] + offset, bytes);
    return (int64_t)bytes;
}

static int64_t within_write(const struct file_system *fs, int handle, const void *data, size_t bytes)
{
    return file_of(fs, handle) != NULL ? -EBADF : self(fs)->fs->write(self(fs)->fs, handle, data, bytes);
}

static int64_t within_size(const struct file_system *fs, int handle)
{
    const struct manifest_file *file = file_of(fs, handle);

    return file != NULL ? file->bytes : self(fs)->fs->size(self(fs)->fs, handle);
}

static int within_truncate(const struct file_system *fs, int handle, int64_t bytes)
{
    return file_of(fs, handle) != NULL ? -EBADF : self(fs)->fs->truncate(self(fs)->fs, handle, bytes);
}

static int within_sync(const struct file_system *fs, int handle)
{
    return file_of(fs, handle) != NULL ? 0 : self(fs)->fs->sync(self(fs)->fs, handle);
}

static int within_close(const struct file_system *fs, int handle)
{
    return file_of(fs, handle) != NULL ? 0 : self(fs)->fs->close(self(fs)->fs, handle);
}

static int within_sync_folder(const struct file_system *fs, const char *path)
{
    return self(fs)->fs->sync_folder(self(fs)->fs, path);
}

static int within_make_folder(const struct file_system *fs, const char *path)
{
    return self(fs)->fs->make_folder(self(fs)->fs, path);
}

static int within_rename(const struct file_system *fs, const char *from, const char *to)
{
    return self(fs)->fs->rename(self(fs)->fs, from, to);
}

static int within_remove(const struct file_system *fs, const char *path)
{
    return self(fs)->fs->remove(self(fs)->fs, path);
}

static int64_t within_free_bytes(const struct file_system *fs, const char *folder)
{
    return self(fs)->fs->free_bytes(self(fs)->fs, folder);
}

#define WITHIN                                                                                                         \
    {                                                                                                                  \
        within_open, within_read, within_write, within_size, within_truncate, within_sync, within_close,               \
            within_sync_folder, within_make_folder, within_rename, within_remove, within_free_bytes,                   \
    }

const struct file_system checkpoint_within = WITHIN;

/* No folder is its own. */
static const struct checkpoint nowhere = {.fs = &file_system_real, .within = WITHIN};

const struct file_system *checkpoint_files_anywhere(void)
{
    return &nowhere.within;
}
