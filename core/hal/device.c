#include "hal/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "plugin/facts.h"
#include "plugin/guard.h"

#define PAGE_BYTES     4096
#define HOST_ALIGNMENT 8 /* of the largest element type */

static struct device *make_device(const struct backend *backend, int32_t index)
{
    struct device *device = calloc(1, sizeof *device);

    if (device == NULL)
        return NULL;
    device->backend = backend;
    device->index = index;
    device->timeout_ns = DEVICE_TIMEOUT_NS;
    device->capabilities = capability_cache_create();
    if (device->capabilities == NULL) {
        free(device);
        return NULL;
    }
    pthread_mutex_init(&device->lock, NULL);
    prepared_init(&device->prepared);
    return device;
}

static void free_device(struct device *device)
{
    if (device == NULL)
        return;
    prepared_finish(&device->prepared);
    capability_cache_destroy(device->capabilities);
    live_memory_finish(&device->device_memory);
    live_memory_finish(&device->host_memory);
    pthread_mutex_destroy(&device->lock);
    free(device);
}

int device_open(const struct backend *backend, int32_t index, const struct llmrun_option *options, int32_t option_count,
                struct device **out, struct error *error)
{
    struct llmrun_error reason = {0};
    struct device *device = make_device(backend, index);
    int32_t count = 0, code;
    int result;

