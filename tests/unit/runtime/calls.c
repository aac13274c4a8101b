#include "calls.h"

#include <stdio.h>
#include <string.h>

struct calls calls;
static const struct backend *real;

static bool fails(enum call call, struct llmrun_error *error)
{
    calls.of[call]++;
    if (++calls.all != calls.failing)
        return false;
    snprintf(error->message, sizeof error->message, "as ordered");
    return true;
}

#define WATCHED(call, name, entry, parameters, ...)                                                                    \
    static int32_t watched_##name parameters                                                                           \
    {                                                                                                                  \
        return fails(call, error) ? LLMRUN_ERROR_DEVICE : real->entry(__VA_ARGS__);                                    \
    }
WATCHED(CALL_COPY, copy, device.copy,
        (struct llmrun_stream * stream, const struct llmrun_copy *what, struct llmrun_error *error), stream, what,
        error)
WATCHED(CALL_FILL, fill, device.fill,
        (struct llmrun_stream * stream, uint64_t address, uint32_t pattern, int64_t bytes, struct llmrun_error *error),
        stream, address, pattern, bytes, error)
WATCHED(CALL_EVENT_RECORD, event_record, device.event_record,
        (struct llmrun_stream * stream, struct llmrun_event *event, struct llmrun_error *error), stream, event, error)
WATCHED(CALL_STREAM_WAIT, stream_wait, device.stream_wait,
        (struct llmrun_stream * stream, struct llmrun_event *event, struct llmrun_error *error), stream, event, error)
WATCHED(CALL_LAUNCH, launch, kernel.launch,
        (struct llmrun_stream * stream, struct llmrun_kernel *kernel, const uint64_t *addresses, uint32_t count,
         uint64_t workspace, struct llmrun_error *error),
        stream, kernel, addresses, count, workspace, error)
WATCHED(CALL_LAUNCH_PROGRAM, launch_program, program.launch,
        (struct llmrun_stream * stream, struct llmrun_program *program, const uint64_t *addresses, uint32_t count,
         uint64_t workspace, struct llmrun_error *error),
        stream, program, addresses, count, workspace, error)
WATCHED(CALL_BEGIN, begin, capture.begin, (struct llmrun_stream * stream, struct llmrun_error *error), stream, error)
/* Whatever becomes of it, the capture is over. */
static int32_t watched_end(struct llmrun_stream *stream, struct llmrun_graph **graph, struct llmrun_error *error)
{
    const bool failing = fails(CALL_END, error);
    int32_t code = real->capture.end(stream, graph, failing ? NULL : error);

    if (!failing || code != LLMRUN_OK)
        return code;
    real->capture.destroy(*graph);
    *graph = NULL;
    return LLMRUN_ERROR_DEVICE;
}

WATCHED(CALL_REPLAY, replay, capture.replay,
        (struct llmrun_stream * stream, struct llmrun_graph *graph, struct llmrun_error *error), stream, graph, error)
WATCHED(CALL_MEMORY_ALLOC, memory_alloc, device.memory_alloc,
        (struct llmrun_device * device, uint32_t kind, int64_t bytes, uint64_t *address, struct llmrun_error *error),
        device, kind, bytes, address, error)
WATCHED(CALL_HOST_ALLOC, host_alloc, device.host_alloc,
        (struct llmrun_device * device, int64_t bytes, void **memory, struct llmrun_error *error), device, bytes,
        memory, error)
WATCHED(CALL_STREAM_CREATE, stream_create, device.stream_create,
        (struct llmrun_device * device, uint32_t lane, struct llmrun_stream **stream, struct llmrun_error *error),
        device, lane, stream, error)
WATCHED(CALL_EVENT_CREATE, event_create, device.event_create,
        (struct llmrun_device * device, struct llmrun_event **event, struct llmrun_error *error), device, event, error)
WATCHED(CALL_PREPARE, prepare, kernel.prepare,
        (struct llmrun_device * device, const struct llmrun_op *op, int64_t workspace, struct llmrun_kernel **kernel,
         struct llmrun_error *error),
        device, op, workspace, kernel, error)
WATCHED(CALL_BUILD, build, program.build,
        (struct llmrun_device * device, const struct llmrun_program_desc *desc, struct llmrun_program **program,
         struct llmrun_error *error),
        device, desc, program, error)

void calls_watch(struct device *device)
{
    static struct backend watched;

    memset(&calls, 0, sizeof calls);
    real = device->backend;
    watched = *real;
    watched.device.copy = watched_copy;
    watched.device.fill = watched_fill;
    watched.device.event_record = watched_event_record;
    watched.device.stream_wait = watched_stream_wait;
    watched.device.memory_alloc = watched_memory_alloc;
    watched.device.host_alloc = watched_host_alloc;
    watched.device.stream_create = watched_stream_create;
    watched.device.event_create = watched_event_create;
    watched.kernel.launch = watched_launch;
    watched.kernel.prepare = watched_prepare;
    watched.program.launch = watched_launch_program;
    watched.program.build = watched_build;
    watched.capture.begin = watched_begin;
    watched.capture.end = watched_end;
    watched.capture.replay = watched_replay;
    device->backend = &watched;
}

void calls_unwatch(struct device *device)
{
    device->backend = real;
}
