#include "failing_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct failing_files *self(const struct file_system *fs)
{
    return (struct failing_files *)(uintptr_t)fs;
}

/* 0 where the real call is to be made. */
static int problem(const struct file_system *fs, enum call call)
{
    struct failing_files *files = self(fs);
    bool can_interrupt =
        call == CALL_OPEN || call == CALL_READ || call == CALL_WRITE || call == CALL_SYNC || call == CALL_SYNC_FOLDER;

    if (files->interrupt_every > 0 && can_interrupt && ++files->interrupted % files->interrupt_every == 0)
        return -EINTR;
    files->calls[call]++;
    if (call != files->call || files->calls[call] < files->first || files->calls[call] > files->last)
        return 0;
    files->failed++;
    return -files->problem;
}

static void must_be_open(const struct file_system *fs, int handle)
{
    if (handle >= 0 && handle < FAILING_FILES_HANDLES && self(fs)->is_open[handle])
        return;
    fprintf(stderr, "handle %d is none of the %d that are open\n", handle, self(fs)->open);
    abort();
}

static int failing_open(const struct file_system *fs, const char *path, enum file_mode mode)
{
    struct failing_files *files = self(fs);
    int result = problem(fs, CALL_OPEN);

    if (result == 0)
        result = file_system_real.open(&file_system_real, path, mode);
    if (result < 0 || result >= FAILING_FILES_HANDLES)
        return result;
    files->is_open[result] = true;
    files->open++;
    return result;
}

static int64_t failing_read(const struct file_system *fs, int handle, void *data, size_t bytes, int64_t offset)
{
    int result = problem(fs, CALL_READ);

    must_be_open(fs, handle);
    return result != 0 ? result : file_system_real.read(&file_system_real, handle, data, bytes, offset);
}

static int64_t failing_write(const struct file_system *fs, int handle, const void *data, size_t bytes)
{
    int result = problem(fs, CALL_WRITE);
    size_t limit = (size_t)self(fs)->short_write;

    must_be_open(fs, handle);
    if (result != 0)
        return result;
    return file_system_real.write(&file_system_real, handle, data, limit > 0 && bytes > limit ? limit : bytes);
}

static int64_t failing_size(const struct file_system *fs, int handle)
{
    int result = problem(fs, CALL_SIZE);

    must_be_open(fs, handle);
    return result != 0 ? result : file_system_real.size(&file_system_real, handle);
}

static int failing_sync(const struct file_system *fs, int handle)
{
    must_be_open(fs, handle);
    return problem(fs, CALL_SYNC); /* nothing reads the disk behind the cache: the real call would only take time */
}

static int failing_close(const struct file_system *fs, int handle)
{
    int result = problem(fs, CALL_CLOSE), real;

    must_be_open(fs, handle);
    self(fs)->is_open[handle] = false;
    self(fs)->open--;
    real = file_system_real.close(&file_system_real, handle);
    return result != 0 ? result : real;
}

static int failing_sync_folder(const struct file_system *fs, const char *path)
{
    (void)path;
    return problem(fs, CALL_SYNC_FOLDER);
}

static int failing_make_folder(const struct file_system *fs, const char *path)
{
    int result = problem(fs, CALL_MAKE_FOLDER);

    return result != 0 ? result : file_system_real.make_folder(&file_system_real, path);
}

static int failing_rename(const struct file_system *fs, const char *from, const char *to)
{
    int result = problem(fs, CALL_RENAME);

    return result != 0 ? result : file_system_real.rename(&file_system_real, from, to);
}

static int failing_remove(const struct file_system *fs, const char *path)
{
    int result = problem(fs, CALL_REMOVE);

    return result != 0 ? result : file_system_real.remove(&file_system_real, path);
}

void failing_files_init(struct failing_files *files)
{
    *files = (struct failing_files){.fs = file_system_real};
    files->fs.open = failing_open;
    files->fs.read = failing_read;
    files->fs.write = failing_write;
    files->fs.size = failing_size;
    files->fs.sync = failing_sync;
    files->fs.close = failing_close;
    files->fs.sync_folder = failing_sync_folder;
    files->fs.make_folder = failing_make_folder;
    files->fs.rename = failing_rename;
    files->fs.remove = failing_remove;
}
