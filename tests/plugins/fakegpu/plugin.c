#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fakegpu.h"

#define DEVICES 2 /* so that memory of the wrong one can be told */

static int32_t device_count(int32_t *count, struct llmrun_error *error)
{
    (void)error;
    *count = DEVICES;
    return LLMRUN_OK;
}

int64_t gpu_largest_allocation(void)
{
    const char *text = getenv("FAKEGPU_LARGEST");

    return text != NULL ? strtoll(text, NULL, 10) : 0;
}

int gpu_has_f64(void)
{
    return getenv("FAKEGPU_NO_F64") == NULL;
}

static int32_t device_info(int32_t index, struct llmrun_device_info *info, struct llmrun_error *error)
{
    struct llmrun_device_info found = {.size = sizeof found};
    const char *flops = getenv("FAKEGPU_FLOPS");
    int32_t code;

    if (index < 0 || index >= DEVICES)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "there is no device %d, only 0 to %d", index, DEVICES - 1);
    code = inner->device->info(0, &found, error);
    if (code != LLMRUN_OK)
        return code;
    found.streams = 3;
    found.alignment = 256;
    snprintf(found.name, sizeof found.name, "fake GPU %d", index);
    strcpy(found.architecture, "fakegpu");
    strcpy(found.domain, "fakegpu");
    found.flops_f32 = flops != NULL ? strtod(flops, NULL) : 0;
    found.flops_bf16 = 2 * found.flops_f32;
    if (!gpu_has_f64()) {
        found.dtypes &= ~(UINT64_C(1) << LLMRUN_F64);
        found.exact = 0;
    }
    found.largest_allocation_bytes = gpu_largest_allocation();
    llmrun_write(info, &found, sizeof found);
    return LLMRUN_OK;
}

static int32_t parse_seed(const char *text, uint64_t *seed, struct llmrun_error *error)
{
    char *end;

    *seed = strtoull(text, &end, 10);
    if (end == text || *end != '\0')
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "the seed is '%s', which is no number", text);
    return LLMRUN_OK;
}

static int32_t device_open(int32_t index, const struct llmrun_options *options, struct llmrun_device **device,
                           struct llmrun_error *error)
{
    const char *text = llmrun_option_value(options, "seed");
    pthread_condattr_t monotonic;
    struct llmrun_device *made;
    uint64_t seed = 1;
    int32_t code;

    if (index < 0 || index >= DEVICES)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "there is no device %d, only 0 to %d", index, DEVICES - 1);
    if (text == NULL)
        text = getenv("FAKEGPU_SEED");
    code = text != NULL ? parse_seed(text, &seed, error) : LLMRUN_OK;
    if (code != LLMRUN_OK)
        return code;
    made = calloc(1, sizeof *made);
    if (made == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for a device");
    code = inner->device->open(0, options, &made->worker, error);
    if (code != LLMRUN_OK) {
        free(made);
        return code;
    }
    made->index = index;
    made->random = seed * 2 + (uint64_t)index;
    pthread_mutex_init(&made->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&made->signalled, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *device = made;
    return LLMRUN_OK;
}

static void device_close(struct llmrun_device *device)
{
    if (device == NULL)
        return;
    gpu_memory_close(device);
    queue_close(device);
    inner->device->close(device->worker);
    pthread_cond_destroy(&device->signalled);
    pthread_mutex_destroy(&device->lock);
    free(device);
}

static const struct llmrun_device_table device_table = {
    .size = sizeof device_table,
    .count = device_count,
    .info = device_info,
    .open = device_open,
    .close = device_close,
    .synchronize = queue_synchronize,
    .memory_alloc = gpu_memory_alloc,
    .memory_free = gpu_memory_free,
    .host_alloc = gpu_memory_host_alloc,
    .host_free = gpu_memory_host_free,
    .stream_create = queue_stream_create,
    .stream_destroy = queue_stream_destroy,
    .copy = work_copy,
    .fill = work_fill,
    .event_create = queue_event_create,
    .event_destroy = queue_event_destroy,
    .event_record = queue_record,
    .stream_wait = queue_wait,
    .event_query = queue_event_query,
    .event_wait = queue_event_wait,
    .event_elapsed = queue_event_elapsed,
    .export_native = queue_export_native,
    .event_signal = queue_event_signal,
};

WRAPPED_PLUGIN("fakegpu", .device = &device_table, .kernel = &fakegpu_kernel_table, .capture = &fakegpu_capture_table)

const struct llmrun_backend *llmrun_backend_entry(const struct llmrun_host *host, struct llmrun_error *error)
{
    return wrapped_open("fakegpu", host, error) != NULL ? &backend : NULL;
}
