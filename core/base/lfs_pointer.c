#include "base/lfs_pointer.h"

#include <string.h>

/* The second is the name that Git LFS had before version 1; the specification asks readers to know it. */
static const char *const versions[] = {"version https://git-lfs.github.com/spec/",
                                       "version https://hawser.github.com/spec/"};

/* The text behind `key ` of the line that begins with it; *length without the end of the line. NULL: no such line. */
static const char *find_line(const char *data, int64_t bytes, const char *key, int *length)
{
    size_t key_bytes = strlen(key);

    for (const char *line = data, *end = data + bytes; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *line_end = newline != NULL ? newline : end;

        if ((size_t)(line_end - line) > key_bytes && memcmp(line, key, key_bytes) == 0) {
            *length = (int)(line_end - line - (int64_t)key_bytes);
            return line + key_bytes;
        }
        line = line_end + 1;
    }
    return NULL;
}

bool lfs_pointer_is(const char *data, int64_t bytes)
{
    int length;

    if (bytes >= LFS_POINTER_LIMIT)
        return false;
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
        if ((size_t)bytes > strlen(versions[i]) && memcmp(data, versions[i], strlen(versions[i])) == 0)
            return find_line(data, bytes, "oid ", &length) != NULL && find_line(data, bytes, "size ", &length) != NULL;
    return false;
}

int lfs_pointer_refuse(const char *path, const char *data, int64_t bytes, struct error *error)
{
    const char *size;
    int digits = 0, length = 0;

    if (!lfs_pointer_is(data, bytes))
        return STATUS_OK;
    size = find_line(data, bytes, "size ", &length);
    while (digits < length && digits < 20 && size[digits] >= '0' && size[digits] <= '9')
        digits++;
    return error_set(
        error, STATUS_INPUT,
        "%s is a Git LFS pointer, not the file of %.*s bytes that it stands for; run 'git lfs pull' in its "
        "repository, or download the file",
        path, digits > 0 ? digits : 1, digits > 0 ? size : "?");
}
