#include "plugin/stream.h"

#include <string.h>

int stream_create(struct device *device, uint32_t lane, struct stream *stream, struct error *error)
{
    struct llmrun_error reason = {0};
    int32_t code;

    memset(stream, 0, sizeof *stream);
    code = device->backend->device.stream_create(device->handle, lane, &stream->handle, &reason);
    if (code == LLMRUN_OK)
        stream->device = device;
    return backend_error(device->backend, code, &reason, error);
}

void stream_destroy(struct stream *stream)
{
    if (stream->device != NULL)
        stream->device->backend->device.stream_destroy(stream->handle);
    memset(stream, 0, sizeof *stream);
}

int event_create(struct device *device, struct event *event, struct error *error)
{
    struct llmrun_error reason = {0};
    int32_t code;

    memset(event, 0, sizeof *event);
    code = device->backend->device.event_create(device->handle, &event->handle, &reason);
    if (code == LLMRUN_OK)
        event->device = device;
    return backend_error(device->backend, code, &reason, error);
}

void event_destroy(struct event *event)
{
    if (event->device != NULL)
        event->device->backend->device.event_destroy(event->handle);
    memset(event, 0, sizeof *event);
}

/* `other` is the device of the second object of a call on `stream`. */
static int foreign(const struct stream *stream, const struct device *other, const char *what, struct error *error)
{
    if (stream->device == other)
        return STATUS_OK;
    return error_set(error, STATUS_BUG, "%s of another device was given to a stream of device %d of %s", what,
                     stream->device->index, stream->device->backend->name);
}

int stream_record(const struct stream *stream, const struct event *event, struct error *error)
{
    const struct backend *backend = stream->device->backend;
    struct llmrun_error reason = {0};
    int32_t code;

    if (stream->device != event->device)
        return foreign(stream, event->device, "an event", error);
    code = backend->device.event_record(stream->handle, event->handle, &reason);
    return backend_error(backend, code, &reason, error);
}

int stream_wait(const struct stream *stream, const struct event *event, struct error *error)
{
    const struct backend *backend = stream->device->backend;
    struct llmrun_error reason = {0};
    int32_t code;

    if (stream->device != event->device)
        return foreign(stream, event->device, "an event", error);
    code = backend->device.stream_wait(stream->handle, event->handle, &reason);
    return backend_error(backend, code, &reason, error);
}

int event_query(const struct event *event, bool *ready, struct error *error)
{
    const struct backend *backend = event->device->backend;
    struct llmrun_error reason = {0};
    uint32_t state = LLMRUN_EVENT_NOT_READY;
    int32_t code = backend->device.event_query(event->handle, &state, &reason);

    *ready = code == LLMRUN_OK && state == LLMRUN_EVENT_READY;
    return backend_error(backend, code, &reason, error);
}

int event_wait(const struct event *event, int64_t timeout_ns, bool *ready, struct error *error)
{
    const struct backend *backend = event->device->backend;
    struct llmrun_error reason = {0};
    int32_t code = backend->device.event_wait(event->handle, timeout_ns, &reason);

    *ready = code == LLMRUN_OK;
    if (code == LLMRUN_ERROR_TIMEOUT && timeout_ns >= 0)
        return STATUS_OK;
    return backend_error(backend, code, &reason, error);
}

int event_elapsed(const struct event *start, const struct event *end, int64_t *ns, struct error *error)
{
    const struct backend *backend = start->device->backend;
    struct llmrun_error reason = {0};
    int32_t code;

    if (start->device != end->device)
        return error_set(error, STATUS_BUG, "the time between events of two devices was asked for");
    code = backend->device.event_elapsed(start->handle, end->handle, ns, &reason);
    return backend_error(backend, code, &reason, error);
}

/* The host address of a range of a staging buffer, as a copy takes it. */
static int host_address(const struct stream *stream, const struct host_buffer *buffer, int64_t offset, int64_t bytes,
                        uint64_t *address, struct error *error)
{
    if (stream->device != buffer->device)
        return foreign(stream, buffer->device, "host memory", error);
    if (offset < 0 || bytes < 0 || offset > buffer->bytes || bytes > buffer->bytes - offset)
        return error_set(error, STATUS_BUG, "bytes %lld to %lld + %lld are not inside host memory of %lld bytes",
                         (long long)offset, (long long)offset, (long long)bytes, (long long)buffer->bytes);
    *address = (uint64_t)(uintptr_t)buffer->memory + (uint64_t)offset;
    return STATUS_OK;
}

