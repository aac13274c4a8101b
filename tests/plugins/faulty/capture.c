#include <stdlib.h>

#include "faulty.h"

struct llmrun_graph {
    struct work *list;
    int64_t count, capacity;
};

bool capture_records(const struct llmrun_stream *stream)
{
    return stream->device->recording != NULL && stream->capture == stream->device->capture;
}

int32_t capture_add(struct llmrun_stream *stream, const struct work *work, struct llmrun_error *error)
{
    struct llmrun_graph *graph = stream->device->recording;

    if (graph->count == graph->capacity) {
        const int64_t capacity = graph->capacity > 0 ? 2 * graph->capacity : 64;
        struct work *list = realloc(graph->list, (size_t)capacity * sizeof *list);

        if (list == NULL)
            return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for captured work");
        graph->list = list;
        graph->capacity = capacity;
    }
    graph->list[graph->count++] = *work;
    return LLMRUN_OK;
}

static void destroy(struct llmrun_graph *graph)
{
    if (graph != NULL)
        free(graph->list);
    free(graph);
}

static int32_t begin(struct llmrun_stream *stream, struct llmrun_error *error)
{
    struct llmrun_device *device = stream->device;

    if (faulty_strikes(device, FAULT_BEGIN))
        return wrapped_fail(error, LLMRUN_ERROR_DEVICE, "capture %lld did not begin, as ordered",
                            (long long)device->at[FAULT_BEGIN]);
    if (device->recording != NULL)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "a capture is going on");
    device->recording = calloc(1, sizeof *device->recording);
    if (device->recording == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for a capture");
    stream->capture = ++device->capture;
    return LLMRUN_OK;
}

static int32_t end(struct llmrun_stream *stream, struct llmrun_graph **graph, struct llmrun_error *error)
{
    struct llmrun_device *device = stream->device;
    struct llmrun_graph *made = device->recording;
    const bool fails = faulty_strikes(device, FAULT_END), is_null = faulty_strikes(device, FAULT_END_NULL);

    if (!capture_records(stream))
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "no capture is going on");
    device->recording = NULL;
    if (fails || is_null) {
        destroy(made);
        made = NULL;
    }
    *graph = made;
    return fails ? wrapped_fail(error, LLMRUN_ERROR_DEVICE, "capture %lld did not end in a graph, as ordered",
                                (long long)device->at[FAULT_END])
                 : LLMRUN_OK;
}

static int32_t replay(struct llmrun_stream *stream, struct llmrun_graph *graph, struct llmrun_error *error)
{
    struct llmrun_device *device = stream->device;
    int32_t code = LLMRUN_OK;

    faulty_strikes(device, FAULT_REPLAYED);
    faulty_strikes(device, FAULT_REPLAY_HANG);
    if (faulty_strikes(device, FAULT_REPLAY))
        return wrapped_fail(error, LLMRUN_ERROR_DEVICE, "replay %lld was refused, as ordered",
                            (long long)device->at[FAULT_REPLAY]);
    for (int64_t i = 0; i < graph->count && code == LLMRUN_OK; i++)
        code = faulty_run(stream, &graph->list[i], error);
    return code;
}

const struct llmrun_capture_table faulty_capture_table = {
    .size = sizeof(struct llmrun_capture_table),
    .begin = begin,
    .end = end,
    .replay = replay,
    .destroy = destroy,
};
