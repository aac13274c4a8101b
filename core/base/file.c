#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Somebody has put it there, so the file that it stands for is missed: caches of downloads are full of links. */
static bool is_link(const char *path)
{
    struct stat status;
    bool link = lstat(path, &status) == 0 && S_ISLNK(status.st_mode);

    errno = ENOENT;
    return link;
}

static int real_open(const struct file_system *fs, const char *path, enum file_mode mode)
{
    static const int flags[] = {O_RDONLY, O_WRONLY | O_CREAT | O_NOFOLLOW, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW};
    struct stat status;
    int handle, problem = 0;

    (void)fs;
    /* A pipe whose other end nobody has would keep an open waiting. */
    handle = open(path, flags[mode] | O_NONBLOCK | O_CLOEXEC, 0666);
    if (handle < 0)
        return errno == ENXIO ? -ESPIPE : errno == ENOENT && is_link(path) ? -ENOLINK : -errno;
    if (fstat(handle, &status) != 0)
        problem = errno;
    else if (!S_ISREG(status.st_mode))
        problem = S_ISDIR(status.st_mode) ? EISDIR : ESPIPE;
    else if (mode == FILE_CREATE && ftruncate(handle, 0) != 0)
        problem = errno;
    if (problem == 0)
        return handle;
    close(handle);
    return -problem;
}

static int64_t real_read(const struct file_system *fs, int handle, void *data, size_t bytes, int64_t offset)
{
    ssize_t got;

    (void)fs;
    got = pread(handle, data, bytes, (off_t)offset);
    return got >= 0 ? got : -errno;
}

static int64_t real_write(const struct file_system *fs, int handle, const void *data, size_t bytes)
{
    ssize_t put;

    (void)fs;
    put = write(handle, data, bytes);
    return put >= 0 ? put : -errno;
}

static int64_t real_size(const struct file_system *fs, int handle)
{
    struct stat status;

    (void)fs;
    return fstat(handle, &status) == 0 ? (int64_t)status.st_size : -errno;
}

static int real_truncate(const struct file_system *fs, int handle, int64_t bytes)
{
    (void)fs;
    return ftruncate(handle, (off_t)bytes) == 0 ? 0 : -errno;
}

static int real_sync(const struct file_system *fs, int handle)
{
    (void)fs;
    return fsync(handle) == 0 ? 0 : -errno;
}

static int real_close(const struct file_system *fs, int handle)
{
    (void)fs;
    return close(handle) == 0 ? 0 : -errno;
}

static int real_sync_folder(const struct file_system *fs, const char *path)
{
    int handle = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result;

    (void)fs;
    if (handle < 0)
        return -errno;
    result = fsync(handle) == 0 ? 0 : -errno;
    close(handle);
    return result;
}

static int real_make_folder(const struct file_system *fs, const char *path)
{
    struct stat status;

    (void)fs;
    if (mkdir(path, 0777) == 0)
        return 0;
    if (errno == EEXIST && stat(path, &status) == 0)
        return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
    return -errno;
}

static int real_rename(const struct file_system *fs, const char *from, const char *to)
{
    (void)fs;
    return rename(from, to) == 0 ? 0 : -errno;
}

static int real_remove(const struct file_system *fs, const char *path)
{
    (void)fs;
    return remove(path) == 0 ? 0 : -errno;
}

static int64_t real_free_bytes(const struct file_system *fs, const char *folder)
{
    struct statvfs status;

    (void)fs;
    return statvfs(folder, &status) == 0 ? (int64_t)(status.f_bavail * status.f_frsize) : -errno;
}

const struct file_system file_system_real = {
    real_open,  real_read,        real_write,       real_size,   real_truncate, real_sync,
    real_close, real_sync_folder, real_make_folder, real_rename, real_remove,   real_free_bytes,
};

int file_problem_status(int problem)
{
    static const int of_the_file[] = {ENOENT,  ENOTDIR,      EISDIR, ESPIPE, ELOOP,
                                      ENOLINK, ENAMETOOLONG, EACCES, EPERM,  FILE_DAMAGED};

    for (size_t i = 0; i < sizeof of_the_file / sizeof of_the_file[0]; i++)
        if (problem == of_the_file[i])
            return STATUS_INPUT;
    return STATUS_STORAGE;
}

const char *file_problem_text(int problem)
{
    return problem == FILE_DAMAGED
               ? "it is damaged: its bytes are not those that the manifest beside it was written with"
           : problem == EISDIR  ? "it is a folder, a file is wanted"
           : problem == ESPIPE  ? "it is a pipe, socket or device, a file is wanted"
           : problem == ENOLINK ? "it is a symbolic link to a file that is not there"
           : problem == ELOOP   ? "it is a symbolic link, a file is wanted"
                                : strerror(problem);
}

