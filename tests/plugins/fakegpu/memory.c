#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fakegpu.h"

#define PAGE 4096

struct allocation *gpu_memory_find(const struct llmrun_device *device, uint64_t address)
{
    for (struct allocation *allocation = device->allocations; allocation != NULL; allocation = allocation->next)
        if (address >= allocation->address && address - allocation->address < (uint64_t)allocation->reserved)
            return allocation;
    return NULL;
}

int32_t gpu_memory_translate(const struct llmrun_device *device, uint64_t address, int64_t bytes, uint64_t *data,
                             struct llmrun_error *error)
{
    const struct allocation *allocation = gpu_memory_find(device, address);
    int64_t offset;

    if (allocation == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "%#llx is no address of device %d",
                            (unsigned long long)address, device->index);
    offset = (int64_t)(address - allocation->address);
    if (allocation->data == 0)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "byte %lld of memory that was freed is used",
                            (long long)offset);
    if (bytes > allocation->bytes || offset > allocation->bytes - bytes)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "bytes %lld to %lld of memory of %lld bytes are used",
                            (long long)offset, (long long)(offset + bytes), (long long)allocation->bytes);
    *data = allocation->data + (uint64_t)offset;
    return LLMRUN_OK;
}

bool gpu_memory_is_host(const struct llmrun_device *device, uint64_t address, int64_t bytes)
{
    const struct host_allocation *host = device->host_allocations;

    for (; host != NULL; host = host->next) {
        uint64_t start = (uint64_t)(uintptr_t)host->memory;

        if (address >= start && bytes <= host->bytes && address - start <= (uint64_t)(host->bytes - bytes))
            return true;
    }
    return false;
}

int32_t gpu_memory_alloc(struct llmrun_device *device, uint32_t kind, int64_t bytes, uint64_t *address,
                         struct llmrun_error *error)
{
    const int64_t largest = gpu_largest_allocation();
    struct allocation *allocation;
    void *range;
    int32_t code;

    if (kind != LLMRUN_MEMORY_DEVICE)
        return wrapped_fail(error, LLMRUN_ERROR_UNSUPPORTED, "memory kind %u is not supported", kind);
    if (bytes <= 0)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "memory of %lld bytes was asked for", (long long)bytes);
    if (largest > 0 && bytes > largest)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "one allocation has %lld bytes at most, not %lld",
                            (long long)largest, (long long)bytes);
    pthread_mutex_lock(&device->lock);
    code = capture_refuse(device, "memory_alloc", error);
    pthread_mutex_unlock(&device->lock);
    if (code != LLMRUN_OK)
        return code;
    allocation = calloc(1, sizeof *allocation);
    if (allocation == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for a record of memory");
    code = inner->device->memory_alloc(device->worker, kind, bytes, &allocation->data, error);
    if (code != LLMRUN_OK) {
        free(allocation);
        return code;
    }
    allocation->bytes = bytes;
    allocation->reserved = (bytes + 2 * PAGE - 1) / PAGE * PAGE; /* one page at least that belongs to nothing */
    range = mmap(NULL, (size_t)allocation->reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) {
        inner->device->memory_free(device->worker, allocation->data);
        free(allocation);
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no address range of %lld bytes", (long long)bytes);
    }
    allocation->address = (uint64_t)(uintptr_t)range;
    memset((void *)(uintptr_t)allocation->data, 0xff, (size_t)bytes); /* NaN, -1: what was not written is seen */
    pthread_mutex_lock(&device->lock);
    allocation->next = device->allocations;
    device->allocations = allocation;
    pthread_mutex_unlock(&device->lock);
    *address = allocation->address;
    return LLMRUN_OK;
}

void gpu_memory_free(struct llmrun_device *device, uint64_t address)
{
    struct allocation *allocation;

    if (address == 0)
        return;
    pthread_mutex_lock(&device->lock);
    capture_refuse(device, "memory_free", NULL);
    allocation = gpu_memory_find(device, address);
    if (allocation == NULL || allocation->address != address || allocation->data == 0) {
        if (device->failure.code == LLMRUN_OK)
            wrapped_fail(&device->failure, LLMRUN_ERROR_ARGUMENT, "memory_free got %#llx, which is no live allocation",
                         (unsigned long long)address);
    } else {
        /* Work that is still enqueued on it fails when its turn comes: the host freed too early. */
        inner->device->memory_free(device->worker, allocation->data);
        allocation->data = 0;
    }
    pthread_mutex_unlock(&device->lock);
}

int32_t gpu_memory_host_alloc(struct llmrun_device *device, int64_t bytes, void **memory, struct llmrun_error *error)
{
    struct host_allocation *host;
    int32_t code;

    pthread_mutex_lock(&device->lock);
    code = capture_refuse(device, "host_alloc", error);
    pthread_mutex_unlock(&device->lock);
    if (code != LLMRUN_OK)
        return code;
    host = calloc(1, sizeof *host);
    if (host == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for a record of memory");
    code = inner->device->host_alloc(device->worker, bytes, memory, error);
    if (code != LLMRUN_OK) {
        free(host);
        return code;
    }
    memset(*memory, 0xff, (size_t)bytes);
    host->memory = *memory;
    host->bytes = bytes;
    pthread_mutex_lock(&device->lock);
    host->next = device->host_allocations;
    device->host_allocations = host;
    pthread_mutex_unlock(&device->lock);
    return LLMRUN_OK;
}

void gpu_memory_host_free(struct llmrun_device *device, void *memory)
{
    struct host_allocation **link = &device->host_allocations, *found;

    if (memory == NULL)
        return;
    pthread_mutex_lock(&device->lock);
    capture_refuse(device, "host_free", NULL);
    while (*link != NULL && (*link)->memory != memory)
        link = &(*link)->next;
    found = *link;
    if (found != NULL)
        *link = found->next;
    else if (device->failure.code == LLMRUN_OK)
        wrapped_fail(&device->failure, LLMRUN_ERROR_ARGUMENT, "host_free got memory that is not of host_alloc");
    pthread_mutex_unlock(&device->lock);
    if (found != NULL)
        inner->device->host_free(device->worker, memory);
    free(found);
}

void gpu_memory_close(struct llmrun_device *device)
{
    while (device->allocations != NULL) {
        struct allocation *allocation = device->allocations;

        device->allocations = allocation->next;
        if (allocation->data != 0)
            inner->device->memory_free(device->worker, allocation->data);
        munmap((void *)(uintptr_t)allocation->address, (size_t)allocation->reserved);
        free(allocation);
    }
    while (device->host_allocations != NULL) {
        struct host_allocation *host = device->host_allocations;

        device->host_allocations = host->next;
        inner->device->host_free(device->worker, host->memory);
        free(host);
    }
}