static int copy_run(const struct stream *stream, uint32_t direction, uint64_t to, uint64_t from, int64_t bytes,
                    struct error *error)
{
    const struct backend *backend = stream->device->backend;
    const struct llmrun_copy copy = {.size = sizeof copy,
                                     .direction = direction,
                                     .to = to,
                                     .from = from,
                                     .rows = 1,
                                     .row_bytes = bytes,
                                     .to_pitch = bytes,
                                     .from_pitch = bytes};
    struct llmrun_error reason = {0};
    int32_t code = backend->device.copy(stream->handle, &copy, &reason);

    return backend_error(backend, code, &reason, error);
}

int stream_upload(const struct stream *stream, const struct buffer *to, int64_t to_offset,
                  const struct host_buffer *from, int64_t from_offset, int64_t bytes, struct error *error)
{
    uint64_t target = 0, source = 0;
    int result = buffer_address(to, stream->device, to_offset, bytes, &target, error);

    if (result == STATUS_OK)
        result = host_address(stream, from, from_offset, bytes, &source, error);
    if (result == STATUS_OK)
        result = copy_run(stream, LLMRUN_COPY_HOST_TO_DEVICE, target, source, bytes, error);
    return result;
}

int stream_download(const struct stream *stream, const struct host_buffer *to, int64_t to_offset,
                    const struct buffer *from, int64_t from_offset, int64_t bytes, struct error *error)
{
    uint64_t target = 0, source = 0;
    int result = host_address(stream, to, to_offset, bytes, &target, error);

    if (result == STATUS_OK)
        result = buffer_address(from, stream->device, from_offset, bytes, &source, error);
    if (result == STATUS_OK)
        result = copy_run(stream, LLMRUN_COPY_DEVICE_TO_HOST, target, source, bytes, error);
    return result;
}

int stream_copy(const struct stream *stream, const struct buffer *to, int64_t to_offset, const struct buffer *from,
                int64_t from_offset, int64_t bytes, struct error *error)
{
    uint64_t target = 0, source = 0;
    int result = buffer_address(to, stream->device, to_offset, bytes, &target, error);

    if (result == STATUS_OK)
        result = buffer_address(from, stream->device, from_offset, bytes, &source, error);
    if (result == STATUS_OK)
        result = copy_run(stream, LLMRUN_COPY_DEVICE_TO_DEVICE, target, source, bytes, error);
    return result;
}

int stream_fill(const struct stream *stream, const struct buffer *buffer, int64_t offset, uint32_t pattern,
                int64_t bytes, struct error *error)
{
    const struct backend *backend = stream->device->backend;
    struct llmrun_error reason = {0};
    uint64_t address;
    int result = buffer_address(buffer, stream->device, offset, bytes, &address, error);

    if (result != STATUS_OK)
        return result;
    return backend_error(backend, backend->device.fill(stream->handle, address, pattern, bytes, &reason), &reason,
                         error);
}

int stream_launch_kernel(const struct stream *stream, const struct device_kernel *kernel, const uint64_t *addresses,
                         uint32_t count, uint64_t workspace, struct error *error)
{
    const struct backend *backend = stream->device->backend;
    struct llmrun_error reason = {0};
    int32_t code;

    if (stream->device != kernel->device)
        return foreign(stream, kernel->device, "a kernel", error);
    code = backend->kernel.launch(stream->handle, kernel->handle, addresses, count, workspace, &reason);
    return backend_error(backend, code, &reason, error);
}

int stream_launch_program(const struct stream *stream, const struct device_program *program, const uint64_t *addresses,
                          uint32_t count, uint64_t workspace, struct error *error)
{
    const struct backend *backend = stream->device->backend;
    struct llmrun_error reason = {0};
    int32_t code;

    if (stream->device != program->device)
        return foreign(stream, program->device, "a program", error);
    code = backend->program.launch(stream->handle, program->handle, addresses, count, workspace, &reason);
    return backend_error(backend, code, &reason, error);
}
