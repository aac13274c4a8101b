/* A file of training text from any bytes, compressed or not: recognised, counted, read in blocks. What is counted is
 * what is read. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "data/data_file.h"

/* A bomb has to end some time. */
#define MOST_BYTES ((int64_t)1 << 24)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void drop_line(void *context, enum log_level level, const char *line)
{
    (void)context, (void)level, (void)line;
}

static void read_text(struct data_file *file, int64_t step)
{
    char block[4096];
    int64_t counted = -1, bytes = 0, got = step;
    struct error error;
    int status = data_file_count(file, &counted, &error), read = STATUS_OK;

    while (read == STATUS_OK && got == step && bytes < MOST_BYTES) {
        read = data_file_read(file, block, step, &got, &error);
        bytes += got;
    }
    if (read == STATUS_OK && bytes < MOST_BYTES && (status != STATUS_OK || counted != bytes))
        abort();
    if (read == STATUS_OK)
        data_file_check(file, &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct data_file file;
    struct error error;
    char path[64];
    int handle = memfd_create("input", MFD_CLOEXEC);

    log_set_sink(drop_line, NULL);
    if (handle < 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", handle);
    if (size > 0 && write(handle, data + 1, size - 1) == (ssize_t)(size - 1) &&
        data_file_open(&file, path, &error) == STATUS_OK) {
        read_text(&file, 1 + data[0] * 16);
        data_file_close(&file);
    }
    close(handle);
    return 0;
}
