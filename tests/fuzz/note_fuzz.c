/* The reader of plugin notes: no file may make it crash, hang or read beyond the file, and what it accepts is a note
 * that can be shown. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory_files {
    struct file_system fs; /* first: the functions get this pointer */
    const uint8_t *data;
    int64_t size;
};

static int memory_open(const struct file_system *fs, const char *path, enum file_mode mode)
{
    (void)fs;
    (void)path;
    return mode == FILE_READ ? 0 : -1;
}

/* As pread: a short count at the end of the file. A reader that checked its offsets never asks beyond it. */
static int64_t memory_read(const struct file_system *fs, int handle, void *to, size_t bytes, int64_t offset)
{
    const struct memory_files *files = (const struct memory_files *)fs;

    (void)handle;
    if (offset < 0 || offset > files->size || (int64_t)bytes > files->size - offset)
        abort();
    memcpy(to, files->data + offset, bytes);
    return (int64_t)bytes;
}

static int64_t memory_size(const struct file_system *fs, int handle)
{
    (void)handle;
    return ((const struct memory_files *)fs)->size;
}

static int memory_close(const struct file_system *fs, int handle)
{
    (void)fs;
    return handle;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct memory_files files = {
        .fs = {.open = memory_open, .read = memory_read, .size = memory_size, .close = memory_close},
        .data = data,
        .size = (int64_t)size,
    };
    struct plugin_note note;
    struct error error = {0};

    if (plugin_note_read(&files.fs, "fuzz", &note, &error) != STATUS_OK) {
        if (error.message[0] == '\0')
            abort();
    } else if (note.name[0] == '\0' || strnlen(note.name, sizeof note.name) == sizeof note.name ||
               strnlen(note.version, sizeof note.version) == sizeof note.version) {
        abort();
    }
    return 0;
}
