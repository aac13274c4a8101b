#include "crash_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"

static struct crash_log *self(const struct file_system *fs)
{
    return (struct crash_log *)(uintptr_t)fs;
}

static char *below_root(const struct crash_log *log, const char *path)
{
    size_t length = strlen(log->root);

    if (path == NULL || strncmp(path, log->root, length) != 0 || (path[length] != '/' && path[length] != '\0'))
        return NULL;
    return strdup(path + length + (path[length] == '/'));
}

static void append(struct crash_log *log, enum logged kind, int handle, const char *path, const char *to,
                   const void *data, int64_t bytes)
{
    struct logged_call *calls = array_reserve(log->calls, log->count, 1, &log->capacity, sizeof *calls);
    struct logged_call call = {.kind = kind, .handle = handle, .bytes = bytes};

    assert_non_null(calls);
    log->calls = calls;
    call.path = below_root(log, path);
    call.to = below_root(log, to);
    if (bytes > 0) {
        call.data = malloc((size_t)bytes);
        memcpy(call.data, data, (size_t)bytes);
    }
    calls[log->count++] = call;
}

static int log_open(const struct file_system *fs, const char *path, enum file_mode mode)
{
    int handle = file_system_real.open(&file_system_real, path, mode);

    if (handle >= 0 && mode == FILE_CREATE)
        append(self(fs), LOGGED_CREATE, handle, path, NULL, NULL, 0);
    return handle;
}

static int64_t log_write(const struct file_system *fs, int handle, const void *data, size_t bytes)
{
    int64_t put = file_system_real.write(&file_system_real, handle, data, bytes);

    if (put > 0)
        append(self(fs), LOGGED_WRITE, handle, NULL, NULL, data, put);
    return put;
}

static int log_sync(const struct file_system *fs, int handle)
{
    if (!self(fs)->ignore_syncs)
        append(self(fs), LOGGED_SYNC, handle, NULL, NULL, NULL, 0);
    return 0;
}

static int log_sync_folder(const struct file_system *fs, const char *path)
{
    if (!self(fs)->ignore_syncs)
        append(self(fs), LOGGED_SYNC_FOLDER, -1, path, NULL, NULL, 0);
    return 0;
}

static int log_make_folder(const struct file_system *fs, const char *path)
{
    int result = file_system_real.make_folder(&file_system_real, path);
    char *below = below_root(self(fs), path);

    if (result == 0 && below != NULL && below[0] != '\0')
        append(self(fs), LOGGED_MAKE_FOLDER, -1, path, NULL, NULL, 0);
    free(below);
    return result;
}

static int log_rename(const struct file_system *fs, const char *from, const char *to)
{
    int result = file_system_real.rename(&file_system_real, from, to);

    if (result == 0)
        append(self(fs), LOGGED_RENAME, -1, from, to, NULL, 0);
    return result;
}

static int log_remove(const struct file_system *fs, const char *path)
{
    int result = file_system_real.remove(&file_system_real, path);

    if (result == 0)
        append(self(fs), LOGGED_REMOVE, -1, path, NULL, NULL, 0);
    return result;
}

void crash_log_init(struct crash_log *log, const char *root)
{
    *log = (struct crash_log){.fs = file_system_real, .root = root};
    log->fs.open = log_open;
    log->fs.write = log_write;
    log->fs.sync = log_sync;
    log->fs.sync_folder = log_sync_folder;
    log->fs.make_folder = log_make_folder;
    log->fs.rename = log_rename;
    log->fs.remove = log_remove;
}

void crash_log_finish(struct crash_log *log)
{
    for (int64_t i = 0; i < log->count; i++) {
        free(log->calls[i].path);
        free(log->calls[i].to);
        free(log->calls[i].data);
    }
    free(log->calls);
    *log = (struct crash_log){0};
}
