/* The smallest backend: one device of host memory that can hold and copy data and computes nothing. Copy this folder to
 * begin a backend of your own; README.md says in which order to fill it. */
#define _POSIX_C_SOURCE 200112L
#include <llmrun/plugin.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

LLMRUN_PLUGIN_NOTE(LLMRUN_PLUGIN_BACKEND, "null", "0.1.0");

#define ALIGNMENT 64

/* Every call has the parameters that the contract gives it, needed or not. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

/* The contract only declares these: what is in them is the plugin's business. Work is done at once, in the call that
 * enqueues it, so a stream has no queue and a recorded event is ready. */
struct llmrun_device {
    int32_t index;
};

struct llmrun_stream {
    struct llmrun_device *device;
};

struct llmrun_event {
    int64_t recorded_ns; /* 0: never */
};

/* ---- devices -- */

static int32_t device_count(int32_t *count, struct llmrun_error *error)
{
    *count = 1;
    return LLMRUN_OK;
}

static int32_t device_info(int32_t index, struct llmrun_device_info *info, struct llmrun_error *error)
{
    struct llmrun_device_info found;

    if (index != 0)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "there is no device %d; null has device 0 alone", (int)index);
    memset(&found, 0, sizeof(found));
    found.streams = 1;
    found.alignment = ALIGNMENT;
    strcpy(found.name, "null");
    strcpy(found.architecture, "null");
    strcpy(found.domain, "host");
    llmrun_write(info, &found, sizeof(found));
    return LLMRUN_OK;
}

static int32_t device_open(int32_t index, const struct llmrun_options *options, struct llmrun_device **device,
                           struct llmrun_error *error)
{
    if (index != 0)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "there is no device %d; null has device 0 alone", (int)index);
    *device = (struct llmrun_device *)calloc(1, sizeof(**device));
    if (*device == NULL)
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory for a device");
    return LLMRUN_OK;
}

static void device_close(struct llmrun_device *device)
{
    free(device);
}

static int32_t device_synchronize(struct llmrun_device *device, struct llmrun_error *error)
{
    return LLMRUN_OK;
}

/* ---- memory -- */

static int32_t host_alloc(struct llmrun_device *device, int64_t bytes, void **memory, struct llmrun_error *error)
{
    if (bytes <= 0)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "memory of %lld bytes was asked for", (long long)bytes);
    if (posix_memalign(memory, ALIGNMENT, (size_t)bytes) != 0)
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there are no %lld bytes of memory", (long long)bytes);
    return LLMRUN_OK;
}

static void host_free(struct llmrun_device *device, void *memory)
{
    free(memory);
}

static int32_t memory_alloc(struct llmrun_device *device, uint32_t kind, int64_t bytes, uint64_t *address,
                            struct llmrun_error *error)
{
    void *memory;
    int32_t code;

    if (kind != LLMRUN_MEMORY_DEVICE)
        return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "memory kind %u is not offered", (unsigned)kind);
    code = host_alloc(device, bytes, &memory, error);
    if (code == LLMRUN_OK)
        *address = (uint64_t)(uintptr_t)memory;
    return code;
}

static void memory_free(struct llmrun_device *device, uint64_t address)
{
    free((void *)(uintptr_t)address);
}

/* ---- streams -- */

static int32_t stream_create(struct llmrun_device *device, uint32_t kind, struct llmrun_stream **stream,
                             struct llmrun_error *error)
{
    if (kind < LLMRUN_STREAM_COMPUTE || kind > LLMRUN_STREAM_COMMUNICATION)
        return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "stream kind %u is unknown", (unsigned)kind);
    *stream = (struct llmrun_stream *)calloc(1, sizeof(**stream));
    if (*stream == NULL)
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory for a stream");
    (*stream)->device = device;
    return LLMRUN_OK;
}

static void stream_destroy(struct llmrun_stream *stream)
{
    free(stream);
}

static int32_t copy(struct llmrun_stream *stream, const struct llmrun_copy *copy, struct llmrun_error *error)
{
    int64_t row;

    if (llmrun_check_size(copy, LLMRUN_COPY_MIN, "a copy", error) != LLMRUN_OK)
        return LLMRUN_ERROR_ARGUMENT;
    if (copy->direction < LLMRUN_COPY_HOST_TO_DEVICE || copy->direction > LLMRUN_COPY_DEVICE_TO_DEVICE)
        return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "copy direction %u is unknown", (unsigned)copy->direction);
    for (row = 0; row < copy->rows; row++)
        memcpy((char *)(uintptr_t)copy->to + row * copy->to_pitch,
               (const char *)(uintptr_t)copy->from + row * copy->from_pitch, (size_t)copy->row_bytes);
    return LLMRUN_OK;
}

