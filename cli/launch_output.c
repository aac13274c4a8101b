#include "launch_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

#define LINES_SHOWN 20

int launch_output_open(struct launch_output *output, const char *folder, int rank, int *end, struct error *error)
{
    char name[32];
    int ends[2];

    *output = (struct launch_output){.pipe = -1, .log = -1};
    snprintf(name, sizeof name, "rank_%d.log", rank);
    if (!file_join(output->path, sizeof output->path, folder, name))
        return error_set(error, STATUS_USAGE, "the path of the logs %.200s... is too long", folder);
    output->log = file_system_real.open(&file_system_real, output->path, FILE_APPEND);
    if (output->log < 0)
        return error_set(error, STATUS_STORAGE, "%s: could not create: %s", output->path,
                         file_problem_text(-output->log));
    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_set(error, STATUS_STORAGE, "no pipe for the output of rank %d: %s", rank, strerror(errno));
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    output->pipe = ends[0];
    *end = ends[1];
    return STATUS_OK;
}

void launch_output_close(struct launch_output *output)
{
    if (output->pipe >= 0)
        close(output->pipe);
    if (output->log >= 0)
        close(output->log);
    output->pipe = output->log = -1;
}

/* A full disk ends no rank. */
static void write_log(struct launch_output *output, const char *data, size_t bytes)
{
    struct error error;

    if (output->lost || file_write_all(&file_system_real, output->log, output->path, data, bytes, &error) == STATUS_OK)
        return;
    output->lost = true;
    log_line(LOG_WARNING, "%s; what this rank prints from here on is lost", error.message);
}

static void keep(struct launch_output *output, const char *data, int bytes)
{
    const int over = output->kept_bytes + bytes - OUTPUT_KEPT;

    if (over > 0) {
        const int gone = over < output->kept_bytes ? over : output->kept_bytes;

        memmove(output->kept, output->kept + gone, (size_t)(output->kept_bytes - gone));
        output->kept_bytes -= gone;
    }
    if (bytes > OUTPUT_KEPT) {
        data += bytes - OUTPUT_KEPT;
        bytes = OUTPUT_KEPT;
    }
    memcpy(output->kept + output->kept_bytes, data, (size_t)bytes);
    output->kept_bytes += bytes;
}

void launch_output_take(struct launch_output *output)
{
    char data[65536];
    ssize_t got;

    while (output->pipe >= 0) {
        got = read(output->pipe, data, sizeof data);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            close(output->pipe);
            output->pipe = -1;
            return;
        }
        write_log(output, data, (size_t)got);
        keep(output, data, (int)got);
    }
}

void launch_output_print(const struct launch_output *output, int rank)
{
    const char *end = output->kept + output->kept_bytes, *first = end;
    int lines = 0;

    while (first > output->kept && (first[-1] != '\n' || first == end || lines < LINES_SHOWN)) {
        first--;
        lines += first > output->kept && first[-1] == '\n';
    }
    while (first < end) {
        const char *newline = memchr(first, '\n', (size_t)(end - first));
        const int length = (int)((newline != NULL ? newline : end) - first);

        fprintf(stderr, "rank %d: %.*s\n", rank, length, first);
        first += length + 1;
    }
}
