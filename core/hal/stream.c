#include "hal/stream.h"
#include "plugin/facts.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"

#define WAIT_NS        INT64_C(100000000) /* of one call that waits */
#define PAUSE_NS       INT64_C(1000000)
#define ELAPSED_MAX_NS INT64_C(315360000000000000) /* ten years */

int stream_create(struct device *device, uint32_t kind, struct stream *stream, struct error *error)
{
    struct llmrun_error reason = {0};
    int32_t code;
    int result;

    memset(stream, 0, sizeof *stream);
    code = GUARDED(device->backend, device, stream_create, device->handle, kind, &stream->handle, &reason);
    result = backend_error(device->backend, code, &reason, error);
    if (result == STATUS_OK)
        result = facts_given(device->backend, device->index, "stream_create", stream->handle, error);
    if (result == STATUS_OK)
        stream->device = device;
    return result;
}

void stream_destroy(struct stream *stream)
{
    if (stream->device != NULL && !stream->device->lost)
        GUARDED_VOID(stream->device->backend, device, stream_destroy, stream->handle);
    memset(stream, 0, sizeof *stream);
}

int event_create(struct device *device, struct event *event, struct error *error)
{
    struct llmrun_error reason = {0};
    int32_t code;
    int result;

    memset(event, 0, sizeof *event);
    code = GUARDED(device->backend, device, event_create, device->handle, &event->handle, &reason);
    result = backend_error(device->backend, code, &reason, error);
    if (result == STATUS_OK)
        result = facts_given(device->backend, device->index, "event_create", event->handle, error);
    if (result == STATUS_OK)
        event->device = device;
    return result;
}

void event_destroy(struct event *event)
{
    if (event->device != NULL && !event->device->lost)
        GUARDED_VOID(event->device->backend, device, event_destroy, event->handle);
    memset(event, 0, sizeof *event);
}

int stream_foreign(const struct stream *stream, const char *what, struct error *error)
{
    return error_set(error, STATUS_BUG, "%s of another device was given to a stream of device %d of %s", what,
                     stream->device->index, stream->device->backend->name);
}

int stream_record(const struct stream *stream, const struct event *event, struct error *error)
{
    const struct backend *backend = stream->device->backend;
    struct llmrun_error reason = {0};
    int32_t code;

    if (stream->device != event->device)
        return stream_foreign(stream, "an event", error);
    code = GUARDED(backend, device, event_record, stream->handle, event->handle, &reason);
    return backend_error(backend, code, &reason, error);
}

int stream_wait(const struct stream *stream, const struct event *event, struct error *error)
{
    const struct backend *backend = stream->device->backend;
    struct llmrun_error reason = {0};
    int32_t code;

    if (stream->device != event->device)
        return stream_foreign(stream, "an event", error);
    code = GUARDED(backend, device, stream_wait, stream->handle, event->handle, &reason);
    return backend_error(backend, code, &reason, error);
}

int event_query(const struct event *event, bool *ready, struct error *error)
{
    const struct backend *backend = event->device->backend;
    struct llmrun_error reason = {0};
    uint32_t state = LLMRUN_EVENT_NOT_READY;
    int32_t code = GUARDED(backend, device, event_query, event->handle, &state, &reason);

    *ready = code == LLMRUN_OK && state == LLMRUN_EVENT_READY;
    if (code == LLMRUN_OK && state > LLMRUN_EVENT_READY)
        return error_set(error, STATUS_BACKEND, "%s: event_query gave the state %u, expected 0 or 1", backend->name,
                         state);
    return backend_error(backend, code, &reason, error);
}

/* Lets a moment pass, for a plugin that does not wait as long as it is asked to. */
static void pause_briefly(int64_t at_most_ns)
{
    const struct timespec moment = {0, at_most_ns < PAUSE_NS ? at_most_ns : PAUSE_NS};

    nanosleep(&moment, NULL);
}

/* True once the device's waits have been abandoned: *error says why that for `awaited` was. */
static bool is_abandoned(struct device *device, const struct awaited *awaited, int *status, struct error *error)
{
    char what[AWAITED_BYTES];

    if (atomic_load_explicit(&device->abandoned, memory_order_acquire) == STATUS_OK)
        return false;
    pthread_mutex_lock(&device->lock);
    *status = atomic_load(&device->abandoned); /* unless it was resumed just now */
    if (*status != STATUS_OK) {
        awaited_describe(awaited, what);
        error_set(error, *status, "%s was abandoned: %s", what, device->abandon_reason);
    }
    pthread_mutex_unlock(&device->lock);
    return *status != STATUS_OK;
}

static int wait_in_parts(const struct event *event, int64_t timeout_ns, const struct awaited *awaited, bool *ready,
                         struct error *error)
{
    const struct backend *backend = event->device->backend;
    int64_t waited = 0;
    int status;

