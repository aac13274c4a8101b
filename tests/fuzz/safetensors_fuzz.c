/* A safetensors file from any bytes: opened, each tensor found by its name and read.
 *
 * Input: a byte for the mode, then the file. In odd modes the length field is put before it: what stands before the
 * first byte 0xFF is the header, what follows the data. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory_file {
    struct file_system fs; /* first: the table is this struct */
    const uint8_t *data;
    int64_t bytes;
};

static int memory_open(const struct file_system *fs, const char *path, enum file_mode mode)
{
    (void)fs;
    (void)path;
    return mode == FILE_READ ? 0 : -1;
}

static int64_t memory_read(const struct file_system *fs, int handle, void *out, size_t bytes, int64_t offset)
{
    const struct memory_file *file = (const struct memory_file *)fs;

    (void)handle;
    if (offset >= file->bytes)
        return 0;
    if ((int64_t)bytes > file->bytes - offset)
        bytes = (size_t)(file->bytes - offset);
    memcpy(out, file->data + offset, bytes);
    return (int64_t)bytes;
}

static int64_t memory_size(const struct file_system *fs, int handle)
{
    (void)handle;
    return ((const struct memory_file *)fs)->bytes;
}

static int memory_close(const struct file_system *fs, int handle)
{
    (void)fs;
    (void)handle;
    return 0;
}

static void read_everything(const struct memory_file *memory)
{
    struct safetensors file;
    struct error error;
    int64_t total = 0;

    if (safetensors_open(&memory->fs, "fuzz", &file, &error) != STATUS_OK)
        return;
    for (int64_t i = 0; i < file.count; i++) {
        const struct safetensors_tensor *tensor = &file.tensors[i];
        char *copy = malloc((size_t)tensor->bytes + 1);

        if (safetensors_find(&file, tensor->name) != tensor ||
            safetensors_read(&file, tensor, 0, copy, tensor->bytes, &error) != STATUS_OK)
            abort();
        total += tensor->bytes;
        free(copy);
    }
    if (total != file.file_bytes - file.header_bytes)
        abort();
    safetensors_close(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory_file memory = {
        .fs = {.open = memory_open, .read = memory_read, .size = memory_size, .close = memory_close}};
    const uint8_t *end;
    uint64_t header_bytes;
    uint8_t *joined;

    if (size == 0)
        return 0;
    memory.data = data + 1;
    memory.bytes = (int64_t)size - 1;
    if (data[0] % 2 == 0) {
        read_everything(&memory);
        return 0;
    }
    end = size > 1 ? memchr(data + 1, 0xFF, size - 1) : NULL;
    header_bytes = end != NULL ? (uint64_t)(end - data - 1) : size - 1;
    joined = malloc(size + 8);
    memcpy(joined, &header_bytes, 8);
    memcpy(joined + 8, data + 1, header_bytes);
    if (end != NULL)
        memcpy(joined + 8 + header_bytes, end + 1, size - 2 - header_bytes);
    memory.data = joined;
    memory.bytes = (int64_t)(8 + size - 1 - (end != NULL));
    read_everything(&memory);
    free(joined);
    return 0;
}
