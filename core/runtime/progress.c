#include "runtime/progress.h"

#include <string.h>

#include "passes/flops.h"
#include "program/op_table.h"

/* Rates of a slow host: operations of matrix products, bytes of operands, numbers drawn for initial weights. */
#define HOST_FLOPS_PER_S 2e9
#define BYTES_PER_S      1e9
#define NUMBERS_PER_S    2e7

static double operand_bytes(const struct program *program, const struct op *op)
{
    const int32_t *operands = program_operands(program, op);
    double bytes = 0;

    for (uint32_t i = 0; i < op_operand_count(op_info_find(op->op)); i++)
        if (operands[i] != NO_VALUE)
            bytes += (double)value_bytes(&program->values[operands[i]]);
    return bytes;
}

double progress_flops_per_s(const struct device *device)
{
    const double peak = device->info.flops_f32;

    return strcmp(device->info.domain, "host") == 0 || peak <= 0 ? HOST_FLOPS_PER_S : peak / 100;
}

double progress_seconds(const struct device *device, const struct program *program, const struct section *section)
{
    double flops = 0, seconds = 0;

    for (int32_t i = 0; i < section->op_count; i++) {
        const struct op *op = &program->ops[section->first_op + i];
        const double bytes = operand_bytes(program, op);

        flops += op_flops(program, op);
        seconds += bytes / BYTES_PER_S + (section->kind == SECTION_INIT ? bytes / sizeof(float) / NUMBERS_PER_S : 0);
    }
    return seconds + flops / progress_flops_per_s(device);
}

int progress_create(struct device *device, struct progress *progress, struct error *error)
{
    int status = STATUS_OK;

    memset(progress, 0, sizeof *progress);
    for (int i = 0; status == STATUS_OK && i < PROGRESS_MARKS; i++)
        status = event_create(device, &progress->marks[i].event, error);
    return status;
}

void progress_destroy(struct progress *progress)
{
    for (int i = 0; i < PROGRESS_MARKS; i++)
        event_destroy(&progress->marks[i].event);
}

void progress_begin(struct progress *progress, int64_t launches, int64_t step)
{
    progress->count = 0;
    progress->launches = 0;
    progress->every = launches / PROGRESS_MARKS + 1;
    progress->unmarked = 0;
    progress->step = step;
}

int progress_mark(struct progress *progress, const struct stream *stream, enum section_kind section, int32_t microbatch,
                  int64_t launches, double seconds, struct error *error)
{
    struct progress_mark *mark = &progress->marks[progress->count];

    progress->launches += launches;
    progress->unmarked += seconds;
    if (progress->launches < progress->every || progress->count == PROGRESS_MARKS)
        return STATUS_OK;
    mark->section = section_kind_name(section);
    mark->microbatch = microbatch;
    mark->seconds = progress->unmarked;
    progress->launches = 0;
    progress->unmarked = 0;
    progress->count++;
    return stream_record(stream, &mark->event, error);
}

static int64_t limit_ns(const struct device *device, double seconds)
{
    const double ns = seconds * 1e9;

    return ns > (double)device->timeout_ns ? ns < 9e18 ? (int64_t)ns : INT64_MAX / 2 : device->timeout_ns;
}

static int await_mark(const struct progress *progress, const struct progress_mark *mark, struct error *error)
{
    const struct awaited awaited = {
        .what = "section", .name = mark->section, .step = progress->step, .microbatch = mark->microbatch};

    return event_finish(&mark->event, limit_ns(mark->event.device, mark->seconds), &awaited, error);
}

int progress_await(const struct progress *progress, const struct event *done, struct error *error)
{
    int status = STATUS_OK;

    for (int i = 0; status == STATUS_OK && i < progress->count; i++)
        status = await_mark(progress, &progress->marks[i], error);
    if (status == STATUS_OK)
        status = event_finish(done, limit_ns(done->device, progress->unmarked),
                              &(struct awaited){.what = "copying the results"}, error);
    if (status != STATUS_OK && progress->step > 0 && !done->device->lost)
        error_prefix(error, "step %lld", (long long)progress->step);
    return status;
}
