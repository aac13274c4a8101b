#include "train/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Cuts a last line that a crash left without its end. */
static int cut_torn_line(const struct metrics *metrics, struct error *error)
{
    int64_t size = metrics->fs->size(metrics->fs, metrics->handle), end = size;
    char byte;

    while (end > 0) {
        if (metrics->fs->read(metrics->fs, metrics->handle, &byte, 1, end - 1) != 1)
            return error_set(error, STATUS_STORAGE, "%s: could not read its last line", metrics->path);
        if (byte == '\n')
            break;
        end--;
    }
    if (end < size && metrics->fs->truncate(metrics->fs, metrics->handle, end) != 0)
        return error_set(error, STATUS_STORAGE, "%s: could not cut its torn last line", metrics->path);
    return STATUS_OK;
}

int metrics_open(struct metrics *metrics, const struct file_system *fs, const char *run_folder, struct error *error)
{
    int status;

    *metrics = (struct metrics){.fs = fs, .handle = -1};
    if (!file_join(metrics->path, sizeof metrics->path, run_folder, "metrics.jsonl"))
        return error_set(error, STATUS_USAGE, "run.dir: the path is too long");
    metrics->handle = fs->open(fs, metrics->path, FILE_APPEND);
    if (metrics->handle < 0) {
        status = error_set(error, STATUS_STORAGE, "%s: %s", metrics->path, strerror(-metrics->handle));
        metrics->handle = -1;
        return status;
    }
    status = cut_torn_line(metrics, error);
    if (status != STATUS_OK)
        metrics_close(metrics);
    return status;
}

void metrics_close(struct metrics *metrics)
{
    if (metrics->fs != NULL && metrics->handle >= 0)
        metrics->fs->close(metrics->fs, metrics->handle);
    text_free(&metrics->line);
    metrics->handle = -1;
}

static void write_line(struct metrics *metrics)
{
    struct error error;

    text_add(&metrics->line, "}\n");
    if (metrics->handle < 0 || metrics->failed || metrics->line.failed)
        return;
    if (file_write_all(metrics->fs, metrics->handle, metrics->path, metrics->line.data, (size_t)metrics->line.length,
                       &error) != STATUS_OK) {
        metrics->failed = true;
        log_line(LOG_WARNING, "%s; the run goes on without its metrics file", error.message);
    }
}

/* A number, or null where JSON has none. */
static void add_number(struct text *line, const char *name, double value, const char *format)
{
    text_add(line, ",\"%s\":", name);
    if (!isfinite(value)) {
        text_add(line, "null");
        return;
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    text_add(line, format, value);
#pragma GCC diagnostic pop
}

static uint32_t bits_of(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

void metrics_step(struct metrics *metrics, const struct step_metrics *step)
{
    struct text *line = &metrics->line;

    line->length = 0;
    text_add(line, "{\"event\":\"step\",\"step\":%lld", (long long)step->step);
    add_number(line, "loss", step->loss, "%.9g");
    text_add(line, ",\"loss_bits\":\"0x%08x\"", bits_of(step->loss));
    add_number(line, "grad_norm", step->grad_norm, "%.9g");
    text_add(line, ",\"grad_norm_bits\":\"0x%08x\"", bits_of(step->grad_norm));
    add_number(line, "lr", step->learning_rate, "%.9g");
    text_add(line, ",\"tokens\":%lld", (long long)step->tokens);
    add_number(line, "tokens_per_s", step->tokens_per_s, "%.1f");
    add_number(line, "mfu", step->mfu >= 0 ? step->mfu : NAN, "%.4f");
    add_number(line, "step_ms", step->step_ms, "%.3f");
    text_add(line, ",\"mem_bytes\":%lld", (long long)step->mem_bytes);
    write_line(metrics);
}

void metrics_evaluation(struct metrics *metrics, int64_t step, double loss, int64_t tokens)
{
    struct text *line = &metrics->line;

    line->length = 0;
    text_add(line, "{\"event\":\"eval\",\"step\":%lld", (long long)step);
    add_number(line, "loss", loss, "%.9g");
    add_number(line, "perplexity", exp(loss), "%.9g");
    text_add(line, ",\"tokens\":%lld", (long long)tokens);
    write_line(metrics);
}

void metrics_event(struct metrics *metrics, const char *event, const char *format, ...)
{
    char members[2048];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(members, sizeof members, format, arguments);
    va_end(arguments);
    metrics->line.length = 0;
    text_add(&metrics->line, "{\"event\":\"%s\",%s", event, members);
    write_line(metrics);
}