    *ready = false;
    for (;;) {
        const int64_t left = timeout_ns < 0 ? 2 * WAIT_NS : timeout_ns - waited;
        const int64_t part = left < WAIT_NS ? left > 0 ? left : 0 : WAIT_NS;
        const int64_t before = clock_system.monotonic_ns(&clock_system);
        struct llmrun_error reason = {0};
        int64_t took;
        int32_t code;

        if (is_abandoned(event->device, awaited, &status, error))
            return status;
        code = GUARDED(backend, device, event_wait, event->handle, part, &reason);
        *ready = code == LLMRUN_OK;
        if (code != LLMRUN_ERROR_TIMEOUT)
            return backend_error(backend, code, &reason, error);
        took = clock_system.monotonic_ns(&clock_system) - before;
        /* A process that was stopped meanwhile, and its device's threads with it, has not waited all of that. */
        waited += took < part ? took : part;
        if (timeout_ns >= 0 && waited >= timeout_ns)
            return STATUS_OK;
        if (took < part / 2) {
            pause_briefly(left - took);
            waited += PAUSE_NS;
        }
    }
}

int event_wait(const struct event *event, int64_t timeout_ns, bool *ready, struct error *error)
{
    return wait_in_parts(event, timeout_ns, &(struct awaited){.what = "the wait for an event"}, ready, error);
}

int event_finish(const struct event *event, int64_t limit_ns, const struct awaited *awaited, struct error *error)
{
    struct device *device = event->device;
    char what[AWAITED_BYTES];
    bool ready;
    int result;

    guard_await(device->index, awaited);
    result = wait_in_parts(event, limit_ns, awaited, &ready, error);
    guard_await(0, NULL);
    if (result != STATUS_OK || ready)
        return result;
    device->lost = true;
    guard_abandon();
    awaited_describe(awaited, what);
    return error_set(error, STATUS_BACKEND, "device %d of %s did not finish %s within %g s (parallel.timeout)",
                     device->index, device->backend->name, what, (double)limit_ns * 1e-9);
}

bool device_signals(const struct device *device)
{
    return device->backend->device.event_signal != NULL;
}

int event_signal(const struct event *event, bool ready, struct error *error)
{
    const struct backend *backend = event->device->backend;
    struct llmrun_error reason = {0};
    int32_t code;

    if (!device_signals(event->device))
        return error_set(error, STATUS_BUG, "%s has no event_signal", backend->name);
    code = GUARDED(backend, device, event_signal, event->handle, ready ? LLMRUN_EVENT_READY : LLMRUN_EVENT_NOT_READY,
                   &reason);
    return backend_error(backend, code, &reason, error);
}

int event_elapsed(const struct event *start, const struct event *end, int64_t *ns, struct error *error)
{
    const struct backend *backend = start->device->backend;
    struct llmrun_error reason = {0};
    int32_t code;

    *ns = 0;
    if (start->device != end->device)
        return error_set(error, STATUS_BUG, "the time between events of two devices was asked for");
    code = GUARDED(backend, device, event_elapsed, start->handle, end->handle, ns, &reason);
    if (code == LLMRUN_OK && (*ns < 0 || *ns > ELAPSED_MAX_NS))
        return error_set(error, STATUS_BACKEND, "%s: event_elapsed gave %lld ns between two events, expected 0 to %lld",
                         backend->name, (long long)*ns, (long long)ELAPSED_MAX_NS);
    return backend_error(backend, code, &reason, error);
}

/* The host address of a range of a staging buffer, as a copy takes it. */
static int host_address(const struct stream *stream, const struct host_buffer *buffer, int64_t offset, int64_t bytes,
                        uint64_t *address, struct error *error)
{
    if (stream->device != buffer->device)
        return stream_foreign(stream, "host memory", error);
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
    int32_t code = GUARDED(backend, device, copy, stream->handle, &copy, &reason);

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
    return backend_error(backend, GUARDED(backend, device, fill, stream->handle, address, pattern, bytes, &reason),
                         &reason, error);
}

int stream_launch_kernel(const struct stream *stream, const struct device_kernel *kernel, const uint64_t *addresses,
                         uint32_t count, uint64_t workspace, struct error *error)
{
    const struct backend *backend = stream->device->backend;
    struct llmrun_error reason = {0};
    int32_t code;

    if (stream->device != kernel->device)
        return stream_foreign(stream, "a kernel", error);
    code = GUARDED(backend, kernel, launch, stream->handle, kernel->handle, addresses, count, workspace, &reason);
    return backend_error(backend, code, &reason, error);
}

int stream_launch_program(const struct stream *stream, const struct device_program *program, const uint64_t *addresses,
                          uint32_t count, uint64_t workspace, struct error *error)
{
    const struct backend *backend = stream->device->backend;
    struct llmrun_error reason = {0};
    int32_t code;

    if (stream->device != program->device)
        return stream_foreign(stream, "a program", error);
    code = GUARDED(backend, program, launch, stream->handle, program->handle, addresses, count, workspace, &reason);
    return backend_error(backend, code, &reason, error);
}