static int32_t fill(struct llmrun_stream *stream, uint64_t address, uint32_t pattern, int64_t bytes,
                    struct llmrun_error *error)
{
    uint32_t *words = (uint32_t *)(uintptr_t)address;
    int64_t i;

    if (address % 4 != 0 || bytes % 4 != 0)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "a fill of %lld bytes is not one of whole words",
                           (long long)bytes);
    for (i = 0; i < bytes / 4; i++)
        words[i] = pattern;
    return LLMRUN_OK;
}

/* ---- events -- */

static int32_t event_create(struct llmrun_device *device, struct llmrun_event **event, struct llmrun_error *error)
{
    *event = (struct llmrun_event *)calloc(1, sizeof(**event));
    if (*event == NULL)
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory for an event");
    return LLMRUN_OK;
}

static void event_destroy(struct llmrun_event *event)
{
    free(event);
}

static int32_t event_record(struct llmrun_stream *stream, struct llmrun_event *event, struct llmrun_error *error)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    event->recorded_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    return LLMRUN_OK;
}

static int32_t stream_wait(struct llmrun_stream *stream, struct llmrun_event *event, struct llmrun_error *error)
{
    return LLMRUN_OK;
}

static int32_t event_query(struct llmrun_event *event, uint32_t *state, struct llmrun_error *error)
{
    *state = LLMRUN_EVENT_READY;
    return LLMRUN_OK;
}

static int32_t event_wait(struct llmrun_event *event, int64_t timeout_ns, struct llmrun_error *error)
{
    return LLMRUN_OK;
}

static int32_t event_elapsed(struct llmrun_event *start, struct llmrun_event *end, int64_t *ns,
                             struct llmrun_error *error)
{
    if (start->recorded_ns == 0 || end->recorded_ns == 0)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "an event that was never recorded has no time");
    *ns = end->recorded_ns - start->recorded_ns;
    return LLMRUN_OK;
}

/* ---- ops -- */

static int32_t kernel_query(struct llmrun_device *device, const struct llmrun_op *op, struct llmrun_op_support *answer,
                            struct llmrun_error *error)
{
    if (llmrun_check_size(answer, LLMRUN_OP_SUPPORT_MIN, "an answer", error) != LLMRUN_OK)
        return LLMRUN_ERROR_ARGUMENT;
    answer->support = LLMRUN_SUPPORT_NO;
    answer->workspace_bytes = 0;
    snprintf(answer->reason, sizeof(answer->reason), "null computes nothing, op %u neither", (unsigned)op->op);
    return LLMRUN_OK;
}

static int32_t kernel_prepare(struct llmrun_device *device, const struct llmrun_op *op, int64_t max_workspace,
                              struct llmrun_kernel **kernel, struct llmrun_error *error)
{
    return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "null computes nothing, op %u neither", (unsigned)op->op);
}

/* No kernel is ever prepared, so the rest of the table is only reached by mistake. */
static int32_t kernel_launch(struct llmrun_stream *stream, struct llmrun_kernel *kernel, const uint64_t *addresses,
                             uint32_t address_count, uint64_t workspace, struct llmrun_error *error)
{
    return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "null prepared no kernel that could be launched");
}

static const char *kernel_name(const struct llmrun_kernel *kernel)
{
    return "none";
}

static void kernel_destroy(struct llmrun_kernel *kernel)
{
}

/* ---- the tables, in the order of the headers: C++ before 2020 has no names here -- */

static const struct llmrun_device_table device_table = {
    sizeof(struct llmrun_device_table),
    0, /* reserved */
    device_count,
    device_info,
    device_open,
    device_close,
    device_synchronize,
    memory_alloc,
    memory_free,
    host_alloc,
    host_free,
    stream_create,
    stream_destroy,
    copy,
    fill,
    event_create,
    event_destroy,
    event_record,
    stream_wait,
    event_query,
    event_wait,
    event_elapsed,
    NULL, /* export_native */
    NULL, /* event_signal */
};

static const struct llmrun_kernel_table kernel_table = {
    sizeof(struct llmrun_kernel_table),
    0, /* reserved */
    kernel_query,
    kernel_prepare,
    kernel_launch,
    kernel_name,
    kernel_destroy,
};

static const struct llmrun_backend backend = {
    sizeof(struct llmrun_backend),
    LLMRUN_ABI_MAJOR,
    LLMRUN_ABI_MINOR,
    0, /* priority: never chosen by `backend: auto` */
    "null",
    "0.1.0",
    "llmrun", /* vendor */
    &device_table,
    &kernel_table,
    NULL, /* program */
    NULL, /* capture */
};

const struct llmrun_backend *llmrun_backend_entry(const struct llmrun_host *host, struct llmrun_error *error)
{
    return llmrun_check_host(host, "null", error) == LLMRUN_OK ? &backend : NULL;
}
