#include "train/metrics.h"

#include <errno.h>
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
        status = error_set(error, STATUS_STORAGE, "%s: %s", metrics->path, file_problem_text(-metrics->handle));
        metrics->handle = -1;
        return status;
    }
    status = cut_torn_line(metrics, error);
    if (status != STATUS_OK)
        metrics_close(metrics);
    return status;
}

/* Writes the lines as far as the file takes them. What it does not take stays, from the byte at which it stopped, so
 * that the file has no hole when there is room again. Returns 0, or the errno of what stopped it. */
static int write_lines(struct metrics *metrics)
{
    struct text *lines = &metrics->lines;
    int64_t done = 0, put = 0;

    while (done < lines->length) {
        put = metrics->fs->write(metrics->fs, metrics->handle, lines->data + done, (size_t)(lines->length - done));
        if (put <= 0 && put != -EINTR)
            break;
        done += put > 0 ? put : 0;
    }
    lines->length -= done;
    if (lines->length == 0)
        return 0;
    memmove(lines->data, lines->data + done, (size_t)lines->length);
    return put < 0 ? (int)-put : EIO;
}

void metrics_close(struct metrics *metrics)
{
    if (metrics->fs != NULL && metrics->handle >= 0) {
        if (!metrics->lines.failed && write_lines(metrics) != 0) {
            log_line(LOG_WARNING, "%s: there was no room for its last lines", metrics->path);
            (void)cut_torn_line(metrics, NULL);
        }
        metrics->fs->close(metrics->fs, metrics->handle);
    }
    text_finish(&metrics->lines);
    metrics->handle = -1;
}

/* Ends the line that stands last in `lines`, which began at `start`. */
static void end_line(struct metrics *metrics, int64_t start)
{
    int problem;

    text_add(&metrics->lines, "}\n");
    if (metrics->handle < 0 || metrics->full)
        metrics->lines.length = start;
    if (metrics->handle < 0 || metrics->lines.failed)
        return;
    problem = write_lines(metrics);
    if (metrics->full)
        return;
    if (problem != 0 && !metrics->waiting)
        log_line(LOG_WARNING, "%s: could not write: %s; its lines wait until it can be", metrics->path,
                 strerror(problem));
    metrics->waiting = problem != 0;
    metrics->full = metrics->lines.length > METRICS_MOST_WAITING;
    if (metrics->full)
        log_line(LOG_WARNING, "%s: too many lines wait; the run goes on without the next ones", metrics->path);
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

static unsigned long long wide_bits_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

void metrics_step(struct metrics *metrics, const struct step_metrics *step)
{
    struct text *line = &metrics->lines;
    const int64_t start = line->length;

    text_add(line, "{\"event\":\"step\",\"step\":%lld", (long long)step->step);
    add_number(line, "loss", step->loss, "%.9g");
    text_add(line, ",\"loss_bits\":\"0x%08x\"", bits_of(step->loss));
    add_number(line, "grad_norm", step->grad_norm, "%.9g");
    text_add(line, ",\"grad_norm_bits\":\"0x%08x\"", bits_of(step->grad_norm));
    add_number(line, "lr", step->learning_rate, "%.9g");
    text_add(line, ",\"tokens\":%lld", (long long)step->tokens);
    text_add(line, ",\"step_tokens\":%lld,\"trained_tokens\":%lld", (long long)step->step_tokens,
             (long long)step->trained_tokens);
    add_number(line, "tokens_per_s", step->tokens_per_s, "%.1f");
    add_number(line, "trained_tokens_per_s", step->trained_tokens_per_s, "%.1f");
    add_number(line, "mfu", step->mfu >= 0 ? step->mfu : NAN, "%.4f");
    add_number(line, "step_ms", step->step_ms, "%.3f");
    text_add(line, ",\"mem_bytes\":%lld", (long long)step->mem_bytes);
    end_line(metrics, start);
}

void metrics_evaluation(struct metrics *metrics, int64_t step, double loss, int64_t tokens, double eval_ms)
{
    struct text *line = &metrics->lines;
    const int64_t start = line->length;

    text_add(line, "{\"event\":\"eval\",\"step\":%lld", (long long)step);
    add_number(line, "loss", loss, "%.9g");
    text_add(line, ",\"loss_bits\":\"0x%016llx\"", wide_bits_of(loss));
    add_number(line, "perplexity", exp(loss), "%.9g");
    text_add(line, ",\"tokens\":%lld", (long long)tokens);
    add_number(line, "eval_ms", eval_ms, "%.3f");
    end_line(metrics, start);
}

void metrics_event(struct metrics *metrics, const char *event, const char *format, ...)
{
    const int64_t start = metrics->lines.length;
    char members[2048];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(members, sizeof members, format, arguments);
    va_end(arguments);
    text_add(&metrics->lines, "{\"event\":\"%s\",%s", event, members);
    end_line(metrics, start);
}
