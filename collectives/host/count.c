#include "count.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 1024

/* All names and numbers together are shorter than the line. */
static int format(const struct llmrun_communicator *communicator, char *line)
{
    int length = snprintf(line, LINE_BYTES, "{\"rank\": %d, \"ranks\": %d", communicator->rank, communicator->ranks);

    for (int i = 0; i < OPERATIONS; i++)
        if (communicator->calls[i] > 0)
            length += snprintf(line + length, LINE_BYTES - (size_t)length,
                               ", \"%s\": {\"calls\": %lld, \"bytes\": %lld}", operation_name((enum operation)i),
                               (long long)communicator->calls[i], (long long)communicator->bytes[i]);
    return length + snprintf(line + length, LINE_BYTES - (size_t)length, "}\n");
}

void count_write(const struct llmrun_communicator *communicator, const struct llmrun_host *host)
{
    const struct options *options = &communicator->mesh->options;
    char line[LINE_BYTES];
    int length, file;

    if (!options->count && options->count_file[0] == '\0')
        return;
    length = format(communicator, line);
    if (options->count_file[0] != '\0') {
        file = open(options->count_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (file < 0 || write(file, line, (size_t)length) != length)
            host->log(host->context, LLMRUN_LOG_WARNING, "counts could not be appended to count_file");
        if (file >= 0)
            close(file);
    }
    line[length - 1] = '\0';
    if (options->count)
        host->log(host->context, LLMRUN_LOG_INFO, line);
}