static int open_to_read(const struct file_system *fs, const char *path)
{
    int handle;

    do
        handle = fs->open(fs, path, FILE_READ);
    while (handle == -EINTR);
    return handle;
}

bool file_is_there(const struct file_system *fs, const char *path)
{
    int handle = open_to_read(fs, path);

    if (handle >= 0)
        fs->close(fs, handle);
    return handle >= 0 || (handle != -ENOENT && handle != -ENOTDIR);
}

int file_read_range(const struct file_system *fs, int handle, const char *path, int64_t offset, void *memory,
                    int64_t bytes, struct error *error)
{
    char *target = memory;

    for (int64_t done = 0; done < bytes;) {
        int64_t got = fs->read(fs, handle, target + done, (size_t)(bytes - done), offset + done);

        if (got == -EINTR)
            continue;
        if (got <= 0)
            return error_set(error, got < 0 ? STATUS_STORAGE : STATUS_INPUT,
                             "%s: reading stopped at byte %lld, %lld are wanted: %s", path, (long long)(offset + done),
                             (long long)(offset + bytes), got < 0 ? strerror((int)-got) : "the file became shorter");
        done += got;
    }
    return STATUS_OK;
}

int file_open_regular(const struct file_system *fs, const char *path, int *handle, int64_t *bytes, struct error *error)
{
    *handle = open_to_read(fs, path);
    if (*handle < 0)
        return error_set(error, file_problem_status(-*handle), "%s: %s", path, file_problem_text(-*handle));
    *bytes = fs->size(fs, *handle);
    if (*bytes >= 0)
        return STATUS_OK;
    error_set(error, STATUS_STORAGE, "%s: its size cannot be read: %s", path, strerror((int)-*bytes));
    fs->close(fs, *handle);
    *handle = -1;
    return STATUS_STORAGE;
}

int file_read_handle(const struct file_system *fs, int handle, const char *path, int64_t limit, char **data,
                     int64_t *bytes, struct error *error)
{
    int64_t size = fs->size(fs, handle);
    char *memory;
    int result;

    if (size < 0)
        return error_set(error, STATUS_STORAGE, "%s: its size cannot be read: %s", path, strerror((int)-size));
    if (size > limit)
        return error_set(error, STATUS_INPUT, "%s has %lld bytes; at most %lld are read", path, (long long)size,
                         (long long)limit);
    memory = malloc((size_t)size + 1);
    if (memory == NULL)
        return error_set(error, STATUS_MEMORY, "%s: no memory for its %lld bytes", path, (long long)size);
    result = file_read_range(fs, handle, path, 0, memory, size, error);
    if (result != STATUS_OK) {
        free(memory);
        return result;
    }
    memory[size] = '\0';
    *data = memory;
    *bytes = size;
    return STATUS_OK;
}

int file_read_all(const struct file_system *fs, const char *path, int64_t limit, char **data, int64_t *bytes,
                  struct error *error)
{
    int handle = open_to_read(fs, path), result;

    if (handle < 0)
        return error_set(error, file_problem_status(-handle), "%s: %s", path, file_problem_text(-handle));
    result = file_read_handle(fs, handle, path, limit, data, bytes, error);
    fs->close(fs, handle);
    return result;
}

int file_write_all(const struct file_system *fs, int handle, const char *path, const void *data, size_t bytes,
                   struct error *error)
{
    const char *rest = data;

    while (bytes > 0) {
        int64_t put = fs->write(fs, handle, rest, bytes);

        if (put == -EINTR)
            continue;
        if (put <= 0)
            return error_set(error, STATUS_STORAGE, "%s: could not write: %s", path,
                             strerror(put < 0 ? (int)-put : EIO));
        rest += put;
        bytes -= (size_t)put;
    }
    return STATUS_OK;
}

int file_make_folders(const struct file_system *fs, const char *path, struct error *error)
{
    char part[4096];
    size_t length = strlen(path);
    int result;

    if (length == 0 || length >= sizeof part)
        return error_set(error, STATUS_USAGE, "a folder name of %zu characters cannot be used", length);
    memcpy(part, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        result = fs->make_folder(fs, part);
        part[i] = path[i];
        if (result != 0)
            return error_set(error, STATUS_STORAGE, "could not make the folder %.*s: %s", (int)i, path,
                             strerror(-result));
    }
    return STATUS_OK;
}

bool file_join(char *out, size_t out_bytes, const char *folder, const char *name)
{
    size_t length = strlen(folder);
    const char *between = length > 0 && folder[length - 1] != '/' ? "/" : "";
    int used = snprintf(out, out_bytes, "%s%s%s", folder, between, name);

    return used >= 0 && (size_t)used < out_bytes;
}