    *out = NULL;
    if (device == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a device");
    result = facts_count(backend, &count, error);
    if (result == STATUS_OK && (index < 0 || index >= count))
        result = error_set(error, STATUS_BACKEND, "%s: there is no device %d; it has %d", backend->name, index, count);
    if (result == STATUS_OK)
        result = facts_describe(backend, index, &device->info, error);
    if (result == STATUS_OK) {
        const struct llmrun_options list = {
            .size = sizeof list, .count = (uint32_t)option_count, .items = options, .stride = sizeof *options};

        code = GUARDED_LONG(backend, device, open, index, &list, &device->handle, &reason);
        result = backend_error(backend, code, &reason, error);
    }
    if (result == STATUS_OK)
        result = facts_given(device->backend, device->index, "open", device->handle, error);
    if (result == STATUS_OK)
        *out = device;
    else
        free_device(device);
    return result;
}

void device_close(struct device *device)
{
    if (device == NULL)
        return;
    if (!device->lost) {
        prepared_destroy_programs(device);
        GUARDED_VOID(device->backend, device, close, device->handle);
    }
    free_device(device);
}

int device_synchronize(struct device *device, struct error *error)
{
    struct llmrun_error reason = {0};

    if (device->lost)
        return error_set(error, STATUS_BACKEND, "%s: device %d hangs", device->backend->name, device->index);
    return backend_error(device->backend, GUARDED(device->backend, device, synchronize, device->handle, &reason),
                         &reason, error);
}

void device_abandon(struct device *device, int status, const char *reason)
{
    pthread_mutex_lock(&device->lock);
    if (atomic_load(&device->abandoned) == STATUS_OK) {
        snprintf(device->abandon_reason, sizeof device->abandon_reason, "%s", reason);
        atomic_store_explicit(&device->abandoned, status, memory_order_release);
    }
    pthread_mutex_unlock(&device->lock);
}

void device_resume(struct device *device)
{
    pthread_mutex_lock(&device->lock);
    atomic_store(&device->abandoned, STATUS_OK);
    pthread_mutex_unlock(&device->lock);
}

int64_t device_free_bytes(const struct device *device)
{
    struct llmrun_device_info now;

    if (facts_describe(device->backend, device->index, &now, NULL) != STATUS_OK || now.memory_bytes == 0)
        return -1;
    return now.memory_free_bytes;
}

/* Notes down memory that a plugin gave, or says why it cannot be. What is wrong is not given back: whose it is, nobody
 * knows. */
static int take_in(struct device *device, struct live_memory *live, const char *call, uint64_t address, int64_t bytes,
                   int64_t alignment, struct error *error)
{
    char what[64];
    int result;

    snprintf(what, sizeof what, "%s: %s", device->backend->name, call);
    pthread_mutex_lock(&device->lock);
    result = live_memory_add(live, what, address, bytes, alignment, error);
    pthread_mutex_unlock(&device->lock);
    return result;
}

static void let_go(struct device *device, struct live_memory *live, uint64_t address)
{
    pthread_mutex_lock(&device->lock);
    live_memory_remove(live, address);
    pthread_mutex_unlock(&device->lock);
}

int buffer_create(struct device *device, uint32_t kind, int64_t bytes, struct buffer *buffer, struct error *error)
{
    struct llmrun_error reason = {0};
    uint64_t address = 0;
    int64_t left;
    int32_t code;
    int result;

    memset(buffer, 0, sizeof *buffer);
    if (bytes <= 0)
        return error_set(error, STATUS_BUG, "a buffer of %lld bytes was asked for", (long long)bytes);
    code = GUARDED_LONG(device->backend, device, memory_alloc, device->handle, kind, bytes, &address, &reason);
    if (code != LLMRUN_OK) {
        result = backend_error(device->backend, code, &reason, error);
        left = code == LLMRUN_ERROR_MEMORY ? device_free_bytes(device) : -1;
        if (left >= 0 && error != NULL)
            error_prefix(error, "device %d of %s has %lld bytes free, %lld were asked for", device->index,
                         device->backend->name, (long long)left, (long long)bytes);
        else if (error != NULL)
            error_prefix(error, "no %lld bytes on device %d of %s", (long long)bytes, device->index,
                         device->backend->name);
        return result;
    }
    result = take_in(device, &device->device_memory, "memory_alloc", address, bytes, device->info.alignment, error);
    if (result == STATUS_OK)
        *buffer = (struct buffer){.device = device, .address = address, .bytes = bytes, .kind = kind};
    return result;
}

void buffer_destroy(struct buffer *buffer)
{
    struct device *device = buffer->device;

    if (device != NULL && !device->lost) {
        let_go(device, &device->device_memory, buffer->address);
        GUARDED_VOID(device->backend, device, memory_free, device->handle, buffer->address);
    }
    memset(buffer, 0, sizeof *buffer);
}

int buffer_address(const struct buffer *buffer, const struct device *device, int64_t offset, int64_t bytes,
                   uint64_t *address, struct error *error)
{
    int64_t end;

    if (buffer->device == NULL)
        return error_set(error, STATUS_BUG, "a buffer that has no memory was given to device %d of %s", device->index,
                         device->backend->name);
    if (buffer->device != device)
        return error_set(error, STATUS_BUG, "a buffer of device %d of %s was given to device %d of %s",
                         buffer->device->index, buffer->device->backend->name, device->index, device->backend->name);
    if (offset < 0 || bytes < 0 || !checked_add(offset, bytes, &end) || end > buffer->bytes)
        return error_set(error, STATUS_BUG, "bytes %lld to %lld + %lld are not inside a buffer of %lld bytes",
                         (long long)offset, (long long)offset, (long long)bytes, (long long)buffer->bytes);
    *address = buffer->address + (uint64_t)offset;
    return STATUS_OK;
}

/* Writes to each page, so that memory that is none is the plugin's failure here and not ours later. */
static void touch(const struct device *device, char *memory, int64_t bytes)
{
    guard_enter(device->backend->name, "in the host memory that it gave", true);
    for (int64_t at = 0; at < bytes; at += PAGE_BYTES)
        *(volatile char *)(memory + at) = 0;
    *(volatile char *)(memory + bytes - 1) = 0;
    guard_leave();
}

int host_buffer_create(struct device *device, int64_t bytes, struct host_buffer *buffer, struct error *error)
{
    struct llmrun_error reason = {0};
    void *memory = NULL;
    int32_t code;
    int result;

    memset(buffer, 0, sizeof *buffer);
    if (bytes <= 0)
        return error_set(error, STATUS_BUG, "a host buffer of %lld bytes was asked for", (long long)bytes);
    code = GUARDED_LONG(device->backend, device, host_alloc, device->handle, bytes, &memory, &reason);
    if (code != LLMRUN_OK) {
        result = backend_error(device->backend, code, &reason, error);
        if (error != NULL)
            error_prefix(error, "no %lld bytes of host memory for device %d of %s", (long long)bytes, device->index,
                         device->backend->name);
        return result;
    }
    result =
        take_in(device, &device->host_memory, "host_alloc", (uint64_t)(uintptr_t)memory, bytes, HOST_ALIGNMENT, error);
    if (result != STATUS_OK)
        return result;
    touch(device, memory, bytes);
    *buffer = (struct host_buffer){.device = device, .memory = memory, .bytes = bytes};
    return STATUS_OK;
}

void host_buffer_destroy(struct host_buffer *buffer)
{
    struct device *device = buffer->device;

    if (device != NULL && !device->lost) {
        let_go(device, &device->host_memory, (uint64_t)(uintptr_t)buffer->memory);
        GUARDED_VOID(device->backend, device, host_free, device->handle, buffer->memory);
    }
    memset(buffer, 0, sizeof *buffer);
}
