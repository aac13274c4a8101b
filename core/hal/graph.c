#include "hal/graph.h"
#include "plugin/facts.h"

#include <string.h>

#include "plugin/guard.h"

bool device_captures(const struct device *device)
{
    return device->backend->has_capture;
}

static int check_captures(const struct device *device, struct error *error)
{
    if (device_captures(device))
        return STATUS_OK;
    return error_set(error, STATUS_BUG, "device %d of %s captures no work", device->index, device->backend->name);
}

int stream_capture_begin(const struct stream *stream, struct error *error)
{
    const struct backend *backend = stream->device->backend;
    struct llmrun_error reason = {0};
    int status = check_captures(stream->device, error);

    if (status != STATUS_OK)
        return status;
    return backend_error(backend, GUARDED(backend, capture, begin, stream->handle, &reason), &reason, error);
}

int stream_capture_end(const struct stream *stream, struct graph *graph, struct error *error)
{
    const struct backend *backend = stream->device->backend;
    struct llmrun_error reason = {0};
    int status = check_captures(stream->device, error);
    int32_t code;

    memset(graph, 0, sizeof *graph);
    if (status != STATUS_OK)
        return status;
    code = GUARDED_LONG(backend, capture, end, stream->handle, &graph->handle, &reason);
    status = backend_error(backend, code, &reason, error);
    if (status == STATUS_OK)
        status = facts_given(stream->device->backend, stream->device->index, "end", graph->handle, error);
    if (status == STATUS_OK)
        graph->device = stream->device;
    else
        graph->handle = NULL; /* a failed call gives nothing */
    return status;
}

void stream_capture_cancel(const struct stream *stream)
{
    struct graph graph;

    if (!stream->device->lost && stream_capture_end(stream, &graph, NULL) == STATUS_OK)
        graph_destroy(&graph);
}

int stream_replay(const struct stream *stream, const struct graph *graph, struct error *error)
{
    const struct backend *backend = stream->device->backend;
    struct llmrun_error reason = {0};
    int32_t code;

    if (stream->device != graph->device)
        return stream_foreign(stream, "a graph", error);
    code = GUARDED(backend, capture, replay, stream->handle, graph->handle, &reason);
    return backend_error(backend, code, &reason, error);
}

void graph_destroy(struct graph *graph)
{
    if (graph->device != NULL && !graph->device->lost)
        GUARDED_VOID(graph->device->backend, capture, destroy, graph->handle);
    memset(graph, 0, sizeof *graph);
}
